"""One entry's documents: from bytes to items that can be folded, and to problems with their places.

Stands between `manifests.checkout`, which brings the bytes, and `core.runtime_config`, which folds the items. Each item
is rendered here, once, so that one changed entry costs one entry. The store keeps the outcome, good or bad, under the
digest of the bytes: the same bad documents are not parsed again (faults.md F2). Opens nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from core import desired, digest, grammar, items, problems
from manifests import places, yaml_builder

REQUIRED = (items.Document.FUNCTIONS, items.Document.ROUTING)
"""The documents that every entry must bring; the others are optional (contract.md section 2)."""

_POSITIONS_DEPTH = {items.Document.FUNCTIONS: 3, items.Document.ROUTING: 2, items.Document.RESOURCES: 3}
_IN_LISTS = frozenset({items.Kind.ROUTE, items.Kind.TABLE, items.Kind.BUCKET, items.Kind.LAYER})
_KINDS = {str(kind): kind for kind in items.Kind}


class Reading(NamedTuple):
    """`content` is None exactly when there is an error among the problems. Without errors, the problems are its
    warnings."""

    content: desired.EntryContent | None
    problems: tuple[problems.Problem, ...]


def read(
    documents: Mapping[items.Document, bytes],
    *,
    folder: str,
    allowed_names: frozenset[str] = grammar.DEFAULT_NAMES,
    limits: yaml_builder.Limits = yaml_builder.DEFAULT_LIMITS,
) -> Reading:
    """Check and cut one entry's documents (contract.md section 4, *Document validity*): every problem of each of them.

    `documents` lacks those that the entry does not bring. `folder` is its runtime configuration directory as the user
    would type it. Never raises for bad input.
    """
    found: list[problems.Problem] = []
    parts: list[items.Item] = []
    for document, content in documents.items():
        text = _Text(document, content, f"{folder}/{document}", limits)
        checked, wrong = _check(text, allowed_names)
        found.extend(wrong)
        if not places.has_errors(found):
            parts.extend(cut(checked, text.parsed.positions))
    if places.has_errors(found):
        return Reading(None, tuple(found))
    return Reading(desired.EntryContent(tuple(parts), tuple(found)), tuple(found))


def pack(reading: Reading) -> dict[str, Any]:
    """The reading as JSON, for the store."""
    content = reading.content
    return {
        "problems": [[problem.file.rpartition("/")[2], *places.pack(problem)] for problem in reading.problems],
        "items": None
        if content is None
        else [[*item.key, item.digest, item.text, item.line, item.target] for item in content.items],
    }


def unpack(packed: dict[str, Any], *, folder: str) -> Reading:
    """The packed reading of the same contents, now in this folder."""
    found = tuple(places.unpack(each, file=f"{folder}/{document}") for document, *each in packed["problems"])
    if packed["items"] is None:
        return Reading(None, found)
    key, item, kinds = items.ItemKey, items.Item, _KINDS
    cut = [
        item(key(kinds[kind], name), value, text, line, target)
        for kind, name, value, text, line, target in packed["items"]
    ]
    return Reading(desired.EntryContent(tuple(cut), found), found)


class _Text:
    """One document's bytes, parsed once, and once more when a place deep inside is asked for."""

    def __init__(self, document: items.Document, content: bytes, file: str, limits: yaml_builder.Limits) -> None:
        self.document = document
        self.file = file
        self._content = content
        self._limits = limits
        self.parsed = self._parse(_POSITIONS_DEPTH[document])

    def every_position(self) -> places.Positions:
        """The place of every key of the document."""
        positions: places.Positions = self._parse(None).positions
        return positions

    def _parse(self, depth: int | None) -> Any:
        # Not at the top: entries that the store knows must not pay for loading the YAML library.
        from manifests import yaml_text

        return yaml_text.parse(self._content, file=self.file, limits=self._limits, positions_depth=depth)


def _check(text: _Text, allowed_names: frozenset[str]) -> tuple[Sequence[Any], tuple[problems.Problem, ...]]:
    """The parts of a document (`core.documents.Part`) and its problems in the order of their lines."""
    parsed = text.parsed
    if parsed.value is None and parsed.problems:
        return (), parsed.problems
    from core import documents  # as above: loads the models

    checked = documents.check(text.document, parsed.value, allowed_names=allowed_names)
    located = places.located(checked.findings, file=text.file, shallow=parsed.positions, deep=text.every_position)
    return checked.parts, tuple(sorted((*parsed.problems, *located)))


def cut(parts: Sequence[Any], positions: places.Positions) -> list[items.Item]:
    """The checked parts (`core.documents.Part`) as items, in order.

    Rendered together: one run of the emitter for the mappings of a kind, one for all list items.
    """
    from manifests import rendering  # as above: loads the YAML library

    # Keys of defaults and of functions may be the same text, so each kind is a mapping of its own.
    texts: dict[items.ItemKey | int, str] = {}
    for kind in dict.fromkeys(part.key.kind for part in parts if part.key.kind not in _IN_LISTS):
        of_kind = {part.key.name: part.value for part in parts if part.key.kind is kind}
        rendered = rendering.render_mapping(of_kind)
        texts.update(zip((items.ItemKey(kind, name) for name in of_kind), rendered, strict=True))
    listed = [at for at, part in enumerate(parts) if part.key.kind in _IN_LISTS]
    texts.update(zip(listed, rendering.render_sequence([parts[at].value for at in listed]), strict=True))
    return [
        items.Item(
            key=part.key,
            digest=digest.of_value(part.value),
            text=texts[at] if at in texts else texts[part.key],
            line=positions.get(part.path, (0, 0))[0],
            target=part.target,
        )
        for at, part in enumerate(parts)
    ]
