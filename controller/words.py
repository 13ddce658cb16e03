"""Words of a change that nobody has seen yet: what asked for a look, and could not be looked at.

Kept by the loop from turn to turn, for as long as the source cannot be had or a pass may not begin (faults.md E2, P10):
the pass that sees the change then counts its reaction from the first of them, and takes it for no miss.
"""

from dataclasses import dataclass

from controller import runs

OF_CHANGE = frozenset({runs.Cause.FILES, runs.Cause.WEBHOOK})
"""Causes that come with a change of the source, so that the time since then is the one of the reaction."""

_OF_NOTHING = frozenset({runs.Cause.RESCAN, runs.Cause.INTERVAL, runs.Cause.RETRY, runs.Cause.AFTER})
"""Causes that tell of no change."""


@dataclass(frozen=True, slots=True)
class Words:
    """The causes, and the monotonic time at which the first of them came."""

    causes: frozenset[runs.Cause] = frozenset()
    since_s: float | None = None

    def and_of(self, run: runs.Run) -> "Words":
        """With what a run was asked for by. What was there at the start is no news."""
        told = run.causes & OF_CHANGE
        if not told or runs.Cause.START in run.causes:
            return self
        return Words(self.causes | told, run.requested_s if self.since_s is None else self.since_s)

    def tells(self, run: runs.Run) -> bool:
        """Whether anything told that something might have changed, to this run or before it."""
        return bool((run.causes | self.causes) - _OF_NOTHING)
