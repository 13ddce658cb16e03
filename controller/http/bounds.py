"""What strangers may use up: connections, seconds, bytes and threads (faults.md I2, P14).

Values only; `connections` and `app` keep to them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server. Times are seconds."""

    connections: int = 64
    """Open at a time, each with up to 256 KiB that were read and not yet looked at. The oldest that does not get an
    answer at the moment makes room for a new one."""
    headers_s: float = 5.0
    """From connecting, or from the last answer, to the end of a request's headers."""
    body_s: float = 10.0
    """From there to the end of its body."""
    max_body_bytes: int = 1 << 20
    rate_per_minute: int = 120
    waiters: int = 16
    """Requests that wait for the end of a run, at a time."""
    wait_s: float = 60.0
    """The longest that one of them waits."""

    @property
    def answer_s(self) -> float:
        """The longest that any answer takes, with the reading of it."""
        return self.wait_s + 30.0

    @property
    def max_drained_bytes(self) -> int:
        """What is read of a body that is too large, and thrown away: who is still sending is not yet listening."""
        return 2 * self.max_body_bytes


USUAL = Limits()
