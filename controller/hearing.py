"""Signals of a controller that stays, as its main thread hears them, one after another (faults.md P16, L2).

Owns that none is lost: what came is noted by number, and a byte only wakes whoever waits. Like the kernel's, equal
signals that nobody has heard yet are one. Knows nothing of what a signal means.
"""

import select
import signal
import socket
from contextlib import suppress
from types import FrameType
from typing import Self

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""The first ones first: an end is not kept waiting by wishes that it makes void."""

NOTHING = 0
"""Heard when the time is over, or when somebody called `wake`."""


class Ear:
    """Closed like a file. Only the main thread may use it, but for `wake`."""

    def __init__(self) -> None:
        self._came: set[int] = set()
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ear.close()
        self._mouth.close()

    def open(self) -> None:
        """Take over the signals of this process. The byte comes from the kernel's handler, at once: one of Python's
        would wait until this thread, which may just be about to sleep, runs again. When there is no more room for
        bytes nothing is lost: there is enough to wake this thread, and the number is noted beside."""
        signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        for number in HEARD:
            signal.signal(number, self._note)

    def shut(self) -> None:
        """From now on signals do nothing: the interpreter's own end must not be cut short by the next one."""
        for number in HEARD:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)

    def wake(self) -> None:
        """End the wait of `next`, from any thread."""
        with suppress(OSError):  # full: there is enough to hear
            self._mouth.send(bytes([NOTHING]))

    def next(self, seconds: float) -> int:
        """The next one that came or comes; `NOTHING` when the time is over, or when somebody woke this thread."""
        if not self._came:
            select.select([self._ear], [], [], seconds)
            with suppress(BlockingIOError):
                self._ear.recv(1 << 16)
        return self._first()

    def _first(self) -> int:
        for number in HEARD:
            if number in self._came:
                self._came.discard(number)
                return number
        return NOTHING

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del frame
        self._came.add(signum)
