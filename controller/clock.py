"""The one place that reads clocks. Everything that needs time takes a `Clock`, so that tests pass time in."""

import datetime
import re
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """The machine's clocks. Waits use `monotonic`; the wall clock is for people, records and modification times."""

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, comparable with file times."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def utc(self) -> datetime.datetime:
        """The wall clock in UTC."""
        return datetime.datetime.fromtimestamp(self.now_s(), tz=datetime.UTC)


_WHOLE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.0+)?(Z|[+-][0-9]{2}:[0-9]{2})")


def whole_second(text: str) -> int | None:
    """Seconds since the epoch of an RFC 3339 time; None for what is none, and for a part of a second."""
    found = _WHOLE.fullmatch(text)
    try:
        return int(datetime.datetime.fromisoformat(f"{found[1]}{found[2]}").timestamp()) if found else None
    except (ValueError, OverflowError):
        return None


def iso(moment: datetime.datetime) -> str:
    """``2026-02-20T07:04:04Z``: how every time is written by this project."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
