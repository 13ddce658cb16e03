"""How a command ended, as a value that every form is made from: reason, findings with their places, the plan.

Stands between reports, plans, errors and validations on one side and the forms of `controller.outputs` on the other.
Decides what is told as an error, as a warning, or only by the way. Writes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from controller import errors, report
from controller.sources import directory
from core import notices, plan, problems


class Level(StrEnum):
    """How loudly something is told."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or that somebody should look at. `file` is as the user would type it, below the ending's
    `root`, "" when it is about no file; `line` and `column` count from 1, 0 for none."""

    level: Level
    reason: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    key: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one thing that a command was about ended: a pass, a comparison, one artifact of several.

    `subject` names it where there are several. `headline` is one sentence; `root` is the folder that the files of
    findings and of the plan stand in, as far as it is known. `notes` stop nothing and are about no line of a file.
    """

    reason: str
    headline: str
    exit_code: int = 0
    changed: bool = False
    revision: str = ""
    hint: str = ""
    subject: str = ""
    root: str = ""
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    decision: plan.Plan | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended in an error or a refusal."""
        return self.reason in errors.MEANINGS


@dataclass(frozen=True, slots=True)
class Run:
    """A command with everything that it was about. `exit_code` is that of the process."""

    command: str
    exit_code: int
    endings: tuple[Ending, ...]

    @property
    def chief(self) -> Ending:
        """The ending that speaks for all of them: the first with the exit code of the command, else the first that
        failed, else the first."""
        failed = [each for each in self.endings if each.failed]
        worst = [each for each in failed if each.exit_code == self.exit_code]
        return next(iter((*worst, *failed, *self.endings)), Ending("", ""))

    @property
    def reason(self) -> str:
        """Of the ending that speaks for all of them."""
        return self.chief.reason

    @property
    def changed(self) -> bool:
        """Whether anything became different, or would."""
        return any(each.changed for each in self.endings)


VALID = "Valid"
"""The reason of an artifact that keeps the contract."""

_BY_THE_WAY = frozenset({"Foreign", "ForeignFile", "Orphaned", "NoStack", "NotProvisioned", "BasesNotAsked"})
"""Notices that describe the target rather than a fault: one annotation of each in every run would hide the others."""

_NO_FILES = frozenset({"", "settings", "environment", "command line"})
"""What a problem names in the place of a file when it is about none."""


def of_report(ended: report.Report, *, root: str = "") -> Ending:
    """The ending of one pass."""
    blockers = ended.decision.blockers if ended.decision is not None and ended.failed else ()
    wrong = _of_blockers(blockers) if blockers else _of_failure(ended.reason, ended.message, ended.problems)
    told = ended.decision.notices if ended.decision is not None else tuple(map(_as_notice, ended.notes))
    return Ending(
        reason=str(ended.reason),
        headline=ended.message,
        exit_code=ended.exit_code,
        changed=ended.changed,
        revision=ended.revision,
        hint=ended.hint,
        root=root,
        findings=(*(wrong if ended.failed else ()), *_warnings(told)),
        notes=tuple(str(notice) for notice in told if notice.code in _BY_THE_WAY),
        decision=ended.decision,
    )


def of_plan(decision: plan.Plan, summary: str, *, differs: bool, root: str = "") -> Ending:
    """The ending of a comparison: the plan that was printed. `summary` is its last line."""
    blocked = report.of_blockers(decision) if decision.blockers else None
    return Ending(
        reason=blocked.reason if blocked else str(decision.outcome),
        headline=summary,
        exit_code=blocked.exit_code if blocked else errors.OK,
        changed=differs,
        revision=decision.revision,
        hint=blocked.hint if blocked else "",
        root=root,
        findings=(*_of_blockers(decision.blockers), *_warnings(decision.notices)),
        notes=tuple(str(notice) for notice in decision.notices if notice.code in _BY_THE_WAY),
        decision=decision,
    )


def of_error(error: errors.ControllerError) -> Ending:
    """The ending of a command that failed before it had anything to show."""
    return Ending(
        reason=error.reason,
        headline=error.message,
        exit_code=error.meaning.exit_code,
        hint=error.meaning.hint,
        root=error.root,
        findings=tuple(_of_failure(error.reason, error.message, error.problems)),
    )


def of_validation(found: directory.Validation) -> Ending:
    """The ending of one artifact that was checked."""
    meaning = errors.MEANINGS[found.reason] if found.invalid else None
    wrong = sum(problem.severity is problems.Severity.ERROR for problem in found.problems)
    return Ending(
        reason=found.reason or VALID,
        headline=f"{found.path}: " + (f"{wrong} problem{'' if wrong == 1 else 's'}" if meaning else found.contents),
        exit_code=meaning.exit_code if meaning else errors.OK,
        hint=meaning.hint if meaning else "",
        subject=str(found.path),
        root="" if found.root is None else str(found.root),
        findings=tuple(_of_problem(found.reason, problem) for problem in found.problems),
    )


def _of_failure(reason: str, message: str, found: Iterable[problems.Problem]) -> Iterator[Finding]:
    """Every place; where none is wrong, the sentence and the way out."""
    listed = tuple(found)
    if not any(problem.severity is problems.Severity.ERROR for problem in listed) and reason in errors.MEANINGS:
        yield Finding(Level.ERROR, reason, f"{message}\nhint: {errors.MEANINGS[reason].hint}")
    for problem in listed:
        yield _of_problem(reason, problem)


def _of_problem(reason: str, problem: problems.Problem) -> Finding:
    about, file = "", problem.file
    if problem.file in _NO_FILES and not problem.line:
        about, file = (f"{problem.file}: " if problem.file else ""), ""
    level = Level.WARNING if problem.severity is problems.Severity.WARNING else Level.ERROR
    text = f"{about}{problem.key}: {problem.message}" if problem.key else f"{about}{problem.message}"
    code = "ArtifactWarning" if level is Level.WARNING else reason
    return Finding(level, code, text, file, problem.line, problem.column, problem.key)


def _of_blockers(blockers: Iterable[notices.Blocker]) -> Iterator[Finding]:
    for blocker in blockers:
        text = f"{blocker.message}\nhint: {errors.MEANINGS[blocker.reason].hint}"
        yield Finding(Level.ERROR, blocker.reason, text)


def _warnings(told: Iterable[notices.Notice]) -> Iterator[Finding]:
    for notice in told:
        if notice.code in _BY_THE_WAY:
            continue
        place = notice.place
        if place is None:
            yield Finding(Level.WARNING, notice.code, notice.message)
        else:
            text = f"{place.key}: {place.message}" if place.key else place.message
            yield Finding(Level.WARNING, notice.code, text, place.file, place.line, place.column, place.key)


def _as_notice(note: str) -> notices.Notice:
    """A note of a report that needed no plan: ``Code: message``."""
    code, separator, message = note.partition(": ")
    return notices.Notice(code, message) if separator and code.isalnum() else notices.Notice("Note", note)
