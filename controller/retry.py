"""Trying one call again: the only home of tenacity.

Owns how often and after what waits. Stands around single calls, never around a whole pass: a pass that failed is tried
again by the loop. Decides nothing about errors: the caller says which ones may pass by themselves. The library's types
stay inside; what the function raised is what the caller sees.
"""

import random
from collections.abc import Callable
from typing import TypeVar

from controller import clock

_Result = TypeVar("_Result")

Waits = Callable[[int], float]
"""Seconds to wait after attempt 1, 2, …"""

LONGEST_S = 30.0
"""No wait between two attempts is longer, in seconds."""


def sleep(seconds: float) -> None:
    """Wait by the machine's clock, in seconds."""
    clock.Clock().sleep(seconds)


def backoff(first_s: float, *, jitter: Callable[[], float] = random.random) -> Waits:
    """Waits that double, up to `LONGEST_S`, each between half of itself and the whole. `jitter` gives 0 to 1: those
    who failed together must not come back together."""

    def wait_s(attempt: int) -> float:
        longest = min(LONGEST_S, first_s * 2.0 ** min(attempt - 1, 30))
        return float(longest * (0.5 + jitter() / 2))

    return wait_s


def doubling(first_s: float, longest_s: float) -> Waits:
    """Waits that double up to `longest_s`, without chance: the loop's back-off after failed passes."""
    import tenacity

    strategy = tenacity.wait_exponential(multiplier=first_s, max=longest_s)

    def wait_s(failures: int) -> float:
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = max(failures, 1)
        return float(strategy(state))

    return wait_s


def call(
    function: Callable[[], _Result],
    *,
    attempts: int,
    wait_s: float | Waits,
    transient: Callable[[Exception], bool],
    sleep: Callable[[float], None] = sleep,
) -> _Result:
    """What `function` returns, after at most `attempts` calls (one at least). `wait_s` is the first wait of a `backoff`
    in seconds, or the waits themselves.

    Raises what the last call raised; at once when `transient` says no, or when it is no `Exception` at all (a signal).
    """
    import tenacity  # when something is really tried: a command that calls nothing must not pay for its import

    waits = wait_s if callable(wait_s) else backoff(wait_s)
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=lambda state: waits(state.attempt_number),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Exception) and transient(error)),
        sleep=sleep,
        reraise=True,
    )
    return retrying(function)
