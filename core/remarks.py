"""What a plan says besides its actions and blockers: everything that a person may want to know and that stops nothing.

Part of `core.plan`, and pure. Each notice has a code.
"""

from collections import Counter
from collections.abc import Iterator

from core import compatibility, diff, items, notices, observed, stack
from core import situation as situations

_PROVISIONED = (items.Kind.TABLE, items.Kind.BUCKET)
"""What the provisioner makes (consumers.md PR1)."""


def of(situation: situations.Situation, comparison: diff.Diff) -> Iterator[notices.Notice]:
    """Everything worth saying that stops nothing."""
    for warning in situation.wanted.warnings:
        yield notices.Notice("ArtifactWarning", str(warning), warning)
    for problem in situation.seen.problems:
        yield notices.Notice("ConfigDirInvalid", str(problem))
    yield from _kept(comparison)
    yield from foreign_files(situation.look)
    if situation.remembered.rebuilt:
        yield notices.Notice("RecordRebuilt", situation.remembered.rebuilt)
    yield from _of_the_stack(situation)
    yield from _not_provisioned(situation)
    yield from situation.skipped
    yield from not_convergeable(comparison)


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


def _not_provisioned(situation: situations.Situation) -> Iterator[notices.Notice]:
    """Resources that are published for a provisioner which nobody runs (contract.md section 8)."""
    counted = Counter(key.kind for key in situation.wanted.items if key.kind in _PROVISIONED)
    if situation.provisioner or not counted:
        return
    told = ", ".join(f"{each} {kind}{'' if each == 1 else 's'}" for kind in _PROVISIONED if (each := counted[kind]))
    many = counted.total()
    yield notices.Notice(
        "NotProvisioned",
        f"{many} resource{'' if many == 1 else 's'} published that no provisioner makes ({told}); "
        "set stack.compose_files to have it run",
    )


def left_unprovisioned() -> notices.Notice:
    """A provisioner that is due, and is not run on resources that somebody else wrote."""
    return notices.Notice(
        "NotProvisioned", "the provisioner is due and is not run: resources.yml drifted, and self_heal is off"
    )


def not_convergeable(comparison: diff.Diff) -> Iterator[notices.Notice]:
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
