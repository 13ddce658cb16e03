"""The record in memory: the methods of `controller.state.State`, without a file.

`tests/controller/test_state.py` runs the same cases against both, so that this one can't drift away. What can happen to
a file is set by hand: `broken` is raised by every method, `rebuilt` is what a damaged one would leave.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from controller import clock, remembered
from controller import history as history_tables
from controller.history import EventRow, HistoryRow
from controller.remembered import Failure, Stored, Success
from controller.state import StateError
from core import record


class MemoryState:
    """See `controller.state.State`. `writes` counts the changes."""

    def __init__(self, *, now: Callable[[], datetime.datetime], keep_applied: int = 10, rebuilt: str = "") -> None:
        self.broken: StateError | None = None
        self.writes = 0
        self._now = now
        self._keep_applied = keep_applied
        self._stored = Stored(record.Record(rebuilt=rebuilt))
        self._items: dict[int, tuple[record.AppliedItem, ...]] = {}
        self._history: list[HistoryRow] = []
        self._events: list[EventRow] = []

    def close(self) -> None:
        """Nothing to close."""

    def load(self, *, with_items: bool) -> record.Record:
        """See `State`."""
        self._check()
        known = self._stored.as_record(self._now())
        if not with_items or known.applied is None:
            return known
        return replace(known, applied=replace(known.applied, items=self._items[known.applied.id]))

    def applied_sets(self, limit: int | None = None) -> tuple[record.AppliedSet, ...]:
        """See `State`."""
        self._check()
        return tuple(known.applied for known in self._stored.sets[:limit])

    def applied_items(self, set_id: int) -> tuple[record.AppliedItem, ...]:
        """See `State`."""
        self._check()
        return self._items[set_id]

    def history(self, limit: int = history_tables.HISTORY_ROWS) -> tuple[HistoryRow, ...]:
        """See `State`."""
        self._check()
        return tuple(reversed(self._history))[:limit]

    def events(self, limit: int = history_tables.EVENT_ROWS) -> tuple[EventRow, ...]:
        """See `State`."""
        self._check()
        return tuple(reversed(self._events))[:limit]

    def record_attempt(
        self,
        revision: str,
        intended: tuple[record.Intended, ...] = (),
        unconverged: tuple[record.Unconverged, ...] = (),
    ) -> None:
        """See `State`."""
        self._change(remembered.after_attempt(self._stored, revision, intended, unconverged))

    def record_success(self, success: Success) -> None:
        """See `State`."""
        at = clock.iso(self._now())
        after = remembered.after_success(self._stored, success, items_digest="", at=at, keep=self._keep_applied)
        self._change(after)
        self._items[after.sets[0].applied.id] = success.items
        self._add(remembered.row_of_success(success, at))
        self._tell(success.events, success.revision, at)

    def record_failure(self, failure: Failure) -> None:
        """See `State`."""
        self._change(remembered.after_failure(self._stored, failure))
        at = clock.iso(self._now())
        self._add(remembered.row_of_failure(failure, at))
        refused = history_tables.unsaid(failure.refused, self.events(), revision=failure.revision)
        self._tell((*failure.events, *refused), failure.revision, at)

    def record_provision(self, resources_digest: str) -> None:
        """See `State`."""
        self._change(remembered.after_provision(self._stored, resources_digest))

    def record_conditions(self, conditions: Mapping[str, record.Condition], *, commit: str = "", ref: str = "") -> None:
        """See `State`."""
        self._change(remembered.after_look(self._stored, conditions, commit=commit, ref=ref))

    def record_claim(self, claim: record.Claim) -> None:
        """See `State`."""
        self._change(remembered.after_claim(self._stored, claim))

    def hold(self, revision: str, reason: str) -> None:
        """See `State`."""
        hold = record.Hold(revision, reason, clock.iso(self._now()))
        self._change(remembered.after_hold(self._stored, hold))

    def release(self, revision: str | None = None) -> None:
        """See `State`."""
        self._change(remembered.after_release(self._stored, revision))

    def suspend(self, suspension: record.Suspension) -> None:
        """See `State`."""
        self._change(remembered.after_suspension(self._stored, suspension))

    def resume(self) -> None:
        """See `State`."""
        self._change(remembered.after_suspension(self._stored, None))

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _change(self, after: Stored) -> None:
        self._check()
        self.writes += 1
        self._stored = after

    def _tell(self, events: Sequence[history_tables.Event], revision: str, at: str) -> None:
        for number, event in enumerate(history_tables.shortened(events), len(self._events) + 1):
            self._events.append(EventRow(number, event.reason, event.subject, event.message, revision, at))

    def _add(self, row: HistoryRow) -> None:
        last = self._history[-1] if self._history else None
        stored = history_tables.merged(last, replace(row, id=len(self._history) + 1))
        if last is not None and stored.id == last.id:
            self._history.pop()
        self._history.append(stored)
