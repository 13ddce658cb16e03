"""Why the work of a thread should end now, and when it must not (faults.md P16, L2).

A target's thread works; the main thread gets the signals. Owns the rule between them: reading, building and waiting are
cut short, a publish is finished, the provisioner is waited for as long as the settings say. Newer content or other
settings cut a build short too, and nothing else. Cuts nothing itself: whoever waits asks `check`, and whoever started a
child ends it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from controller import errors


class Cuts(Protocol):
    """What a target is told by: this module's class where each has a thread, `signals.Interruption` where one is alone
    in a command."""

    def check(self) -> None:
        """Raise when the work should end."""

    def check_newer(self) -> None:
        """The same while images are made."""

    def deferred(self, *, complete: bool = True) -> AbstractContextManager[None]:
        """Finish what is inside."""

    def awaited(self) -> AbstractContextManager[None]:
        """The provisioner runs inside."""


class Superseded(BaseException):
    """Newer content, or other settings, arrived while images were made from the older: the words say which. Not an
    `Exception`, so that nothing takes it for a failure."""


def _never() -> bool:
    return False


class Cancellation:
    """Shared by a target's thread and the main one."""

    def __init__(self) -> None:
        self._newer: Callable[[], bool] = _never
        self._signum = 0
        self._retired = False
        self._finishing = threading.Event()
        self._awaiting = threading.Event()

    def stop(self, signum: int) -> None:
        """End the work, as soon as it may be ended."""
        self._signum = signum

    def retire(self) -> None:
        """End the loop between two passes, for one with other settings."""
        self._retired = True

    @property
    def retired(self) -> bool:
        """Whether `retire` was called."""
        return self._retired

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._signum != 0

    @property
    def finishing(self) -> bool:
        """Whether something is going on that must not be cut."""
        return self._finishing.is_set()

    @property
    def awaiting(self) -> bool:
        """Whether the provisioner runs, which deserves some patience."""
        return self._awaiting.is_set()

    def check(self) -> None:
        """Raise `errors.Interrupted` once somebody wants an end."""
        if self._signum and not self._finishing.is_set():
            raise errors.Interrupted(self._signum)

    def check_newer(self) -> None:
        """The same while images are made; `Superseded` when what they are made from is old."""
        self.check()
        if self._retired:
            raise Superseded("the settings were read again")
        if self._newer():
            raise Superseded("newer content came")

    @contextmanager
    def superseded_by(self, newer: Callable[[], bool]) -> Iterator[None]:
        """`newer` says whether the source has moved on; it is asked in the calling thread, while images are made."""
        self._newer = newer
        try:
            yield
        finally:
            self._newer = _never

    @contextmanager
    def deferred(self, *, complete: bool = True) -> Iterator[None]:
        """Finish what is inside. With it the work is `complete`; otherwise a wish for an end is heard right after."""
        self.check()
        self._finishing.set()
        try:
            yield
        finally:
            self._finishing.clear()
        if not complete:
            self.check()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """The provisioner runs inside."""
        self.check()
        self._awaiting.set()
        try:
            yield
        finally:
            self._awaiting.clear()
