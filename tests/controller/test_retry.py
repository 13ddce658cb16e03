"""Trying one call again (faults.md H10): only what may pass by itself, and after waits that grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import errors, retry


class Service:
    """Something that fails with these errors, one after the other, and then answers."""

    def __init__(self, *failing: BaseException) -> None:
        self.failing = list(failing)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failing:
            raise self.failing.pop(0)
        return "answer"


def is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError)


def test_h10_what_passes_by_itself_is_tried_again_after_growing_waits() -> None:
    service, waited = Service(TimeoutError(), TimeoutError()), list[float]()
    waits = retry.backoff(2.0, jitter=lambda: 1.0)
    answer = retry.call(service, attempts=3, wait_s=waits, transient=is_timeout, sleep=waited.append)
    assert (answer, service.calls, waited) == ("answer", 3, [2.0, 4.0])


def test_h10_the_last_error_comes_out_as_it_was() -> None:
    last = TimeoutError("third")
    service, waited = Service(TimeoutError("first"), TimeoutError("second"), last), list[float]()
    with pytest.raises(TimeoutError) as raised:
        retry.call(service, attempts=3, wait_s=1.0, transient=is_timeout, sleep=waited.append)
    assert raised.value is last
    assert len(waited) == 2, "nothing waits for an attempt that does not come"


@pytest.mark.parametrize("attempts", [0, 1])
def test_there_is_one_attempt_at_least(attempts: int) -> None:
    waited = list[float]()
    assert retry.call(Service(), attempts=attempts, wait_s=1.0, transient=is_timeout, sleep=waited.append) == "answer"
    assert waited == []


def test_h10_what_does_not_pass_is_tried_once() -> None:
    service, waited = Service(PermissionError("denied")), list[float]()
    with pytest.raises(PermissionError, match="denied"):
        retry.call(service, attempts=3, wait_s=1.0, transient=is_timeout, sleep=waited.append)
    assert (service.calls, waited) == (1, [])


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), errors.Interrupted(15)])
def test_p8_a_signal_is_never_tried_again(signal: BaseException) -> None:
    service = Service(signal)
    with pytest.raises(type(signal)):
        retry.call(service, attempts=3, wait_s=1.0, transient=lambda _: True, sleep=lambda _: None)
    assert service.calls == 1


@given(first_s=st.floats(0.01, 100), chance=st.floats(0, 1), attempt=st.integers(1, 2000))
def test_waits_are_spread_grow_and_have_an_end(first_s: float, chance: float, attempt: int) -> None:
    wait_s = retry.backoff(first_s, jitter=lambda: chance)(attempt)
    whole_s = retry.backoff(first_s, jitter=lambda: 1.0)(attempt)
    assert whole_s / 2 <= wait_s <= whole_s <= retry.LONGEST_S
    assert whole_s <= retry.backoff(first_s, jitter=lambda: 1.0)(attempt + 1)
