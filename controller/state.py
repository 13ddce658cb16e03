"""What the controller remembers of a target, on disk: ``state.db`` in the state directory (design.md section 7).

The record is a hint; observation is the truth: a lost or damaged record is rebuilt from what is seen (faults.md B4,
B5). Owns what is read and written together. What the values mean is decided in `controller.remembered`, their formats
in `controller.state_rows`, the file is `controller.state_file`'s. Whoever writes holds the lock on CONFIG_DIR.
"""

import datetime
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from controller import clock, remembered, state_file, state_rows
from controller import history as history_tables
from controller.database import Damaged
from controller.history import Event, EventRow, HistoryRow
from controller.remembered import Failure, Stored, Success
from controller.state_file import (
    StateDamaged,
    StateError,
    StateNewer,
    StateUnreadable,
    StateUnwritable,
)
from core import record

__all__ = [
    "Event",
    "EventRow",
    "Failure",
    "HistoryRow",
    "State",
    "StateDamaged",
    "StateError",
    "StateNewer",
    "StateUnreadable",
    "StateUnwritable",
    "Success",
]

NAME = "state.db"

_Found = TypeVar("_Found")


class State:
    """The record, history and events of one target.

    `now` gives the time in UTC. `keep_applied` (at least 1) is how many applied sets are kept for rollback. Without
    `durable` nothing is synced, for tests. Every method raises `StateNewer`; reading ones raise `StateUnreadable`,
    writing ones `StateUnwritable`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        now: Callable[[], datetime.datetime],
        keep_applied: int = 10,
        durable: bool = True,
    ) -> None:
        self._file = state_file.StateFile(directory / NAME, now=now, durable=durable)
        self._now = now
        self._keep_applied = max(1, keep_applied)

    @property
    def path(self) -> Path:
        """Where the database is, or will be."""
        return self._file.path

    def close(self) -> None:
        """Close the file. Everything was committed before; any method opens it again."""
        self._file.close()

    def load(self, *, with_items: bool) -> record.Record:
        """The record; `applied` has its items only when asked for, and is cheap without.

        Empty when there is no database yet, and empty with `rebuilt` set when it is damaged. The bad file is moved
        away by the next write, and `rebuilt` stands until a success is recorded.
        """

        def found(connection: sqlite3.Connection) -> record.Record:
            stored = state_rows.read(connection)
            known = stored.as_record(self._now())
            if not with_items or known.applied is None:
                return known
            parts = state_rows.read_items(connection, stored.sets[0].items_digest)
            return replace(known, applied=replace(known.applied, items=parts))

        try:
            return self._file.read(found, absent=record.Record())
        except Damaged as damage:
            return record.Record(rebuilt=self._file.rebuilt(str(damage)))

    def applied_sets(self, limit: int | None = None) -> tuple[record.AppliedSet, ...]:
        """The kept sets, all with different documents, newest first, without their items."""
        stored = self._told(state_rows.read, absent=Stored())
        return tuple(known.applied for known in stored.sets[:limit])

    def applied_items(self, set_id: int) -> tuple[record.AppliedItem, ...]:
        """The items of a kept set, in publishing order. `StateUnreadable` also when it is not kept (any more)."""

        def found(connection: sqlite3.Connection) -> tuple[record.AppliedItem, ...] | None:
            known = state_rows.read(connection).find(set_id)
            return None if known is None else state_rows.read_items(connection, known.items_digest)

        parts = self._told(found, absent=None)
        if parts is None:
            raise StateUnreadable(self.path, f"applied set {set_id} is not kept")
        return parts

    def history(self, limit: int = history_tables.HISTORY_ROWS) -> tuple[HistoryRow, ...]:
        """How the last passes ended, newest first."""
        return self._told(lambda connection: history_tables.recent(connection, limit), absent=())

    def events(self, limit: int = history_tables.EVENT_ROWS) -> tuple[EventRow, ...]:
        """What happened to single things, newest first."""
        return self._told(lambda connection: history_tables.recent_events(connection, limit), absent=())

    def record_attempt(
        self,
        revision: str,
        intended: tuple[record.Intended, ...] = (),
        unconverged: tuple[record.Unconverged, ...] = (),
    ) -> None:
        """Acting on this revision is about to begin, and `intended` may be live from now on. Writes nothing when that
        is known already."""
        self._file.write(lambda _, stored: remembered.after_attempt(stored, revision, intended, unconverged))

    def record_success(self, success: Success) -> None:
        """A set is live: set, items, conditions, history and events, all of it or nothing (faults.md P3)."""
        at = clock.iso(self._now())
        packed = state_rows.packed(success.items)

        def change(connection: sqlite3.Connection, stored: Stored) -> Stored:
            digest = state_rows.add_items(connection, packed)
            history_tables.add(connection, remembered.row_of_success(success, at))
            history_tables.add_events(connection, success.events, revision=success.revision, at=at)
            return remembered.after_success(stored, success, items_digest=digest, at=at, keep=self._keep_applied)

        self._file.write(change)

    def record_failure(self, failure: Failure) -> None:
        """A pass failed or was refused: conditions, history and events. The same failure again is counted, not
        listed."""
        at = clock.iso(self._now())

        def change(connection: sqlite3.Connection, stored: Stored) -> Stored:
            history_tables.add(connection, remembered.row_of_failure(failure, at))
            told = history_tables.recent_events(connection, history_tables.EVENT_ROWS) if failure.refused else ()
            events = (*failure.events, *history_tables.unsaid(failure.refused, told, revision=failure.revision))
            history_tables.add_events(connection, events, revision=failure.revision, at=at)
            return remembered.after_failure(stored, failure)

        self._file.write(change)

    def record_provision(self, resources_digest: str) -> None:
        """The provisioner made these resources true, or failed: see `core.provisioning.FAILED`."""
        self._file.write(lambda _, stored: remembered.after_provision(stored, resources_digest))

    def record_conditions(self, conditions: Mapping[str, record.Condition], *, commit: str = "", ref: str = "") -> None:
        """A look at the stack said something new, or another `commit` asks for what is applied already."""
        self._file.write(lambda _, stored: remembered.after_look(stored, conditions, commit=commit, ref=ref))

    def record_claim(self, claim: record.Claim) -> None:
        """CONFIG_DIR is this target's, or is about to be."""
        self._file.write(lambda _, stored: remembered.after_claim(stored, claim))

    def hold(self, revision: str, reason: str) -> None:
        """This revision must not be applied again."""
        hold = record.Hold(revision, reason, clock.iso(self._now()))
        self._file.write(lambda _, stored: remembered.after_hold(stored, hold))

    def release(self, revision: str | None = None) -> None:
        """Lift the hold of one revision, or with None all holds. Writes nothing when there is none."""
        if self.load(with_items=False).holds:
            self._file.write(lambda _, stored: remembered.after_release(stored, revision))

    def suspend(self, suspension: record.Suspension) -> None:
        """Nothing is done from now on, until its time is over or `resume`."""
        self._file.write(lambda _, stored: remembered.after_suspension(stored, suspension))

    def resume(self) -> None:
        """Lift the suspension. Writes nothing when none stands."""
        if self.load(with_items=False).suspension is not None:
            self._file.write(lambda _, stored: remembered.after_suspension(stored, None))

    def _told(self, look: Callable[[sqlite3.Connection], _Found], *, absent: _Found) -> _Found:
        """Read what is only shown, or asked for by name: there, damage is an error and not a fresh start."""
        try:
            return self._file.read(look, absent=absent)
        except Damaged as damage:
            raise StateDamaged(self.path, str(damage)) from damage
