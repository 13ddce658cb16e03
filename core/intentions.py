"""What is ours although no pass ended with it: items that an attempt published before it failed or was killed. Pure.

Part of `core.plan`. Before the first publishing action the record learns what is about to become ours; the next
comparison finds it in CONFIG_DIR and owns it, so that it is pruned once nobody asks for it (contract.md section 4).
"""

from collections.abc import Iterable, Iterator, Mapping

from core import diff, items, observed, record

_Owned = Mapping[items.ItemKey, record.AppliedItem]


def published(intended: Iterable[record.Intended], seen: observed.ObservedItems) -> _Owned:
    """The intended items that CONFIG_DIR shows just as they were meant. One that shows otherwise is not our doing:
    nothing of somebody else's is ever pruned on an intention alone."""
    return {
        each.key: record.AppliedItem(seen.items[each.key], each.entry) for each in intended if _is_shown(each, seen)
    }


def after_publishing(
    comparison: diff.Diff, seen: observed.ObservedItems, remembered: record.Record
) -> tuple[record.Intended, ...]:
    """What has to be remembered before `comparison.result` is published: every item that will be ours then and is not
    in the applied set as it will be, besides what an earlier attempt left visible."""
    applied = {part.item.key: part for part in remembered.applied.items} if remembered.applied else {}
    standing = [
        each for each in remembered.intended if _is_shown(each, seen) or each.key.kind.document in seen.unreadable
    ]
    return tuple(dict.fromkeys((*standing, *_new(comparison, seen, applied))))


def _new(comparison: diff.Diff, seen: observed.ObservedItems, applied: _Owned) -> Iterator[record.Intended]:
    for part in comparison.result:
        if part.entry is None:
            continue
        known, shown = applied.get(part.item.key), seen.items.get(part.item.key)
        recorded = known is not None and known.entry is not None and known.item.digest == part.item.digest
        if not recorded and (shown is None or shown.digest != part.item.digest):
            yield record.Intended(part.item.key, part.entry, part.item.digest)


def _is_shown(intended: record.Intended, seen: observed.ObservedItems) -> bool:
    shown = seen.items.get(intended.key)
    return shown is not None and shown.digest == intended.digest
