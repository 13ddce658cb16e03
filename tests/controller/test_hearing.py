"""No signal is lost, however many come at once (faults.md P16, L2)."""

import os
import signal
from collections.abc import Iterator

import pytest

from controller import hearing


@pytest.fixture
def ear() -> Iterator[hearing.Ear]:
    """One that hears; the signals of this process are as before after it."""
    before = {number: signal.getsignal(number) for number in hearing.HEARD}
    with hearing.Ear() as opened:
        opened.open()
        yield opened
        opened.shut()
    for number, action in before.items():
        signal.signal(number, action)


def test_p16_an_end_is_heard_although_there_is_no_room_for_more_wishes(ear: hearing.Ear) -> None:
    for _ in range(100_000):  # more than the socket takes
        ear.wake()
    os.kill(os.getpid(), signal.SIGTERM)
    assert ear.next(0) == signal.SIGTERM
    assert ear.next(0) == hearing.NOTHING


def test_p16_an_end_comes_before_wishes(ear: hearing.Ear) -> None:
    for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    heard = [ear.next(0) for _ in range(4)]
    assert heard == [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, hearing.NOTHING]


def test_who_waits_is_woken_by_a_signal_and_by_a_call(ear: hearing.Ear) -> None:
    ear.wake()
    assert ear.next(3600) == hearing.NOTHING
    os.kill(os.getpid(), signal.SIGUSR1)
    assert ear.next(3600) == signal.SIGUSR1
