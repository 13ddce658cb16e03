"""Signals of a one-shot command (faults.md P16, L2).

SIGTERM, SIGINT and SIGHUP end the work at once while it only reads, builds or waits for the provisioner; while it
writes they wait until the generation and its record are complete, which takes well under a second. Where several
targets are worked on side by side they end the wait of the main thread, and `cancellation` tells the others. SIGUSR1
means "look now" to a running loop and nothing here.
"""

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import NoReturn

from controller import errors

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interruption:
    """Turns signals into `errors.Interrupted`, except inside `deferred`. A second signal changes nothing any more."""

    def __init__(self) -> None:
        self._deferred = False
        self._ending = False
        self._arrived_meanwhile = 0

    def install(self) -> None:
        """Take over the signals of this process."""
        for number in _ENDING:
            signal.signal(number, self._arrived)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    @contextmanager
    def deferred(self, *, complete: bool = True) -> Iterator[None]:
        """Finish what is inside. A signal that came meanwhile cut nothing short when the work is `complete` with it;
        otherwise it ends the work here."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self._arrived_meanwhile and not complete:
            self._end(self._arrived_meanwhile)

    def check(self) -> None:
        """Nothing to ask: a signal is raised where the work is."""

    check_newer = check

    def awaited(self) -> AbstractContextManager[None]:
        """A signal ends the wait for the provisioner, too."""
        return nullcontext()

    def _arrived(self, signum: int, frame: FrameType | None) -> None:
        del frame
        if self._deferred:
            self._arrived_meanwhile = signum
        elif not self._ending:
            self._end(signum)

    def _end(self, signum: int) -> NoReturn:
        self._ending = True
        for number in _ENDING:  # the interpreter's own end must not be cut short by the next one either
            signal.signal(number, signal.SIG_IGN)
        raise errors.Interrupted(signum)
