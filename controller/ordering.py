"""The order between targets: who waits for whom, and who is woken when (`after` in controller.yml).

Stands beside the loops of one process, or the threads of one command, which ask it before every pass. Owns what each
target's last pass came to, and the waiting; the rule is `core.turn_order`'s. Nobody holds a lock of it while a pass
runs, so that one that hangs holds up only those that come after it (faults.md C2).
"""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from controller import errors, runs
from core import turn_order


def refusal(verdict: turn_order.Verdict) -> errors.ControllerError:
    """The error of a pass that is due and is not run because of those before it."""
    return errors.ControllerError("AfterFailed", f"not converged: {verdict.because}")


@dataclass(slots=True)
class _Standing:
    """How one target stands. `again` says that its pass was cut short and begins anew at once, `waits` that one is due
    and waits itself; `refused` that it was due and was not run."""

    asked: runs.Runs
    after: Collection[str]
    good: bool | None = None
    again: bool = True
    waits: bool = False
    refused: bool = False


class Order:
    """Of all targets of a process. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._standings: dict[str, _Standing] = {}

    def enter(self, name: str, asked: runs.Runs, after: Collection[str]) -> "Place":
        """A target begins (anew): until its first pass has ended, those after it wait. `after` are names of others."""
        standing = _Standing(asked, tuple(after))
        with self._moved:
            self._standings[name] = standing
        self.moved()
        return Place(self, name, standing)

    def leave(self, name: str) -> None:
        """A target is no more."""
        with self._moved:
            self._standings.pop(name, None)
        self.moved()

    def moved(self) -> None:
        """Something may be otherwise: those who wait look again."""
        with self._moved:
            self._moved.notify_all()

    def verdict(self, standing: _Standing) -> turn_order.Verdict:
        """Whether a pass of this target may begin. One that it is after and that is no more counts for nothing."""
        with self._moved:
            found = [(one, self._standings[one]) for one in standing.after if one in self._standings]
            return turn_order.verdict(
                turn_order.Before(name, other.again or other.waits or other.asked.busy, other.good)
                for name, other in found
            )

    def pause(self, standing: _Standing, enough: Callable[[], bool], seconds: float) -> turn_order.Verdict:
        """Wait until a pass may begin or is refused, `enough` says so, or the time is over; the verdict then."""

        def is_over() -> bool:
            return enough() or self.verdict(standing).word is not turn_order.Word.WAIT

        with self._moved:
            standing.waits = not is_over()
            self._moved.wait_for(is_over, timeout=seconds)
            standing.waits = False
            return self.verdict(standing)

    def note(self, place: "Place", good: bool | None, *, refused: bool) -> None:
        """How a pass that was due ended; whoever was refused because of this target is asked to look. A target that
        has begun anew meanwhile is not spoken for by what it was before."""
        with self._moved:
            standing, current = place.standing, self._standings.get(place.name)
            standing.again = good is None
            standing.good = standing.good if good is None else good
            standing.refused = refused
            known = self._standings.values() if current is standing and good else ()
            freed = [one for one in known if one.refused and place.name in one.after]
            if refused and self.verdict(standing).word is turn_order.Word.BEGIN:  # it moved just now
                freed.append(standing)
            for one in freed:
                one.refused = False
        for one in freed:
            one.asked.request(runs.Cause.AFTER)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one target in the order, as its loop asks for it."""

    order: Order
    name: str
    standing: _Standing

    def pause(self, enough: Callable[[], bool], seconds: float) -> turn_order.Verdict:
        """Wait until a pass may begin or is refused, `enough` says so, or the time is over; the verdict then."""
        return self.order.pause(self.standing, enough, seconds)

    def ended(self, good: bool | None) -> None:
        """A pass ended well or not; None when it was cut short, and begins anew at once."""
        self.order.note(self, good, refused=False)

    def refused(self) -> None:
        """A pass that was due was not run."""
        self.order.note(self, False, refused=True)
