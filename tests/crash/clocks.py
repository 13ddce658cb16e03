"""A clock that a test sets."""

from controller import clock


class ShownClock(clock.Clock):
    """Shows what it was set to. Waiting moves it."""

    __slots__ = ("_times",)
    _times: list[float]  # the wall clock, the monotonic one

    def __init__(self, now_s: float) -> None:
        object.__setattr__(self, "_times", [now_s, 0.0])  # the clock that it stands for is frozen

    def now_s(self) -> float:
        """The wall clock."""
        return self._times[0]

    def now_ns(self) -> int:
        """The same, in nanoseconds."""
        return int(self._times[0] * 10**9)

    def monotonic_s(self) -> float:
        """Only waiting moves it."""
        return self._times[1]

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._times[0] += seconds
        self._times[1] += seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._times[0] += seconds
