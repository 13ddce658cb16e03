"""What a plan says besides its actions and blockers: everything that a person may want to know and that stops nothing.

Part of `core.plan`, and pure. Each notice has a code.
"""

from collections.abc import Iterator

from core import compatibility, diff, notices, observed, stack
from core import situation as situations


def of(situation: situations.Situation, comparison: diff.Diff) -> Iterator[notices.Notice]:
    """Everything worth saying that stops nothing."""
    for warning in situation.wanted.warnings:
        yield notices.Notice("ArtifactWarning", str(warning))
    for problem in situation.seen.problems:
        yield notices.Notice("ConfigDirInvalid", str(problem))
    yield from _kept(comparison)
    yield from foreign_files(situation.look)
    if situation.remembered.rebuilt:
        yield notices.Notice("RecordRebuilt", situation.remembered.rebuilt)
    yield from _of_the_stack(situation)
    yield from _not_convergeable(comparison)


def _kept(comparison: diff.Diff) -> Iterator[notices.Notice]:
    for key in comparison.foreign:
        yield notices.Notice("Foreign", f"{key.kind} {key.name} is not ours: kept")
    for key in comparison.orphaned:
        message = f"{key.kind} {key.name} is no longer in the source: kept, because of prune: none"
        yield notices.Notice("Orphaned", message)


def _of_the_stack(situation: situations.Situation) -> Iterator[notices.Notice]:
    """What is not looked at, what differs without stopping anything, and what did not answer."""
    if situation.running is stack.NOT_CONFIGURED:
        yield notices.Notice("NoStack", "no compose stack is configured: nothing to probe, no provisioner to run")
    for finding in compatibility.judge(situation.requirement, situation.running, strict=situation.rules.strict):
        if not finding.blocks:
            yield notices.Notice(finding.code, finding.message)
    for work in situation.images:
        if not work.known:
            message = f"function {work.wanted.function}: the registry of {work.wanted.target} did not answer"
            yield notices.Notice("ImageNotChecked", message)


def _not_convergeable(comparison: diff.Diff) -> Iterator[notices.Notice]:
    """What no provisioner run can make true (consumers.md PR1)."""
    for change in comparison.changes:
        if change.effect is diff.Effect.NOT_CONVERGEABLE:
            verb = "changes" if change.after else "goes"
            yield notices.Notice(
                "NotConvergeable",
                f"{change.key.kind} {change.key.name} {verb} here only; what exists already is never changed or "
                "deleted: do that by hand",
            )


def foreign_files(look: observed.Observed) -> Iterator[notices.Notice]:
    """Files in CONFIG_DIR that are nobody's business here; looked up anew by every pass."""
    for name in look.foreign_files:
        yield notices.Notice("ForeignFile", f"{name} in CONFIG_DIR is not ours: kept")
