"""How a pass ended, as a value: what the commands print and what decides their exit code."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from controller import errors
from core import actions, digest, image_work, items, observed, outcomes, plan, record, remarks
from core import problems as found


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one pass.

    `reason` is an outcome of `core.plan` or a reason of `controller.errors`; `decision` is None when the pass stopped
    before or without planning; `notes` are the lines to tell besides the message. `retry_after_s` is how long somebody
    else asked not to be asked again, in seconds.
    """

    reason: str
    message: str
    revision: str = ""
    generation: int | None = None
    decision: plan.Plan | None = None
    problems: tuple[found.Problem, ...] = ()
    notes: tuple[str, ...] = ()
    changed: bool = False
    retry_after_s: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether the pass ended in an error or a refusal."""
        return self.reason in errors.MEANINGS

    @property
    def exit_code(self) -> int:
        """The exit code without ``--detailed-exitcode``."""
        return errors.MEANINGS[self.reason].exit_code if self.failed else errors.OK

    @property
    def hint(self) -> str:
        """The way out of a failure."""
        return errors.MEANINGS[self.reason].hint if self.failed else ""


def of_error(error: errors.ControllerError, revision: str = "") -> Report:
    """The report of a pass that an error ended."""
    return Report(error.reason, error.message, revision, problems=error.problems, retry_after_s=error.retry_after_s)


def of_blockers(decision: plan.Plan) -> Report:
    """The report of a pass whose plan was blocked. The first blocker names the reason and the exit code."""
    first = decision.blockers[0]
    more = "".join(f"; {blocker.reason}: {blocker.message}" for blocker in decision.blockers[1:])
    return Report(
        first.reason,
        first.message + more,
        decision.revision,
        decision=decision,
        notes=tuple(str(notice) for notice in decision.notices),
    )


def of_plan(decision: plan.Plan, generation: int | None, *, notes: tuple[str, ...]) -> Report:
    """The report of a plan that was carried out, or that had nothing to carry out."""
    return Report(
        decision.outcome,
        sentence(decision, generation),
        decision.revision,
        generation,
        decision,
        notes=notes,
        changed=decision.changes_something or bool(decision.actions and decision.images),
    )


def not_recorded(finished: Report) -> Report:
    """What was applied is live, but the record could not be written (faults.md B7)."""
    return replace(finished, reason="AppliedNotRecorded", message=f"applied, not recorded: {finished.message}")


def of_source(ended: Report, *, away: errors.ControllerError | None, notes: tuple[str, ...]) -> Report:
    """The same report with what there is to say of the source. A pass that went well with the last good checkout has
    failed nevertheless: no source answers, and whoever asked must see that."""
    if away is None or ended.failed:
        return replace(ended, notes=(*ended.notes, *notes)) if notes else ended
    words = f"{away.message}; with the last good checkout: {ended.message}"
    return replace(ended, reason=away.reason, message=words, retry_after_s=away.retry_after_s)


def in_sync(remembered: record.Record, look: observed.Observed) -> Report:
    """The report of a pass that found nothing to do without reading anything."""
    applied = remembered.applied
    revision = applied.revision if applied else ""
    text = _SENTENCES[outcomes.Outcome.IN_SYNC].format(
        revision=digest.short(revision), generation=_as_generation(look.generation)
    )
    return Report(outcomes.Outcome.IN_SYNC, text, revision, look.generation, notes=standing_notes(remembered, look))


def standing_notes(remembered: record.Record, look: observed.Observed) -> tuple[str, ...]:
    """What the last converged pass had to say and is still so; of files in CONFIG_DIR, what is there now."""
    notes = [note for note in remembered.notes if not note.startswith("ForeignFile: ")]
    return (*notes, *(str(notice) for notice in remarks.foreign_files(look)))


_Outcome = outcomes.Outcome

_SENTENCES = {
    _Outcome.IN_SYNC: "CONFIG_DIR shows revision {revision}{generation}",
    _Outcome.RECORD_ONLY: "CONFIG_DIR already shows what revision {revision} asks for{generation}; recorded",
    _Outcome.LEFTOVERS: "CONFIG_DIR shows revision {revision}{generation}; removed leftovers of a cut-off publish",
    _Outcome.DRIFT_LEFT_ALONE: "CONFIG_DIR drifted from revision {revision}; left alone, because self_heal is off",
    _Outcome.FIRST_PUBLISH: "published revision {revision}{generation} for the first time: {contents}",
    _Outcome.SOURCE_CHANGED: "published revision {revision}{generation}: {contents}",
    _Outcome.ROLLED_BACK: "rolled back to revision {revision}{generation}: {contents}",
    _Outcome.DRIFTED: "healed drift from revision {revision}{generation}: {contents}",
    _Outcome.LAYOUT_DIFFERS: "adopted CONFIG_DIR's files for revision {revision}{generation}: {contents}",
    _Outcome.PROVISION_DUE: "CONFIG_DIR shows revision {revision}{generation}",
    _Outcome.DOUBTFUL_GENERATION: "published revision {revision}{generation} again: {contents}",
}


_DOCUMENTS_AS_THEY_WERE = "CONFIG_DIR shows revision {revision}{generation}"
"""Of a pass that only made images, or only ran the provisioner."""


def sentence(decision: plan.Plan, generation: int | None) -> str:
    """One sentence that says what a converged pass did, and with what."""
    only_images = decision.images and not decision.publishes and decision.actions
    template = _DOCUMENTS_AS_THEY_WERE if only_images else _SENTENCES[decision.outcome]
    text = template.format(
        revision=digest.short(decision.revision),
        generation=_as_generation(generation),
        contents=contents(part.item for part in decision.comparison.result if part.entry is not None),
    )
    images = decision.images if decision.actions else ()
    built, pushed = sum(work.need is image_work.Need.BUILD for work in images), len(images)
    if pushed:
        text += f"; {built} image{'' if built == 1 else 's'} built, {pushed} pushed"
    ran = any(isinstance(action, actions.Provision) for action in decision.actions)
    return f"{text}; the provisioner ran" if ran else text


def contents(parts: Iterable[items.Item]) -> str:
    """``11 functions, 10 routes, 1 table, 1 bucket, 1 layer``; defaults are not counted."""
    counted = Counter(part.key.kind for part in parts)
    shown = (items.Kind.FUNCTION, items.Kind.ROUTE, items.Kind.TABLE, items.Kind.BUCKET, items.Kind.LAYER)
    return ", ".join(f"{counted[kind]} {kind}{'' if counted[kind] == 1 else 's'}" for kind in shown)


def _as_generation(generation: int | None) -> str:
    return f" as generation {generation}" if generation is not None else ""
