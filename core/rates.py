"""How often something may happen: so many at once, then one in so many seconds. Pure; time is passed in.

Bounds what strangers or failures can make happen: looks that webhooks ask for (faults.md I6), messages (I7).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `at_once`, and after that `per_minute`."""

    at_once: int
    per_minute: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left at a time; `at_s` is monotonic."""

    left: float
    at_s: float


def full(rate: Rate, *, now_s: float) -> Bucket:
    """Before anything happened."""
    return Bucket(float(rate.at_once), now_s)


def taken(bucket: Bucket, rate: Rate, *, now_s: float) -> tuple[Bucket, float]:
    """The bucket after one more wish, and in how many seconds it may be granted: 0 says that it is."""
    per_second = rate.per_minute / 60
    left = min(float(rate.at_once), bucket.left + max(now_s - bucket.at_s, 0.0) * per_second)
    # Sums of parts of a second fall short of a whole by less than this.
    if left >= 1 - 1e-9:
        return Bucket(max(left - 1, 0.0), now_s), 0.0
    return Bucket(left, now_s), (1 - left) / per_second
