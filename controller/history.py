"""History (how each pass ended) and events (what happened to single things): rows that are told, never decided from.

Owns their tables inside the state database; `controller.state` opens it and holds the transaction. Bounded: old rows
go when new ones come. A damaged row is shown as damaged and stops nothing (faults.md P15).
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

HISTORY_ROWS = 500
EVENT_ROWS = 1000

SCHEMA = (
    "CREATE TABLE history (id INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum BLOB NOT NULL)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum BLOB NOT NULL)",
)

APPLIED, FAILED, DAMAGED = "applied", "failed", "damaged"

_Row = TypeVar("_Row", "HistoryRow", "EventRow")


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """How a pass ended: `result` is ``applied``, ``failed`` or, for a row that can't be read, ``damaged``.

    The same failure of the same revision again and again is one row: `count` times, from `first_at` to `last_at`.
    `commit` and `ref` are those of a git source, "" where none was read.
    """

    id: int
    result: str
    revision: str = ""
    reason: str = ""
    message: str = ""
    generation: int | None = None
    count: int = 1
    first_at: str = ""
    last_at: str = ""
    commit: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to one thing: a PascalCase reason, the thing (``function hello``), and a sentence."""

    reason: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """A recorded event: of which revision, and when. `reason` is ``damaged`` for a row that can't be read."""

    id: int
    reason: str
    subject: str = ""
    message: str = ""
    revision: str = ""
    at: str = ""


def seal(body: bytes) -> bytes:
    """The checksum that every row carries, so that a flipped byte is noticed (faults.md B4)."""
    return hashlib.sha256(body).digest()


def merged(last: HistoryRow | None, row: HistoryRow) -> HistoryRow:
    """The row to store after `last`: with last's id when it is the same failure once more, else `row` itself."""
    if last is None or (last.result, last.revision, last.reason) != (FAILED, row.revision, row.reason):
        return row
    if row.result != FAILED:
        return row
    return replace(row, id=last.id, count=last.count + 1, first_at=last.first_at)


def unsaid(failures: Iterable[Event], told: Iterable[EventRow], *, revision: str) -> Sequence[Event]:
    """Those of a failing pass that are news: a thing that fails for one reason, attempt after attempt, is told once
    (faults.md B6). `told` are the rows there are, newest first."""
    last: dict[str, EventRow] = {}
    for row in told:
        last.setdefault(row.subject, row)
    return [
        event
        for event in failures
        if (known := last.get(event.subject)) is None or (known.reason, known.revision) != (event.reason, revision)
    ]


def shortened(events: Sequence[Event]) -> Sequence[Event]:
    """As many events as are kept; when there are more, the last one says so."""
    if len(events) <= EVENT_ROWS:
        return events
    left_out = len(events) - EVENT_ROWS + 1
    return [*events[: EVENT_ROWS - 1], Event("MoreEvents", "", f"{left_out} more events of this pass are not listed")]


def add(connection: sqlite3.Connection, row: HistoryRow) -> None:
    """Append one row (its id is given here), or count a repeated failure up."""
    known = recent(connection, 1)
    last_id = known[0].id if known else 0
    stored = merged(known[0] if known else None, replace(row, id=last_id + 1))
    _put(connection, "history", [(stored.id, stored)], keep=HISTORY_ROWS)


def add_events(connection: sqlite3.Connection, events: Sequence[Event], *, revision: str, at: str) -> None:
    """Append the events of one pass."""
    if not events:
        return
    first_id = max((row.id for row in recent_events(connection, 1)), default=0) + 1
    rows = (
        EventRow(number, event.reason, event.subject, event.message, revision, at)
        for number, event in enumerate(shortened(events), first_id)
    )
    _put(connection, "events", [(row.id, row) for row in rows], keep=EVENT_ROWS)


def recent(connection: sqlite3.Connection, limit: int) -> tuple[HistoryRow, ...]:
    """The newest rows of the history, newest first."""
    return _newest(connection, "history", limit, HistoryRow, lambda id_: HistoryRow(id_, DAMAGED))


def recent_events(connection: sqlite3.Connection, limit: int) -> tuple[EventRow, ...]:
    """The newest events, newest first."""
    return _newest(connection, "events", limit, EventRow, lambda id_: EventRow(id_, DAMAGED))


def _put(
    connection: sqlite3.Connection, table: str, rows: Sequence[tuple[int, "HistoryRow | EventRow"]], *, keep: int
) -> None:
    bodies = ((id_, json.dumps(asdict(row)).encode()) for id_, row in rows)
    connection.executemany(
        f"INSERT OR REPLACE INTO {table} (id, body, checksum) VALUES (?, ?, ?)",
        ((id_, body, seal(body)) for id_, body in bodies),
    )
    connection.execute(f"DELETE FROM {table} WHERE id <= ?", (rows[-1][0] - keep,))


def _newest(
    connection: sqlite3.Connection,
    table: str,
    limit: int,
    row_type: Callable[..., _Row],
    damaged: Callable[[int], _Row],
) -> tuple[_Row, ...]:
    found: Iterable[tuple[int, Any, Any]] = connection.execute(
        f"SELECT id, body, checksum FROM {table} ORDER BY id DESC LIMIT ?", (limit,)
    ).fetchall()
    return tuple(
        row_type(**json.loads(body)) if isinstance(body, bytes) and seal(body) == checksum else damaged(id_)
        for id_, body, checksum in found
    )
