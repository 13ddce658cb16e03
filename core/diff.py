"""The three-way diff: last applied, observed, desired, item by item (design.md sections 5 and 6).

Tells drift (CONFIG_DIR moved, the source did not) from change (the source moved), keeps foreign items, prunes owned
ones, and gives the full list of what a publish would hold. Decides nothing about *whether* to publish: `core.plan`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from core import desired, items, observed, policy, record


class Operation(StrEnum):
    """What happens to an item, as a diff prints it."""

    ADD = "+"
    CHANGE = "~"
    REMOVE = "-"


class Cause(StrEnum):
    """Why CONFIG_DIR and the source differ."""

    CHANGE = "change"
    DRIFT = "drift"
    """A difference with no new revision behind it."""


class Reason(StrEnum):
    """One code for each row of the three-way table; documented in docs/reasons.md."""

    NEW_IN_SOURCE = "NewInSource"
    CHANGED_IN_SOURCE = "ChangedInSource"
    REMOVED_FROM_SOURCE = "RemovedFromSource"
    EDITED_IN_CONFIG_DIR = "EditedInConfigDir"
    MISSING_IN_CONFIG_DIR = "MissingInConfigDir"
    REORDERED_IN_CONFIG_DIR = "ReorderedInConfigDir"
    REORDERED_IN_SOURCE = "ReorderedInSource"
    TAKEN_OVER = "TakenOver"
    FOREIGN_PRUNED = "ForeignPruned"
    FOREIGN_INVALID = "ForeignInvalid"
    DAMAGED_IN_CONFIG_DIR = "DamagedInConfigDir"


class Effect(StrEnum):
    """What a change does to the running system once it is published."""

    RELOAD = "reload"
    REBUILD = "rebuild"
    PROVISION = "provision"
    NOT_CONVERGEABLE = "not-convergeable"
    """Published, but no provisioner run can make it true (consumers.md PR1)."""
    DESTRUCTIVE = "destructive"
    """Requests that worked stop working."""


@dataclass(frozen=True, slots=True)
class Change:
    """One item that a publish would add, change or remove. `before` and `after` are None where there is nothing.
    `provenance` of what goes is where it came from."""

    operation: Operation
    key: items.ItemKey
    cause: Cause
    reason: Reason
    effect: Effect
    before: items.Item | None
    after: items.Item | None
    provenance: desired.Provenance | None


@dataclass(frozen=True, slots=True)
class Diff:
    """The comparison as a whole.

    `result` is everything that a publish would hold, in publishing order, with owners. `foreign` were never ours and
    stay. `orphaned` were ours, are not wanted any more and stay because of `prune: none`. `adopted` are in CONFIG_DIR
    as wanted but were not yet in the record.
    """

    changes: tuple[Change, ...]
    result: tuple[record.AppliedItem, ...]
    foreign: tuple[items.ItemKey, ...] = ()
    orphaned: tuple[items.ItemKey, ...] = ()
    adopted: tuple[items.ItemKey, ...] = ()


_DATA_KINDS = (items.Kind.TABLE, items.Kind.BUCKET)


def compare(
    wanted: desired.Desired,
    seen: observed.ObservedItems,
    applied: Mapping[items.ItemKey, record.AppliedItem],
    *,
    prune: policy.Prune,
    published: Mapping[items.ItemKey, record.AppliedItem] = MappingProxyType({}),
) -> Diff:
    """Compare the three sides. `applied` is the last applied set by key; entries without an owner in it are foreign.
    `published` are items that an attempt which never ended left in CONFIG_DIR: ours, and newer than `applied`."""
    owned = {key: part for key, part in applied.items() if part.entry is not None} | dict(published)
    changes: list[Change] = []
    result: list[record.AppliedItem] = []
    adopted: list[items.ItemKey] = []
    for key, item in wanted.items.items():
        origin = wanted.provenance[key]
        result.append(record.AppliedItem(item, origin.entry, origin.file if origin.line else ""))
        change = _wanted_change(item, seen, owned.get(key), origin)
        if change is not None:
            changes.append(change)
        elif key not in owned:
            adopted.append(key)
    foreign: list[items.ItemKey] = []
    orphaned: list[items.ItemKey] = []
    for key, item in _beside(seen, applied).items():
        if key in wanted.items:
            continue
        owner = owned.get(key)
        removal = _unwanted_change(item, owner, prune=prune, invalid=key in seen.invalid)
        if removal is not None:
            changes.append(removal)
            continue
        (foreign if owner is None else orphaned).append(key)
        kept = record.AppliedItem(item, None) if owner is None else replace(owner, item=item)
        result.append(kept)
    result.sort(key=lambda part: items.KIND_ORDER[part.item.key.kind])
    changes.extend(_reordered(wanted, seen, owned, changes))
    changes.extend(_damaged(seen))
    changes.sort(key=lambda change: items.KIND_ORDER[change.key.kind])
    return Diff(tuple(changes), tuple(result), tuple(foreign), tuple(orphaned), tuple(adopted))


def _beside(
    seen: observed.ObservedItems, applied: Mapping[items.ItemKey, record.AppliedItem]
) -> Mapping[items.ItemKey, items.Item]:
    """What CONFIG_DIR holds; of a document that cannot be read, the items that it held last."""
    lost = {
        key: part.item
        for key, part in applied.items()
        if key.kind.document in seen.unreadable and key not in seen.items
    }
    return {**seen.items, **lost} if lost else seen.items


def _wanted_change(
    item: items.Item,
    seen: observed.ObservedItems,
    owner: record.AppliedItem | None,
    origin: desired.Provenance,
) -> Change | None:
    before = seen.items.get(item.key)
    if before is not None and before.digest == item.digest and item.key not in seen.invalid:
        return None
    operation = Operation.ADD if before is None else Operation.CHANGE
    drifted = owner is not None and owner.item.digest == item.digest
    if owner is None:
        reason = Reason.NEW_IN_SOURCE if before is None else Reason.TAKEN_OVER
    elif drifted:
        reason = Reason.MISSING_IN_CONFIG_DIR if before is None else Reason.EDITED_IN_CONFIG_DIR
    else:
        reason = Reason.CHANGED_IN_SOURCE
    effect = _effect(operation, item.key.kind, drifted=drifted)
    return Change(operation, item.key, Cause.DRIFT if drifted else Cause.CHANGE, reason, effect, before, item, origin)


def _unwanted_change(
    item: items.Item, owner: record.AppliedItem | None, *, prune: policy.Prune, invalid: bool
) -> Change | None:
    """Why an item that nobody asks for goes; None when it stays. What spoils other items goes whatever the policy:
    consumers must be able to take everything that is published (faults.md P5)."""
    if owner is not None and prune is not policy.Prune.NONE:
        reason = Reason.REMOVED_FROM_SOURCE
    elif invalid:
        reason = Reason.FOREIGN_INVALID
    elif owner is None and prune is policy.Prune.ALL:
        reason = Reason.FOREIGN_PRUNED
    else:
        return None
    effect = _effect(Operation.REMOVE, item.key.kind, drifted=False)
    cause = Cause.CHANGE if reason is Reason.REMOVED_FROM_SOURCE else Cause.DRIFT
    return Change(Operation.REMOVE, item.key, cause, reason, effect, item, None, _recorded(owner))


def _recorded(owner: record.AppliedItem | None) -> desired.Provenance | None:
    """Where an item stood that nobody asks for any more, as far as the record knows it."""
    if owner is None or owner.entry is None:
        return None
    return desired.Provenance(owner.entry, owner.file, owner.item.line if owner.file else 0)


def _effect(operation: Operation, kind: items.Kind, *, drifted: bool) -> Effect:
    """What publishing this does. Healing `resources.yml` needs no provisioner: the tables themselves did not move."""
    if kind.document is not items.Document.RESOURCES:
        removed_answer = operation is Operation.REMOVE and kind in (items.Kind.FUNCTION, items.Kind.ROUTE)
        return Effect.DESTRUCTIVE if removed_answer else Effect.RELOAD
    if operation is Operation.ADD or kind not in _DATA_KINDS or drifted:
        return Effect.PROVISION
    return Effect.NOT_CONVERGEABLE


def _reordered(
    wanted: desired.Desired,
    seen: observed.ObservedItems,
    owned: Mapping[items.ItemKey, record.AppliedItem],
    changes: list[Change],
) -> Iterator[Change]:
    """Routes are tried in order by the consumer, so the order of ours is content; of everything else it is not."""
    if any(change.key.kind is items.Kind.ROUTE for change in changes):
        return
    after = [key for key in wanted.items if key.kind is items.Kind.ROUTE]
    if [key for key in seen.items if key.kind is items.Kind.ROUTE and key in wanted.items] == after:
        return
    drifted = [key for key in owned if key.kind is items.Kind.ROUTE] == after
    cause = Cause.DRIFT if drifted else Cause.CHANGE
    reason = Reason.REORDERED_IN_CONFIG_DIR if drifted else Reason.REORDERED_IN_SOURCE
    yield _around(items.ItemKey(items.Kind.ROUTE, "(order)"), cause, reason, Effect.RELOAD)


_MAIN_KINDS = {
    items.Document.FUNCTIONS: items.Kind.FUNCTION,
    items.Document.ROUTING: items.Kind.ROUTE,
    items.Document.RESOURCES: items.Kind.TABLE,
}
"""What a document is for, to name it in a diff."""


def _damaged(seen: observed.ObservedItems) -> Iterator[Change]:
    """A fault around the items: no item differs, and yet no consumer reads the document as it was published."""
    for document in items.Document:
        if document in seen.damaged:
            kind = _MAIN_KINDS[document]
            effect = Effect.PROVISION if document is items.Document.RESOURCES else Effect.RELOAD
            key = items.ItemKey(kind, "(document)")
            yield _around(key, Cause.DRIFT, Reason.DAMAGED_IN_CONFIG_DIR, effect)


def _around(key: items.ItemKey, cause: Cause, reason: Reason, effect: Effect) -> Change:
    """A change of a document that is none of its items."""
    return Change(Operation.CHANGE, key, cause, reason, effect, None, None, None)
