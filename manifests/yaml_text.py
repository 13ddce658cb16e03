"""YAML text: the only module that knows the YAML library (ruamel.yaml with libyaml's scanner and emitter).

`parse` turns bytes into a value, positions and problems; `events` gives the parser's raw events, for edits in place;
`write` turns a value into block text. The library's types and exceptions stop here. Says nothing about what a document
of the contract must hold.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import _ruamel_yaml as libyaml  # type: ignore[import-not-found]  # a C extension without type hints
from ruamel.yaml import error as yaml_errors
from ruamel.yaml import events as yaml_events

from core import digest, problems, scalars
from manifests import yaml_builder, yaml_source

Limits = yaml_builder.Limits

VOCABULARY = yaml_builder.Vocabulary(
    scalar=yaml_events.ScalarEvent,
    alias=yaml_events.AliasEvent,
    mapping_start=yaml_events.MappingStartEvent,
    mapping_end=yaml_events.MappingEndEvent,
    sequence_start=yaml_events.SequenceStartEvent,
    sequence_end=yaml_events.SequenceEndEvent,
)
"""The classes of the events that `events` gives."""

_MAX_CACHED = 8192


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a document says.

    `positions` holds line and column, from 1, of the key of every mapping entry and of every list item down to the
    asked depth, and of the root at ``()``; entries that came through a merge key have none. With problems (all of them
    errors) `value` is the best reading, good for finding more problems and for nothing else, and None when reading had
    to stop. `refused` is the key path of each problem.
    """

    value: digest.Value
    positions: Mapping[problems.KeyPath, tuple[int, int]]
    refused: tuple[problems.KeyPath, ...]
    problems: tuple[problems.Problem, ...]


def parse(
    content: bytes,
    *,
    file: str = "",
    limits: Limits = yaml_builder.DEFAULT_LIMITS,
    positions_depth: int | None = 2,
    as_consumer: bool = False,
) -> Parsed:
    """Read one document: contract.md, Document validity. An empty one is None.

    `file` names the file in problems. `positions_depth` is the longest key path that gets a position, None for all.
    `as_consumer` takes plain values as the consumers' own reader does, where dialects disagree (for CONFIG_DIR).
    Never raises for bad input, and no message shows a value.
    """
    try:
        text = yaml_source.decode(content, max_bytes=limits.max_bytes)
    except yaml_source.Refused as error:
        return Parsed(None, {}, ((),), (problems.Problem(file, error.line, error.column, "", str(error)),))
    next_event = libyaml.CParser(text).get_event
    words = VOCABULARY._replace(resolve=scalars.resolve_as_consumer, last_wins=True) if as_consumer else VOCABULARY
    builder = yaml_builder.Builder(next_event, words, file=file, limits=limits, positions_depth=positions_depth)
    value: digest.Value = None
    last: tuple[problems.Problem, ...] = ()
    try:
        value = _only_document(next_event, builder, text)
    except yaml_builder.Stop:
        pass  # the builder has said why
    except yaml_source.Refused as error:
        last = (problems.Problem(file, error.line, error.column, "", str(error)),)
    except yaml_errors.YAMLError as error:
        last = (_syntax_problem(error, builder.path, file=file, text=text),)
    refused = (*builder.refused, *((builder.path,) if last else ()))
    return Parsed(value, builder.positions, refused, (*builder.problems, *last))


def events(content: bytes) -> Iterator[Any]:
    """The events of a document that `parse` took without problems. Their marks count characters after a byte order
    mark."""
    text = yaml_source.decode(content, max_bytes=len(content))
    return iter(libyaml.CParser(text).get_event, None)


def write(value: digest.Value, spell: Callable[[scalars.Scalar], tuple[str, bool]]) -> str:
    """`value` as block text with two-space indent, each scalar on one line.

    `spell` gives a scalar's text and whether it is a string to put in double quotes (with escapes where needed).
    """
    sink = io.StringIO()
    emit = libyaml.CEmitter(sink, width=-1, indent=2, allow_unicode=True).emit
    emit(yaml_events.StreamStartEvent())
    emit(yaml_events.DocumentStartEvent(explicit=False))
    _Writer(emit, spell).node(value)
    emit(yaml_events.DocumentEndEvent(explicit=False))
    emit(yaml_events.StreamEndEvent())
    return sink.getvalue()


class _Writer:
    """Feeds a value to the emitter. Events are not changed by it, so equal ones are made once."""

    _MAPPING_START = yaml_events.MappingStartEvent(None, None, True, flow_style=False)
    _MAPPING_END = yaml_events.MappingEndEvent()
    _SEQUENCE_START = yaml_events.SequenceStartEvent(None, None, True, flow_style=False)
    _SEQUENCE_END = yaml_events.SequenceEndEvent()

    def __init__(self, emit: Callable[[Any], None], spell: Callable[[scalars.Scalar], tuple[str, bool]]) -> None:
        self._emit = emit
        self._spell = spell
        self._strings: dict[str, Any] = {}

    def node(self, value: digest.Value) -> None:
        emit = self._emit
        if isinstance(value, str):
            emit(self._strings.get(value) or self._string(value))
        elif isinstance(value, dict):
            emit(self._MAPPING_START)
            for key, child in value.items():
                emit(self._strings.get(key) or self._string(key))
                self.node(child)
            emit(self._MAPPING_END)
        elif isinstance(value, list):
            emit(self._SEQUENCE_START)
            for child in value:
                self.node(child)
            emit(self._SEQUENCE_END)
        else:
            emit(self._scalar(value))

    def _string(self, value: str) -> Any:
        event = self._scalar(value)
        if len(self._strings) < _MAX_CACHED:
            self._strings[value] = event
        return event

    def _scalar(self, value: scalars.Scalar) -> Any:
        text, quoted = self._spell(value)
        style = '"' if quoted else ""
        return yaml_events.ScalarEvent(None, None, (not quoted, quoted), text, style=style)


def _only_document(next_event: Callable[[], Any], builder: yaml_builder.Builder, text: str) -> digest.Value:
    next_event()  # start of the stream
    if isinstance(next_event(), yaml_events.StreamEndEvent):
        return None
    value = builder.root(next_event())
    # The scanner is not asked for what follows: a flood of directives there costs it the square of their number.
    yaml_source.refuse_rest(text, next_event().end_mark.index)
    return value


def _syntax_problem(error: Any, path: problems.KeyPath, *, file: str, text: str) -> problems.Problem:
    """libyaml's own words are fixed sentences and show nothing of the document."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    words = [part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part]
    message = "not YAML: " + (", ".join(words) or "unreadable")
    line, column, index = (mark.line + 1, mark.column + 1, mark.index) if mark else (0, 0, 0)
    if text.startswith("\t", index):
        message += " (a tab does not indent: use spaces)"
    elif "unexpected ':'" in message:
        message += " (inside brackets, put this text in quotes)"
    return problems.Problem(file, line, column, problems.format_path(path), message)
