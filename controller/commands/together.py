"""Work on several targets side by side, a thread each, as in a controller that stays (faults.md C2, P16, L2).

Used by `controller.commands.several`. Owns when each begins, behind those that it is after, and how a signal ends them
all: what reads, builds or waits is cut short, a publish is finished. With one target there is none of this.
"""

import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from controller import cancellation, errors, ordering, patience, runs
from core import turn_order

if TYPE_CHECKING:
    from controller.commands import several

_AGAIN_S = 1.0
"""Who waits looks at least so often whether to go on, in seconds."""


def run(parts: "Sequence[several.Part]", hears: cancellation.Cuts, *, waits: bool) -> None:
    """Do the work of all parts, and tell of each in its place, as soon as it and those before it have ended. `hears` is
    how signals come to this thread. With `waits`, none begins before those that it is after, nor behind a failed one.

    Raises what a signal raises when that has cut any part short. Those that were whole by then are told of, and none
    runs on that anything can end."""
    threads = _of(parts, ordering.Order(), waits=waits)
    untold = list(threads)
    try:
        with hears.deferred(complete=False):
            for one in threads:
                one.start()
        while untold:
            untold[0].wait()
            untold.pop(0).part.tell()
    except BaseException as error:
        signum = error.signum if isinstance(error, errors.Interrupted) else None
        _end(threads, signum or signal.SIGTERM)
        for one in untold:
            if one.whole:
                one.part.tell()
        if not (signum and all(one.whole for one in threads)):
            raise


def _of(parts: "Sequence[several.Part]", order: ordering.Order, *, waits: bool) -> "list[_Thread]":
    return [_Thread(part, order.enter(part.name, runs.Runs(), part.after if waits else ())) for part in parts]


def _end(threads: "Sequence[_Thread]", signum: int) -> None:
    """The last ones first: who waits must not take the end of another for its failure."""
    for one in reversed(threads):
        one.stop(signum)
    patience.awaited(lambda: [one for one in threads if one.runs_on], 0.0, threading.Event().wait)


class _Thread:
    """Of one part, from `start` on."""

    def __init__(self, part: "several.Part", place: ordering.Place) -> None:
        self.part = part
        self.name = part.name
        self.cuts = cancellation.Cancellation()
        self._place = place
        self._begun = self._cut = False
        self._over = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=f"part {self.name}", daemon=True).start()
        self._begun = True

    def wait(self) -> None:
        """Until it is over. Not by joining: what a signal raises there makes a thread that runs look ended."""
        while not self._over.wait(_AGAIN_S):
            pass

    def stop(self, signum: int) -> None:
        """End it, as soon as that may be."""
        self.cuts.stop(signum)
        self._place.order.moved()

    @property
    def runs_on(self) -> bool:
        """Whether it is not over."""
        return self._begun and not self._over.is_set()

    @property
    def whole(self) -> bool:
        """Whether the part came to its own end."""
        return self._over.is_set() and not self._cut

    def _run(self) -> None:
        try:
            verdict = self._awaited()
            if verdict.word is turn_order.Word.REFUSE:
                self.part.refuse(ordering.refusal(verdict))
            else:
                self.part.run(self.cuts)
        except errors.Interrupted:
            self._cut = True
        finally:  # what fails because its children were ended was cut short, too
            self._cut = self._cut or (self.cuts.stopped and not self.part.good)
            self._place.ended(self.part.good)
            self._over.set()

    def _awaited(self) -> turn_order.Verdict:
        """What those before it have come to."""
        while (verdict := self._place.pause(lambda: self.cuts.stopped, _AGAIN_S)).word is turn_order.Word.WAIT:
            self.cuts.check()
        self.cuts.check()
        return verdict
