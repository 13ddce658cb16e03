"""CONFIG_DIR's documents as items, leniently: what is there may have been edited by anybody.

The counterpart of `manifests.entry_files`, which refuses. Here values are read as the consumer reads them, and each
fault is put where it belongs: on one item, on the document around the items, or on a document that cannot be read at
all. Opens nothing: the bytes are an argument.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core import grammar, items, observed, problems
from manifests import entry_files, places, rendering, yaml_builder

if TYPE_CHECKING:
    from core import documents as rules

LIMITS = yaml_builder.Limits(max_bytes=items.MAX_DOCUMENT_BYTES, max_values=8_000_000)
"""A published document holds all entries, so it may be larger than any of them."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One document. `harmful` are items that spoil more than themselves; `damaged` says that something around the
    items is wrong; `readable` is False when nothing can be said about its items."""

    found: tuple[items.Item, ...] = ()
    harmful: frozenset[items.ItemKey] = frozenset()
    damaged: bool = False
    readable: bool = True
    wrong: tuple[problems.Problem, ...] = ()


def read(
    documents: Mapping[items.Document, bytes | None], *, allowed_names: frozenset[str] = grammar.DEFAULT_NAMES
) -> observed.ObservedItems:
    """All items of the documents, in their order. A document that is missing has none. Never raises for content."""
    readings = {
        document: _read(document, content, allowed_names)
        for document in items.Document
        if (content := documents.get(document)) is not None
    }
    return observed.ObservedItems(
        items={item.key: item for reading in readings.values() for item in reading.found},
        invalid=frozenset(key for reading in readings.values() for key in reading.harmful),
        damaged=frozenset(document for document, reading in readings.items() if reading.damaged),
        unreadable=frozenset(document for document, reading in readings.items() if not reading.readable),
        problems=tuple(problem for reading in readings.values() for problem in reading.wrong),
    )


def seen(
    documents: Mapping[items.Document, bytes | None], look: observed.Observed, *, allowed_names: frozenset[str]
) -> observed.ObservedItems:
    """The same of what a look at CONFIG_DIR has found: of a link that leads nowhere nothing can be said."""
    found = read(documents, allowed_names=allowed_names)
    states = look.documents.items()
    dangling = {document for document, state in states if state.presence is observed.Presence.DANGLING}
    return replace(found, unreadable=found.unreadable | dangling)


def _read(document: items.Document, content: bytes, allowed_names: frozenset[str]) -> _Reading:
    # Not at the top: a pass over what nobody changed must not pay for loading the YAML library and the models.
    from core import documents as rules
    from manifests import yaml_text

    parsed = yaml_text.parse(content, file=str(document), limits=LIMITS, as_consumer=True)
    if parsed.value is None and parsed.problems:
        return _Reading(damaged=True, readable=False, wrong=parsed.problems)
    if parsed.value is None:
        # Emptied, which is how a cut-off write ends (consumers.md GW5): says nothing about what was in it.
        return _Reading(damaged=document is items.Document.FUNCTIONS, readable=False)
    checked = rules.check(document, parsed.value, allowed_names=allowed_names)
    located = places.located(
        checked.errors, file=str(document), shallow=parsed.positions, deep=lambda: parsed.positions
    )
    wrong = (*parsed.problems, *located)
    try:
        found = tuple(entry_files.cut(checked.parts, parsed.positions))
    except rendering.RenderingError as error:
        told = problems.Problem(str(document), 0, 0, "", f"cannot be carried over: {error}")
        return _Reading(damaged=True, readable=False, wrong=(*wrong, told))
    keys = {part.path: part.key for part in checked.parts}
    owners = [_owner(path, keys) for path in (*parsed.refused, *(error.path for error in checked.errors))]
    twice = {key for key, count in Counter(part.key for part in checked.parts).items() if count > 1}
    return _Reading(
        found=found,
        harmful=frozenset(_harmful(checked.parts, {owner for owner in owners if owner is not None})),
        damaged=bool(twice or parsed.refused) or None in owners,
        wrong=wrong,
    )


def _owner(path: problems.KeyPath, keys: Mapping[problems.KeyPath, items.ItemKey]) -> items.ItemKey | None:
    """The item that a key path lies in; None for the document around the items."""
    for length in range(1, len(path) + 1):
        if path[:length] in keys:
            return keys[path[:length]]
    return None


def _harmful(parts: Iterable["rules.Part"], wrong: set[items.ItemKey]) -> Iterable[items.ItemKey]:
    """Wrong items that spoil others: a bad route breaks every later one (consumers.md GW8), and an item that is no
    mapping ends the reading of the whole document. Any other wrong item is its owner's own affair."""
    for part in parts:
        spoils = part.key.kind is items.Kind.ROUTE or not isinstance(part.value, dict)
        if part.key in wrong and part.key.kind not in items.DEFAULT_KINDS and spoils:
            yield part.key
