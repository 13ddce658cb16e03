"""Content that is being written is not content yet: it is acted on once two looks, a debounce apart, saw the same (C5),
and nobody has a file of it open for writing as far as that can be told.

Stands between a source and `controller.target`. Only what is new has to wait: what the last look settled on is taken
at once. What is wrong with a source is confirmed in the same way, so a half-copied tree is no failed pass. Reads no
file and knows no events.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from controller import clock, errors, settings, settings_sources, watched_tree

T = TypeVar("T")

_IN_MOTION = "SourceUnstable"
"""The reason of a look that saw two states: it agrees with no other look, however often it is repeated."""


@dataclass(frozen=True, slots=True)
class _Seen(Generic[T]):
    """What a look saw, and by what that is told from other things; None agrees with nothing."""

    name: tuple[str, ...] | None
    outcome: T | errors.ControllerError


class Settling:
    """The patience with one source. Kept from pass to pass; a new process waits once for what it sees first. Times are
    in seconds; `stamp` is another one as soon as anything in the source was written. `settled_ns` is
    the wall clock in nanoseconds when the last looks that agreed began."""

    def __init__(
        self, place: str, *, debounce_s: float, patience_s: float, stamp: Callable[[], str], machine: clock.Clock
    ) -> None:
        self._place = place
        self._debounce_s = debounce_s
        self._patience_s = patience_s
        self._stamp = stamp
        self._clock = machine
        self._known: tuple[str, ...] | None = None
        self.settled_ns = 0

    def settled(
        self,
        look: Callable[[], T],
        *,
        identity: Callable[[T], str],
        pause: Callable[[float], None],
        written: Callable[[], bool] = lambda: False,
    ) -> T:
        """What `look` sees once it is stable. `pause` waits, and may raise to end all this; `written` says whether
        somebody still writes what was new, which is waited for until patience is over.

        Raises what `look` raises, once that is stable too or patience is over, and `SourceUnstable` when content keeps
        moving.
        """
        began_s, began_ns = self._clock.monotonic_s(), self._clock.now_ns()
        seen = self._look(look, identity)
        while seen.name is None or seen.name != self._known:
            pause(self._debounce_s)
            before, seen = seen, self._look(look, identity)
            waited_s = self._clock.monotonic_s() - began_s
            agree = seen.name is not None and seen.name == before.name
            if agree and (waited_s >= self._patience_s or not written()):
                self._known = seen.name
            elif waited_s >= self._patience_s:
                raise self._moving(seen, waited_s)
        self.settled_ns = began_ns
        if isinstance(seen.outcome, errors.ControllerError):
            raise seen.outcome
        return seen.outcome

    def _look(self, look: Callable[[], T], identity: Callable[[T], str]) -> _Seen[T]:
        """Several states of a half-copied tree may be wrong in the same way: an error is the same one only while
        nothing at all is written."""
        try:
            value = look()
        except errors.ControllerError as error:
            if error.reason == _IN_MOTION:
                return _Seen(None, error)
            said = (error.reason, error.message, *map(str, error.problems))
            return _Seen(("error", self._stamp(), *said), error)
        return _Seen(("content", identity(value)), value)

    def _moving(self, seen: _Seen[T], waited_s: float) -> errors.ControllerError:
        if isinstance(seen.outcome, errors.ControllerError) and seen.name is not None:
            return seen.outcome
        text = f"no two looks {self._debounce_s:g} s apart saw the same for {waited_s:.1f} s"
        return errors.ControllerError(_IN_MOTION, f"{self._place}: {text}")


def of_directories(configured: settings.Settings, machine: clock.Clock) -> Mapping[Path, Settling]:
    """The patience with each directory source, by its folder."""
    own = [place for place in (configured.config_dir, configured.state_dir) if place is not None]
    return {source.path: _of_directory(source, own, machine) for source in configured.source.directories}


def _of_directory(source: settings_sources.DirectorySource, own: Sequence[Path], machine: clock.Clock) -> Settling:
    return Settling(
        str(source.path),
        debounce_s=source.debounce,
        patience_s=source.patience,
        stamp=lambda: watched_tree.stamp(source.path, own),
        machine=machine,
    )
