"""From libyaml's events to values with positions, and one problem for each thing that the contract refuses.

Between `manifests.yaml_text`, which owns the parser and the checks on bytes, and the documents' readers. Builds values
itself because the stock constructors are slow, keep no positions, let duplicate keys pass and crash or explode on
hostile nesting and aliases (contract.md, Document validity; faults.md F2 and F3). Imports no YAML library: the event
classes are an argument.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from core import digest, problems, scalars

MAX_PROBLEMS = 100
"""After this many problems a document is not read any further."""

MAX_ANCHORS = 10_000
"""Anchors are for people; a file with more is meant to cost memory."""

_CORE_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_SCALAR_TAGS: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (float,),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may cost.

    `max_bytes` caps the file and the document with all aliases and merge keys written out; `max_depth` is the number
    of nested collections (contract.md, Document validity); `max_values` caps keys and values together, because small
    values cost more memory than bytes (faults.md F2: a million keys within 1 s and 200 MB).
    """

    max_bytes: int = 8 * 1024 * 1024
    max_depth: int = 64
    max_values: int = 500_000


DEFAULT_LIMITS = Limits()


class Vocabulary(NamedTuple):
    """The parser's event classes, and how a plain scalar is read."""

    scalar: type[Any]
    alias: type[Any]
    mapping_start: type[Any]
    mapping_end: type[Any]
    sequence_start: type[Any]
    sequence_end: type[Any]
    resolve: Callable[[str], scalars.Scalar | scalars.Unclear] = scalars.resolve
    last_wins: bool = False
    """Whether the value of a key that comes twice is the last one, as the consumers' reader has it."""


class Stop(Exception):
    """The document cannot be read any further; the reason is among the problems."""


class _Anchored(NamedTuple):
    """A finished node that aliases may name: its value, expanded size and number of nested collections."""

    value: digest.Value
    size: int
    height: int


class Builder:
    """Reads one document's root node. `problems` and `positions` fill up while `root` runs, and stay when it stops."""

    def __init__(
        self,
        next_event: Callable[[], Any],
        words: Vocabulary,
        *,
        file: str,
        limits: Limits,
        positions_depth: int | None,
    ) -> None:
        self._next = next_event
        self._words = words
        self._file = file
        self._limits = limits
        self._positions_depth = limits.max_depth if positions_depth is None else positions_depth
        self._resolve = words.resolve
        self.problems: list[problems.Problem] = []
        self.refused: list[problems.KeyPath] = []
        """The key path of each problem: what is shown of it in the problem may be shortened."""
        self.positions: dict[problems.KeyPath, tuple[int, int]] = {}
        self.path: problems.KeyPath = ()
        """Where reading is: the place to name when the parser itself gives up."""
        self._anchors: dict[str, _Anchored | None] = {}  # None while the node is still open
        self._size = 0
        self._left = limits.max_values
        self._deepest = 0

    def root(self, event: Any) -> digest.Value:
        """The value of the document's root, whose first event is given. Raises `Stop`, or the parser's own errors."""
        self.positions[()] = (event.start_mark.line + 1, event.start_mark.column + 1)
        return self._node(event, ())

    def report(self, mark: Any, path: problems.KeyPath, message: str) -> None:
        """Add a problem at a parser's mark. Raises `Stop` after too many."""
        place = (mark.line + 1, mark.column + 1)
        self.problems.append(problems.Problem(self._file, *place, problems.format_path(path), message))
        self.refused.append(path)
        if len(self.problems) == MAX_PROBLEMS:
            self.problems.append(problems.Problem(self._file, *place, "", "too many problems: the rest is not read"))
            raise Stop

    def _child(self, event: Any, path: problems.KeyPath, key: str | int) -> digest.Value:
        """The value under `key` of the collection at `path`: an ordinary scalar at once, anything else by `_node`."""
        if type(event) is self._words.scalar and event.anchor is None and event.ctag is None:
            text: str = event.value
            value = self._resolve(text) if event.implicit[0] else text
            if not isinstance(value, scalars.Unclear) and self._left > 0:
                self._size += len(text) + 1
                self._left -= 1
                return value
        return self._node(event, (*path, key))

    def _node(self, event: Any, path: problems.KeyPath) -> digest.Value:
        words = self._words
        kind = type(event)
        if kind is words.alias:
            return self._alias(event, path)
        anchor = event.anchor
        if anchor is None:
            return self._content(event, kind, path)
        if len(self._anchors) == MAX_ANCHORS:
            self._stop(event, path, f"more than {MAX_ANCHORS} anchors")
        self._anchors[anchor] = None
        size, deepest, self._deepest = self._size, self._deepest, len(path)
        value = self._content(event, kind, path)
        self._anchors[anchor] = _Anchored(value, self._size - size, self._deepest - len(path))
        self._deepest = max(deepest, self._deepest)
        return value

    def _content(self, event: Any, kind: type, path: problems.KeyPath) -> digest.Value:
        words = self._words
        if kind is words.scalar:
            return self._scalar(event, path)
        self.path = path
        self._left -= 1
        self._spend(event, path, 1)
        depth = len(path) + 1
        if depth > self._deepest:
            self._deepest = depth
            if depth > self._limits.max_depth:
                self._stop(event, path, f"nested more than {self._limits.max_depth} levels deep")
        is_mapping = kind is words.mapping_start
        if event.ctag is not None and str(event.ctag) != _CORE_TAG + ("map" if is_mapping else "seq"):
            self._refuse_tag(event, path)
        value = self._mapping(path) if is_mapping else self._sequence(path)
        self.path = path[:-1]
        return value

    def _mapping(self, path: problems.KeyPath) -> digest.Value:
        next_event, words, positions = self._next, self._words, self.positions
        recorded = len(path) < self._positions_depth
        result: dict[str, digest.Value] = {}
        merges: list[dict[str, digest.Value]] | None = None
        while type(event := next_event()) is not words.mapping_end:
            if type(event) is words.scalar and event.implicit[0] and event.value == _MERGE and event.ctag is None:
                if merges is not None:
                    self.report(event.start_mark, (*path, _MERGE), "a duplicate key")
                merges = [*self._merge(path), *(merges or ())]
                continue
            key = self._key(event, path)
            if key is None:  # refused and reported: read its value for the problems in it
                self._child(next_event(), path, "?")
            elif key in result:
                self.report(event.start_mark, (*path, key), "a duplicate key")
                value = self._child(next_event(), path, key)
                if self._words.last_wins:
                    result[key] = value
            else:
                if recorded:
                    mark = event.start_mark
                    positions[*path, key] = (mark.line + 1, mark.column + 1)
                result[key] = self._child(next_event(), path, key)
        if merges is None:
            return result
        merged: dict[str, digest.Value] = {}
        for source in merges:
            merged.update(source)
        merged.update(result)
        return merged

    def _sequence(self, path: problems.KeyPath) -> digest.Value:
        next_event, end, positions = self._next, self._words.sequence_end, self.positions
        recorded = len(path) < self._positions_depth
        result: list[digest.Value] = []
        while type(event := next_event()) is not end:
            if recorded:
                mark = event.start_mark
                positions[*path, len(result)] = (mark.line + 1, mark.column + 1)
            result.append(self._child(event, path, len(result)))
        return result

    def _key(self, event: Any, path: problems.KeyPath) -> str | None:
        """The text of a key, or None when it is not one (reported)."""
        before = len(self.problems)
        name = event.value if type(event) is self._words.scalar else "?"
        key = self._child(event, path, name)
        if isinstance(key, str):
            return key if len(self.problems) == before else None
        if isinstance(key, list | dict):
            self.report(event.start_mark, path, "keys are text, not lists or mappings")
        elif len(self.problems) == before:
            self.report(event.start_mark, (*path, name), "keys are text: quote it")
        return None

    def _scalar(self, event: Any, path: problems.KeyPath) -> scalars.Scalar:
        text: str = event.value
        self._left -= 1
        self._spend(event, path, len(text) + 1)
        if event.ctag is not None:
            return self._tagged(event, path)
        if not event.implicit[0]:
            return text
        value = self._resolve(text)
        if isinstance(value, scalars.Unclear):
            self.report(event.start_mark, path, value.value)
            return text
        return value

    def _tagged(self, event: Any, path: problems.KeyPath) -> scalars.Scalar:
        """A scalar with an explicit tag: `!!str` on anything, another core tag only where it says what is so anyway."""
        text: str = event.value
        tag = str(event.ctag).removeprefix(_CORE_TAG)
        if tag == "str":
            return text
        value = self._resolve(text)
        if event.style not in ("", None) or tag not in _SCALAR_TAGS or not isinstance(value, _SCALAR_TAGS[tag]):
            self._refuse_tag(event, path)
            return text
        return None if isinstance(value, scalars.Unclear) else value

    def _refuse_tag(self, event: Any, path: problems.KeyPath) -> None:
        self.report(event.start_mark, path, "a tag that changes the type of this value: write the value without it")

    def _alias(self, event: Any, path: problems.KeyPath) -> digest.Value:
        if event.anchor not in self._anchors:
            self.report(event.start_mark, path, "an alias without an anchor of that name above it")
            return None
        target = self._anchors[event.anchor]
        if target is None:
            self.report(event.start_mark, path, "an alias inside its own anchor")
            return None
        self._left -= 1
        self._spend(event, path, target.size)
        self._deepest = max(self._deepest, len(path) + target.height)
        if self._deepest > self._limits.max_depth:
            self._stop(event, path, f"nested more than {self._limits.max_depth} levels deep through an alias")
        return target.value

    def _merge(self, path: problems.KeyPath) -> list[dict[str, digest.Value]]:
        """The value of `<<` as mappings, least important first (yaml.org/type/merge: earlier mappings win)."""
        event = self._next()
        before = len(self.problems)
        value = self._node(event, (*path, _MERGE))
        sources = value if isinstance(value, list) else [value]
        mappings = [source for source in sources if isinstance(source, dict)]
        if len(mappings) != len(sources) and len(self.problems) == before:
            self.report(event.start_mark, (*path, _MERGE), "<< takes a mapping or a list of mappings")
        return mappings[::-1]

    def _spend(self, event: Any, path: problems.KeyPath, size: int) -> None:
        """Count `size` (scalars: length + 1, collections: 1) and stop where the document gets too big."""
        self._size += size
        if self._size > self._limits.max_bytes:
            self._stop(event, path, f"more than {self._limits.max_bytes} bytes once aliases and merges are written out")
        if self._left < 0:
            self._stop(event, path, f"more than {self._limits.max_values} keys and values")

    def _stop(self, event: Any, path: problems.KeyPath, message: str) -> None:
        self.report(event.start_mark, path, message)
        raise Stop
