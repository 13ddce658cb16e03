"""What docker's words about a failed build or push mean, for people and for the next attempt.

Owns the reading of log lines: which ones tell the cause, which line of the Dockerfile they blame, whether a registry
may answer next time. The lines come redacted from `controller.docker`. Does nothing itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from controller import docker, errors
from core import image_work, problems

LINES = 15
"""Lines of a log that are told of each function."""

NAMED = 10
"""Functions that the one sentence names; all of them have a problem of their own."""

_KEPT_LINES, _KEPT_CHARACTERS = 5, 500
"""Of each function's log, the most that the record keeps: where `status` and `events` show it, there is one line."""

_BLAMED = re.compile(r"\s*Dockerfile:([0-9]+)\s*|.*\bdockerfile parse error on line ([0-9]+)\b.*")
# BuildKit quotes the Dockerfile between rulers; a problem names the line instead, and leaves room for the program.
_QUOTED = re.compile(r"\s*(?:-{4,}|Dockerfile:[0-9]+|[0-9]+ \|.*)\s*")
_SUMMARY = re.compile(r"\s*> \[")

_REFUSED = re.compile(
    r"\b(?:denied|unauthorized)\b|no basic auth credentials|authentication required|status(?: code)?:? 40[13]\b",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"connection (?:refused|reset)|broken pipe|\bEOF\b|\btime(?:d )?out\b|Client\.Timeout|deadline exceeded"
    r"|server misbehaving|toomanyrequests|\bstatus(?: code)?:?(?: from \S+ \S+)? 5[0-9][0-9]\b"
    r"|\b5[0-9][0-9] (?:Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Failed:
    """One function's failure."""

    work: image_work.Work
    error: Exception


@dataclass(frozen=True, slots=True)
class _Told:
    """One failure in words: a sentence, lines of the log, and the line of the Dockerfile, 0 for none."""

    sentence: str
    lines: tuple[str, ...] = ()
    line: int = 0


def may_pass(error: Exception) -> bool:
    """Whether the same push may go well a moment later (faults.md H10): a registry that is down, busy or slow to
    answer, and never one that refused. A push that reached its deadline had its time."""
    if not isinstance(error, docker.CommandFailed) or _is_refused(error):
        return False
    return any(_PASSING.search(line) for line in error.tail)


def of_builds(failed: Sequence[Failed], *, out_of: int) -> errors.ControllerError:
    """The one error of all failed builds (faults.md H9): every function with the last lines of its log."""
    told = [(one, _built(one)) for one in failed]
    return _together("ImageBuildFailed", f"{len(failed)} of {out_of} images could not be built", told)


def of_pushes(failed: Sequence[Failed], *, out_of: int) -> errors.ControllerError:
    """The one error of all failed pushes (faults.md H10)."""
    told = [(one, _pushed(one)) for one in failed]
    return _together("ImagePushFailed", f"{len(failed)} of {out_of} images could not be pushed", told)


def _together(reason: str, headline: str, told: Sequence[tuple[Failed, _Told]]) -> errors.ControllerError:
    reasons = {one.error.reason if isinstance(one.error, errors.ControllerError) else reason for one, _ in told}
    sentences = list(dict.fromkeys(words.sentence for _, words in told))
    more = f"; and {len(sentences) - NAMED} more" if len(sentences) > NAMED else ""
    # What is true of all of them has its own reason: without an engine no Dockerfile has to be corrected.
    error = errors.ControllerError(
        reasons.pop() if len(reasons) == 1 else reason,
        f"{headline}: {'; '.join(sentences[:NAMED])}{more}",
        tuple(problem for one, words in told for problem in _problems(one, words)),
    )
    if error.reason == reason:
        error.functions = tuple(
            errors.OfFunction(one.work.wanted.function, words.sentence, _end_of(words.lines)) for one, words in told
        )
    return error


def _problems(failed: Failed, told: _Told) -> tuple[problems.Problem, ...]:
    """One problem, its lines below each other; and those that came with the error."""
    wanted = failed.work.wanted
    message = "\n".join((told.sentence, *(f"    {line}" for line in told.lines)))
    found = problems.Problem(wanted.file, told.line, 1 if told.line else 0, "", message)
    return (found, *(failed.error.problems if isinstance(failed.error, errors.ControllerError) else ()))


def _built(failed: Failed) -> _Told:
    name, error = failed.work.wanted.function, failed.error
    if isinstance(error, docker.CommandFailed):
        return _Told(
            f"build of {name} failed with exit code {error.exit_code}", _telling(error.tail), _line(error.tail)
        )
    if isinstance(error, docker.DeadlinePassed):
        return _Told(f"build of {name} ended after {_span(error.seconds)}", _telling(error.tail))
    return _otherwise(f"build of {name}", error)


def _pushed(failed: Failed) -> _Told:
    wanted, error = failed.work.wanted, failed.error
    push = f"push of {wanted.function} to {wanted.target}"
    if isinstance(error, docker.CommandFailed):
        if _is_refused(error):
            return _Told(f"{push} was refused: log in with docker login{_host(wanted.target)}", _telling(error.tail))
        return _Told(f"{push} failed with exit code {error.exit_code}", _telling(error.tail))
    if isinstance(error, docker.DeadlinePassed):
        return _Told(f"{push} ended after {_span(error.seconds)}", _telling(error.tail))
    return _otherwise(push, error)


def _otherwise(what: str, error: Exception) -> _Told:
    if isinstance(error, errors.ControllerError):
        return _Told(f"{what}: {error.message}")
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return _Told(f"{what}: its context could not be copied: {place}{error.strerror}")
    raise error


def _telling(tail: Sequence[str]) -> tuple[str, ...]:
    """The end of a log, without what the problem says already. BuildKit's summary of the failed step repeats its last
    lines, so nothing before it is needed."""
    lines = [line.rstrip() for line in tail if line.strip() and not _QUOTED.fullmatch(line)]
    summaries = [number for number, line in enumerate(lines) if _SUMMARY.match(line)]
    return tuple(lines[summaries[-1] if summaries else 0 :][-LINES:])


def _end_of(lines: Sequence[str]) -> str:
    """The last lines in one; the very end tells the most."""
    text = " | ".join(line.strip() for line in lines[-_KEPT_LINES:])
    return text if len(text) <= _KEPT_CHARACTERS else f"…{text[-_KEPT_CHARACTERS:]}"


def _line(tail: Sequence[str]) -> int:
    """The line of the Dockerfile that BuildKit blames; the last word counts, as a program may print the same."""
    blamed = [match for line in tail if (match := _BLAMED.fullmatch(line))]
    return int(blamed[-1][1] or blamed[-1][2]) if blamed else 0


def _is_refused(error: docker.CommandFailed) -> bool:
    return any(_REFUSED.search(line) for line in error.tail)


def _host(target: str) -> str:
    """`` HOST`` of a reference; nothing for the default registry, which `docker login` means by itself."""
    first, slash, _ = target.partition("/")
    return f" {first}" if slash and (first == "localhost" or "." in first or ":" in first) else ""


def _span(seconds: float) -> str:
    return f"{seconds / 60:g}m" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g}s"
