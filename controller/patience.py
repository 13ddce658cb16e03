"""How work for several targets, a thread each, comes to its end once a signal has come (faults.md P16, L2).

Asked by the main thread of a controller that stays, and of a command with several targets. Owns which children are
ended meanwhile, and how long for whom is waited. Hears no signal, and tells nobody to end: that comes before.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from controller import cancellation, clock, docker_child

GRACE_S = 5.0
"""What is left for ending children and writing the record, once patience with the provisioner is over, in seconds."""

_AGAIN_S = 0.1


class Working(Protocol):
    """What works for a target, in a thread that has not ended yet."""

    @property
    def name(self) -> str:
        """Of the target."""

    @property
    def cuts(self) -> cancellation.Cancellation:
        """By which it was told to end."""


def awaited(
    working: Callable[[], Collection[Working]],
    patience_s: float,
    lost: Callable[[float], bool],
    machine: clock.Clock = clock.Clock(),
) -> bool:
    """Wait until nobody is `working` any more: for a publish to its end, for a provisioner up to `patience_s`, or until
    `lost` says that patience is lost, which waits for that for so many seconds. False when somebody, who is told to end
    and finishes nothing, hangs beyond all that."""
    patient_until_s = machine.monotonic_s() + patience_s
    while running := working():
        now_s = machine.monotonic_s()
        end_children(running, patient=now_s < patient_until_s)
        if now_s > patient_until_s + GRACE_S and not any(one.cuts.finishing for one in running):
            return False
        if lost(_AGAIN_S):
            patient_until_s = min(patient_until_s, now_s)
    return True


def end_children(working: Collection[Working], *, patient: bool) -> None:
    """End what works for targets that may be cut now: not for one that finishes a publish, nor, while there is
    patience, for one whose provisioner runs."""
    spared = {one.name for one in working if one.cuts.finishing or (patient and one.cuts.awaiting)}
    if not spared:
        docker_child.terminate_children()
    for name in {one.name for one in working} - spared if spared else ():
        docker_child.terminate_children(name)
