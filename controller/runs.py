"""Requests for a pass, and what became of them: where triggers and the loop meet.

A request carries no content, it only says "look" (design.md section 1). All that arrive before the pass begins are one
run with one id (faults.md I6): at most one runs and one waits, however many ask. Keeps the last runs in memory for
those who ask what became of theirs. Knows nothing of what a pass does.
"""

import collections
import itertools
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

from controller import clock

KEPT = 200
"""How many ended runs are remembered."""

Outcome = Mapping[str, object]
"""How a run ended, as the JSON of docs/json.md: ``reason``, ``message``, ``failed``, ``changed``, ``revision``, …"""


class Cause(StrEnum):
    """Why somebody wants a look."""

    START = "start"
    INTERVAL = "interval"
    RESCAN = "rescan"
    RETRY = "retry"
    FILES = "files"
    WEBHOOK = "webhook"
    SIGNAL = "signal"
    SETTINGS = "settings"
    AFTER = "after"
    SHARED = "shared"


class State(StrEnum):
    """How far a run is."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Run:
    """One pass that was asked for. `requested_s` is the monotonic time of the first request, `requested_at` the same
    for people. `outcome` is empty until it has ended."""

    id: str
    state: State
    causes: frozenset[Cause]
    requested_s: float
    requested_at: str
    outcome: Outcome = field(default_factory=dict)


def _nobody() -> None:
    """Nobody wants to know."""


class Runs:
    """The waiting run, the running one, and the last that ended, of one target. Every method may be called from any
    thread. `moved` is called, by whoever did it, after `busy` may have become another."""

    def __init__(self, machine: clock.Clock = clock.Clock(), moved: Callable[[], object] = _nobody) -> None:
        self._clock = machine
        self._moved = moved
        self._running = False
        self._changed = threading.Condition()
        self._waiting: Run | None = None
        self._known: collections.OrderedDict[str, Run] = collections.OrderedDict()
        self._numbers = itertools.count(1)
        self._series = secrets.token_hex(4)
        self._requests = 0
        self._asked_s = float("-inf")
        self._ended = 0

    def request(self, cause: Cause) -> str:
        """Ask for a look; the id of the run that will answer."""
        with self._changed:
            self._requests += 1
            if cause is not Cause.SHARED:
                self._asked_s = self._clock.monotonic_s()
            waiting = self._waiting or self._new()
            waiting = replace(waiting, causes=waiting.causes | {cause})
            self._waiting = self._known[waiting.id] = waiting
            self._changed.notify_all()
        self._moved()
        return waiting.id

    @property
    def busy(self) -> bool:
        """Whether a run is under way, or asked for and not begun."""
        with self._changed:
            return self._running or self._waiting is not None

    @property
    def asked_s(self) -> float:
        """The monotonic time at which somebody asked last who knew nothing yet: what another target of the same remote
        saw is news, and no question."""
        return self._asked_s

    @property
    def requests(self) -> int:
        """How often somebody asked so far."""
        return self._requests

    @property
    def ended(self) -> int:
        """How many runs are over."""
        return self._ended

    def await_request(self, timeout_s: float) -> bool:
        """Sleep until somebody asks, at most `timeout_s` seconds; whether somebody did."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is not None, timeout=max(timeout_s, 0))

    @contextmanager
    def begun(self, cause: Cause) -> Iterator[Run]:
        """Begin the waiting run, or, when nobody asked, one of `cause`. Who asks from now on gets the next one. A run
        for which nobody called `end` ends with the block, without an outcome."""
        with self._changed:
            run = self._waiting or self._new()
            run = replace(run, state=State.RUNNING, causes=run.causes or frozenset({cause}))
            self._waiting, self._running = None, True
            self._known[run.id] = run
        self._moved()
        try:
            yield run
        finally:
            if self._known[run.id].state is not State.ENDED:
                self.end(run, {})
            self._running = False
            self._moved()

    def end(self, run: Run, outcome: Outcome) -> None:
        """Say what became of a run."""
        with self._changed:
            self._ended += 1
            self._known[run.id] = replace(self._known[run.id], state=State.ENDED, outcome=dict(outcome))
            for old in [one for one, kept in self._known.items() if kept.state is State.ENDED][:-KEPT]:
                del self._known[old]
            self._changed.notify_all()

    def find(self, run_id: str) -> Run | None:
        """A run by its id; None for one that never was, or too long ago."""
        with self._changed:
            return self._known.get(run_id)

    def await_end(self, run_id: str, timeout_s: float) -> Run | None:
        """The same, after its end, or as it is after `timeout_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over(run_id), timeout=max(timeout_s, 0))
            return self._known.get(run_id)

    def _is_over(self, run_id: str) -> bool:
        run = self._known.get(run_id)
        return run is None or run.state is State.ENDED

    def _new(self) -> Run:
        number = f"{self._series}-{next(self._numbers)}"
        return Run(number, State.WAITING, frozenset(), self._clock.monotonic_s(), clock.iso(self._clock.utc()))
