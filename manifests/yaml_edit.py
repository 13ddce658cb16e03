"""Edits of YAML files that people keep: single scalars change, every other byte stays as it was.

For `manifest sync-ids` (contract.md section 3), which must keep comments, key order and quoting. Cuts at the places
that the parser reports and checks the result by reading it again; a file where that is not possible is refused, never
reformatted. Writes no file.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core import digest, problems, scalars
from manifests import rendering, yaml_source, yaml_text


class EditError(Exception):
    """The change cannot be made in place; says why, and where by line or key. Shows no value."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node stands: characters `start` to `end`. For a mapping `start` is where its first key begins, and
    `column` that key's zero-based column. `style` is a scalar's quote, ``flow`` or ``block`` for collections."""

    start: int
    end: int
    style: str
    column: int = 0


@dataclass(frozen=True, slots=True)
class _Cut:
    """Put `text` in the place of characters `start` to `end`."""

    start: int
    end: int
    text: str


_Places = dict[problems.KeyPath, _Place]


def edit(content: bytes, change: Callable[[Any], bool]) -> bytes | None:
    """The file after `change`, or None when that reports that nothing changed.

    `change` gets the document as plain dictionaries and lists, alters it, and says whether it did. It may set scalars
    and add scalar keys; a key that is new is written first in its mapping, before its other keys. Raises `EditError`
    for any other change, for a document with problems, and for a place that comes from an alias or a merge key.
    """
    parsed = yaml_text.parse(content, positions_depth=0)
    if parsed.problems:
        raise EditError(str(parsed.problems[0]))
    wanted = _copy(parsed.value)
    if not change(wanted):
        return None
    text = content.decode()
    places = _places(content)
    newline = "\r\n" if "\r\n" in text else "\n"
    shift = int(text.startswith(yaml_source.BYTE_ORDER_MARK))
    for cut in sorted(_cuts(parsed.value, wanted, (), places, newline), key=lambda cut: cut.start, reverse=True):
        text = text[: cut.start + shift] + cut.text + text[cut.end + shift :]
    edited = text.encode()
    again = yaml_text.parse(edited, positions_depth=0)
    if again.problems or _canonical(again.value) != _canonical(wanted):
        raise EditError("the file is laid out in a way that cannot be edited in place: make the change by hand")
    return edited


def _cuts(
    before: digest.Value, after: digest.Value, path: problems.KeyPath, places: _Places, newline: str
) -> Iterator[_Cut]:
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() <= after.keys():
        added = {key: value for key, value in after.items() if key not in before}
        if added:
            yield _insertion(added, path, places, newline)
        for key, value in before.items():
            yield from _cuts(value, after[key], (*path, key), places, newline)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, value in enumerate(before):
            yield from _cuts(value, after[index], (*path, index), places, newline)
    elif _canonical(before) != _canonical(after):
        if isinstance(before, dict | list) or isinstance(after, dict | list):
            raise EditError(f"{problems.format_path(path)}: only scalars can be changed in place")
        place = _place(places, path)
        if place.style not in ("", "'", '"'):
            raise EditError(f"{problems.format_path(path)}: a block scalar cannot be changed in place")
        space = " " if place.start == place.end else ""  # an empty value stands right behind its colon
        yield _Cut(place.start, place.end, space + _spelled(after, place.style))


def _insertion(added: dict[str, digest.Value], path: problems.KeyPath, places: _Places, newline: str) -> _Cut:
    place = _place(places, path)
    between = ", " if place.style == "flow" else newline + " " * place.column
    entries = []
    for key, value in added.items():
        if isinstance(value, dict | list):
            raise EditError(f"{problems.format_path((*path, key))}: only scalars can be added in place")
        entries.append(f"{_spelled(key, '')}: {_spelled(value, '')}{between}")
    return _Cut(place.start, place.start, "".join(entries))


def _spelled(value: scalars.Scalar, style: str) -> str:
    """A scalar as YAML on one line, in the quotes that stood there where that is possible."""
    text = rendering.render_sequence([value])[0].removeprefix("- ").rstrip("\n")
    keeps_quotes = isinstance(value, str) and not text.startswith('"')
    return f"{style}{text}{style}" if keeps_quotes else text


def _place(places: _Places, path: problems.KeyPath) -> _Place:
    if path not in places:
        raise EditError(
            f"{problems.format_path(path)}: cannot be changed in place: it carries an anchor or a tag, is empty, "
            "or comes from an alias or a merge key: make the change by hand"
        )
    return places[path]


def _places(content: bytes) -> _Places:
    events = yaml_text.events(content)
    places: _Places = {}
    for event in events:
        if isinstance(event, yaml_text.VOCABULARY.mapping_start | yaml_text.VOCABULARY.sequence_start):
            _walk(event, (), events, places)
            break
    return places


def _walk(event: Any, path: problems.KeyPath, events: Iterator[Any], places: _Places) -> None:
    """Note the places of one node, whose first event is given, and of all below it."""
    words = yaml_text.VOCABULARY
    if isinstance(event, words.scalar):
        if event.anchor is None and event.ctag is None:
            places[path] = _Place(event.start_mark.index, event.end_mark.index, event.style or "")
    elif isinstance(event, words.sequence_start):
        for index, item in enumerate(iter(lambda: next(events), None)):
            if isinstance(item, words.sequence_end):
                break
            _walk(item, (*path, index), events, places)
    elif isinstance(event, words.mapping_start):
        style = "flow" if event.flow_style else "block"
        for key in events:
            if isinstance(key, words.mapping_end):
                break
            mark = key.start_mark
            places.setdefault(path, _Place(mark.index, mark.index, style, mark.column))
            _walk(next(events), (*path, getattr(key, "value", "*")), events, places)


def _copy(value: digest.Value) -> digest.Value:
    """A deep copy in which nothing is shared, not even what an alias shares."""
    if isinstance(value, dict):
        return {key: _copy(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_copy(child) for child in value]
    return value


def _canonical(value: digest.Value) -> str:
    return json.dumps(value, sort_keys=True)
