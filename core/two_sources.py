"""What one artifact asks for beside another: the plan of a change before there is a target for it. Pure.

Uses the three-way diff with the other artifact in the place of CONFIG_DIR, as if that had been applied. Knows nothing
of a stack: whether a base image moved, or an image stands in a registry already, is not known here and is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from core import (
    actions,
    compatibility,
    desired,
    diff,
    image_inputs,
    image_work,
    items,
    notices,
    observed,
    outcomes,
    plan,
    policy,
    provisioning,
    record,
    remarks,
)


@dataclass(frozen=True, slots=True)
class Side:
    """One artifact, folded. `inputs` are of the images that are built for it, their bases without a digest. `missing`
    says why there is none, "" when there is one."""

    wanted: desired.Desired
    inputs: tuple[image_inputs.ImageInput, ...] = ()
    requirement: compatibility.Requirement | None = None
    missing: str = ""


def nothing(why: str) -> Side:
    """What a first artifact is compared with."""
    return Side(desired.Desired("", {}, {}), missing=why)


def compare(after: Side, before: Side, rules: policy.Policy) -> plan.Plan:
    """What a pass over `after` would do where `before` was applied and the stack is as that left it. Never blocked; its
    actions say only that there is something to do."""
    works = tuple(_works(after, before))
    comparison = _rebuilt(_compared(after, before), works)
    provision = _provision(after, before, rules)
    outcome = outcomes.Outcome.SOURCE_CHANGED if before.wanted.items else outcomes.Outcome.FIRST_PUBLISH
    steps: tuple[actions.Action, ...] = (actions.Push(works),) if works else ()
    if provision is not None:
        steps += (actions.Provision("", provision),)
    if comparison.changes:
        steps += (actions.Publish({}, comparison.result, rules.publish),)
    return plan.Plan(
        revision=after.wanted.revision,
        outcome=outcome if steps else outcomes.Outcome.IN_SYNC,
        comparison=comparison,
        preconditions=plan.Preconditions(after.wanted.digest, before.wanted.digest, ""),
        actions=steps,
        blockers=(),
        notices=tuple(_notices(after, before, comparison)),
        images=works,
        provision=provision,
    )


def _compared(after: Side, before: Side) -> diff.Diff:
    """As if everything of `before` was applied, and is seen."""
    then = before.wanted
    applied = {
        key: record.AppliedItem(item, then.provenance[key].entry, then.provenance[key].file)
        for key, item in then.items.items()
    }
    return diff.compare(after.wanted, observed.ObservedItems(then.items), applied, prune=policy.Prune.OWNED)


def _works(after: Side, before: Side) -> Iterator[image_work.Work]:
    """The images whose input is another, by everything that can be known without an engine."""
    known = {one.function: one for one in before.inputs}
    for wanted in after.inputs:
        was = known.get(wanted.function)
        if was is None:
            yield image_work.Work(wanted, image_work.Need.BUILD, image_work.Why.NEW)
        elif was.digest != wanted.digest:
            yield image_work.Work(wanted, image_work.Need.BUILD, image_work.Why.INPUT_CHANGED)
        elif was.target != wanted.target:
            yield image_work.Work(wanted, image_work.Need.PUSH, image_work.Why.NEW)


def _rebuilt(comparison: diff.Diff, works: tuple[image_work.Work, ...]) -> diff.Diff:
    """A function whose image is made anew is more than reloaded."""
    made = {items.ItemKey(items.Kind.FUNCTION, work.wanted.function) for work in works}
    changes = (
        replace(change, effect=diff.Effect.REBUILD) if change.key in made and change.after else change
        for change in comparison.changes
    )
    return replace(comparison, changes=tuple(changes))


def _provision(after: Side, before: Side, rules: policy.Policy) -> provisioning.Reason | None:
    """As if the provisioner had made the resources of `before` true."""
    wanted, was = _resources(after.wanted), _resources(before.wanted)
    return provisioning.needed(
        provision=rules.provision, configured=True, wanted_digest=wanted, provisioned_digest=was, empty=not wanted
    )


def _resources(wanted: desired.Desired) -> str:
    found = {key: item for key, item in wanted.items.items() if key.kind.document is items.Document.RESOURCES}
    return desired.items_digest(found) if found else ""


def _notices(after: Side, before: Side, comparison: diff.Diff) -> Iterator[notices.Notice]:
    if before.missing:
        yield notices.Notice("NothingBefore", f"{before.missing}; everything counts as added")
    for warning in after.wanted.warnings:
        yield notices.Notice("ArtifactWarning", str(warning), warning)
    new = [name for name in after.wanted.required_secrets if name not in before.wanted.required_secrets]
    if new:
        yield notices.Notice("SecretsRequired", f"required from now on: {', '.join(new)}")
    if after.requirement != before.requirement and not before.missing:
        yield notices.Notice("StackRequired", "the artifact requires another runtime stack than before")
    yield from remarks.not_convergeable(comparison)
    bases = sorted({base.reference for one in after.inputs for base in one.bases})
    if bases:
        text = f"nobody was asked for the images that Dockerfiles start from: one that moved is not seen; {_few(bases)}"
        yield notices.Notice("BasesNotAsked", text)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
