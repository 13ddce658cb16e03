"""Whether the loop lives: what it does now, and for how long that may take (faults.md P8, I4).

The loop says at every step what it begins and when it will be heard of again at the latest; liveness and the watchdog
of a service manager ask whether that time has passed. A long build is no hang, a build past its deadline is.
"""

import threading
from dataclasses import dataclass

from controller import clock

MARGIN_S = 15.0
"""What a step may take beyond its own deadlines: ending children, a busy machine."""


_SLOW = frozenset({"build", "push", "provision"})
"""Steps that may take many times as long as the rest of a pass."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What is going on. `since_s` and `until_s` are monotonic."""

    step: str
    since_s: float
    until_s: float


class Pulse:
    """Written by the loop, read from any thread."""

    def __init__(self, machine: clock.Clock = clock.Clock()) -> None:
        self._clock = machine
        self._lock = threading.Lock()
        self._last_good_s: float | None = None
        self._usual_s = self._slow_s = self._stretch_s = 0.0
        self._ended = False
        self._beat = Beat("starting", machine.monotonic_s(), machine.monotonic_s() + MARGIN_S)

    def enter(self, step: str, limit_s: float) -> None:
        """A step begins that is over within `limit_s` seconds."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            if self._beat.step in _SLOW:
                self._slow_s += now_s - self._beat.since_s
            if step in _SLOW:
                self._stretch_s += limit_s
            self._beat = Beat(step, now_s, now_s + limit_s + MARGIN_S)

    def good(self, took_s: float = 0.0) -> None:
        """A check has just shown that the target is as the source asks; it took so many seconds."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            self._last_good_s = now_s
            self._usual_s = max(took_s - self._slow_s, 0.0)

    def rest(self) -> None:
        """A pass is over: nothing that takes long is going on any more."""
        with self._lock:
            self._slow_s = self._stretch_s = 0.0

    def end(self) -> None:
        """The loop is over, for whatever reason."""
        with self._lock:
            self._ended = True

    @property
    def beat(self) -> Beat:
        """The step that was begun last."""
        with self._lock:
            return self._beat

    @property
    def alive(self) -> bool:
        """Whether the loop runs and no step has passed its limit."""
        with self._lock:
            return not self._ended and self._clock.monotonic_s() <= self._beat.until_s

    @property
    def allowance_s(self) -> float:
        """What a good check may be older than the intervals between passes: as long as a pass takes, and while one
        makes images or provisions, the limits of that."""
        with self._lock:
            return self._usual_s + self._stretch_s

    @property
    def good_ago_s(self) -> float | None:
        """Seconds since the last good check; None when there was none."""
        with self._lock:
            return None if self._last_good_s is None else self._clock.monotonic_s() - self._last_good_s
