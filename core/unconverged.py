"""Tables and buckets whose published form no provisioner run makes true (consumers.md PR1). Pure.

Part of `core.plan`: a plan names such changes while they are made, and the record keeps them for `status` afterwards.
What really exists is not observable here, so this is what was published, and never a claim that something converged.
"""

from dataclasses import replace

from core import diff, items, record


def after_publishing(
    comparison: diff.Diff, revision: str, known: tuple[record.Unconverged, ...]
) -> tuple[record.Unconverged, ...]:
    """What is left to a person once `comparison.result` is live. What is published again as it was made is done. What
    is no longer asked for is told until the resources change once more. The same when it is asked again after an
    attempt that failed half-way."""
    live = {part.item.key: part.item.digest for part in comparison.result}
    changed = any(change.key.kind.document is items.Document.RESOURCES for change in comparison.changes)
    standing = (each for each in known if not _is_over(each, live.get(each.key, ""), changed=changed))
    before = {each.key for each in known}
    new = (
        record.Unconverged(change.key, change.before.digest, live.get(change.key, ""), revision)
        for change in comparison.changes
        if change.effect is diff.Effect.NOT_CONVERGEABLE and change.before is not None and change.key not in before
    )
    return (*(_moved(each, live.get(each.key, ""), revision) for each in standing), *new)


def words(one: record.Unconverged) -> str:
    """What a person has to do about it, in one sentence."""
    verb = "was changed" if one.digest else "is no longer asked for"
    return f"{one.key.kind} {one.key.name} {verb}; what exists already is never changed or deleted: do that by hand"


def _is_over(each: record.Unconverged, now: str, *, changed: bool) -> bool:
    return now == each.made or (changed and not now and not each.digest)


def _moved(each: record.Unconverged, now: str, revision: str) -> record.Unconverged:
    return each if now == each.digest else replace(each, digest=now, revision=revision)
