"""What forbids a plan: suspension, holds, missing secrets, an incompatible stack, images nobody builds, and removals
that look like an accident (design.md section 5, faults.md P6 and C1)."""

from collections.abc import Iterator

from core import compatibility, diff, digest, items
from core import situation as situations
from core.notices import Blocker

REMOVALS_ALWAYS_ALLOWED = 3
"""A plan that removes no more things than this is never stopped for their share."""

_COUNTED = (items.Kind.FUNCTION, items.Kind.ROUTE, items.Kind.TABLE, items.Kind.BUCKET, items.Kind.LAYER)


def blockers(situation: situations.Situation, comparison: diff.Diff) -> Iterator[Blocker]:
    """Everything that stands in the way, all of it, most deliberate first."""
    remembered = situation.remembered
    if remembered.suspension is not None:
        stop = remembered.suspension
        until = f" until {stop.until}" if stop.until else ""
        yield Blocker("Suspended", f"suspended by {stop.owner}{until}: {stop.reason}")
    for hold in remembered.holds:
        if hold.revision == situation.wanted.revision:
            yield Blocker("Held", f"revision {hold.revision} is held since {hold.since}: {hold.reason}")
    if situation.missing_secrets:
        yield Blocker("SecretsMissing", f"required secrets are not set: {', '.join(situation.missing_secrets)}")
    finding = compatibility.without_observation(situation.requirement, strict=situation.rules.strict)
    if finding is not None and finding.blocks:
        yield Blocker("StackIncompatible", finding.message)
    if situation.wanted.builds and not situation.allowed.skip_images:
        functions = ", ".join(sorted(function for _, function in situation.wanted.builds))
        yield Blocker("DockerUnavailable", f"these functions bring a Dockerfile and need a build: {functions}")
    for document, state in situation.look.documents.items():
        if state.obstacle:
            yield Blocker("PathObstructed", f"{document} in CONFIG_DIR: {state.obstacle}")
    yield from _shrinking(situation, comparison)


def _shrinking(situation: situations.Situation, comparison: diff.Diff) -> Iterator[Blocker]:
    applied = situation.remembered.applied
    owned = [
        part.item.key
        for part in (applied.items if applied else ())
        if part.entry is not None and _counts(part.item.key)
    ]
    removed = sum(
        1 for change in comparison.changes if change.operation is diff.Operation.REMOVE and _counts(change.key)
    )
    wanted = sum(1 for key in situation.wanted.items if _counts(key))
    revision = situation.wanted.revision
    allowed = situation.allowed.shrink
    if not owned or digest.abbreviates(allowed, revision):
        return
    if wanted == 0 and not situation.rules.allow_empty:
        yield Blocker("SourceEmpty", f"the source asks for nothing, {len(owned)} things are live: revision {revision}")
    elif wanted and removed > REMOVALS_ALWAYS_ALLOWED and removed > situation.rules.max_removed * len(owned):
        yield Blocker("ShrinkGuard", f"would remove {removed} of {len(owned)} things we own: revision {revision}")


def _counts(key: items.ItemKey) -> bool:
    return key.kind in _COUNTED
