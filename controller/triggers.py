"""File events below a directory source, as a hint that it is time to look (faults.md P10, D1-D4, D6).

Home of watchfiles. A thread of its own asks for a pass when something moved; what moved, and whether it matters, the
scan decides. Events get lost in many ways and silently, so nothing may depend on them: the loop looks at the source on
a timer too. Whatever befalls the listening is counted and begun anew with a growing pause, and never ends the process.

Folders are named to watchfiles one by one. It would walk a tree on its own, but through symbolic links as well and
with the interpreter's lock held: one link to a large disk would stop the whole process for seconds.
"""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from controller import clock, watched_tree

STEP_MS = 20
"""For so long nothing may move before it is told what moved. Looking so often costs about a thousandth of a core."""
GROUPED_MS = 50
"""While things keep moving, it is told this often."""
LOOK_MS = 500
"""While nothing moves, the listening is looked after this often."""
QUIET_S = 0.05
"""After a request the next one waits for this long, and is one for all that moves meanwhile (D3)."""
NEW_FOLDERS_S = 1.0
"""While folders keep being added, the listening begins anew this often to include them."""
POLL_MS = 1000
"""Between two looks where events are not to be had; one more for every folder beyond a thousand."""
EVENTS_AGAIN_S = 600.0
"""After so long without them, events are tried again."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
"""After a failure; doubled with every further one, until the listening has held for the longest of them."""
ABSENT_PAUSE_S = 1.0
"""The longest while there is no folder to listen to: looking for one costs a single call."""

_EXHAUSTED = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE})
_EXHAUSTED_TEXT = re.compile("watch limit|too many open files|no space left", re.IGNORECASE)
"""watchfiles raises what the kernel said as a text, and not always as an `OSError`."""


class Mode(StrEnum):
    """How changes are heard of."""

    EVENTS = "events"
    POLLING = "polling"
    DEAF = "deaf"


class Told(Protocol):
    """Who counts. Called in the thread of the watcher; must not raise."""

    def watch_event(self) -> None:
        """Something moved that may matter."""

    def watch_error(self) -> None:
        """The listening failed, and begins anew after a pause."""

    def watching(self, mode: str) -> None:
        """How changes are heard of from now on: a `Mode`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be listened to: folders without those in them. `poll_ms` is the time between two looks, None where
    there are events, which are gathered every `step_ms`."""

    folders: Sequence[str]
    poll_ms: int | None
    stop: threading.Event
    step_ms: int = STEP_MS


Watch = Callable[[Wish], Generator[Collection[watched_tree.Change], None, None]]
"""Yields what moved, and an empty batch every `LOOK_MS`. May end, or raise anything, at any time."""


def watch_files(wish: Wish) -> Generator[Collection[watched_tree.Change], None, None]:
    """The real one."""
    import watchfiles

    yield from watchfiles.watch(
        *wish.folders,
        watch_filter=None,
        debounce=max(GROUPED_MS, wish.step_ms),
        step=wish.step_ms,
        stop_event=wish.stop,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
        debug=False,
        raise_interrupt=False,
        force_polling=wish.poll_ms is not None,
        poll_delay_ms=wish.poll_ms or POLL_MS,
        recursive=False,
        ignore_permission_denied=False,  # with it, exhausted watches would pass in silence too
    )


def _silent(text: str) -> None:
    del text


@dataclass(frozen=True, slots=True)
class Plumbing:
    """What the watcher is connected with. `warn` takes a sentence for the log, once for every change of mode; `pause`
    waits for so many seconds, or until the event is set; `step_ms` is that of a `Wish`."""

    watch: Watch = watch_files
    warn: Callable[[str], object] = _silent
    pause: Callable[[threading.Event, float], object] = threading.Event.wait
    machine: clock.Clock = clock.Clock()
    step_ms: int = STEP_MS


class Watcher:
    """Listens below `root`, and calls `wanted` when it is time to look. What happens in the `ignored` folders (those
    that are written here) asks for nothing."""

    def __init__(
        self,
        root: Path,
        *,
        ignored: Collection[Path],
        wanted: Callable[[], object],
        told: Told,
        plumbing: Plumbing = Plumbing(),
    ) -> None:
        self._root = os.path.abspath(root)
        self._ignored = tuple(ignored)
        self._wanted = wanted
        self._told = told
        self._with = plumbing
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._said: tuple[Mode, str] | None = None
        self._exhausted = ""
        self._exhausted_s = 0.0

    def start(self) -> None:
        """Begin, in a thread of its own. As soon as it listens it asks for a look: what moved before is found (D4)."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns within a second."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            began_s = self._now()
            longest_s = self._listened()
            if self._now() - began_s >= LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            if longest_s:
                self._with.pause(self._stop, min(pause_s, longest_s))
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _listened(self) -> float:
        """Listen until that has to begin anew; the longest pause before it does, 0 when nothing failed."""
        try:
            self._listen(watched_tree.survey(self._root, self._ignored))
        except watched_tree.Absent as error:
            self._absent(str(error))
            return ABSENT_PAUSE_S
        except Exception as error:  # noqa: BLE001 - whatever fails in a library must not end what is a mere hint
            self._failed(error)
            return LONGEST_PAUSE_S
        return 0.0

    def _listen(self, tree: watched_tree.Tree) -> None:
        """Until the tree has become another one. Raises whatever the listening raises."""
        wish = Wish(tree.folders, self._poll_ms(tree), self._stop, self._with.step_ms)
        with contextlib.closing(self._with.watch(wish)) as batches:
            armed, grown_s = False, None
            for changes in batches:
                if self._stop.is_set():
                    return
                if not armed:
                    self._arm(wish, tree)
                self._hear(changes, tree, armed=armed)
                armed = True
                if grown_s is None and any(tree.grows(change) for change in changes):
                    grown_s = self._now()
                if tree.replaced(changes) or self._tries_events() or self._has_grown(grown_s, changes):
                    return
        if not self._stop.is_set():
            raise RuntimeError("the listening ended by itself")

    def _arm(self, wish: Wish, tree: watched_tree.Tree) -> None:
        partly = f"{self._root}: only {len(tree.folders)} folders are listened to" if tree.partly else ""
        self._be(Mode.EVENTS if wish.poll_ms is None else Mode.POLLING, self._exhausted or partly)

    def _hear(self, changes: Collection[watched_tree.Change], tree: watched_tree.Tree, *, armed: bool) -> None:
        """The first batch asks for a look whatever is in it: nobody listened until now."""
        matters = any(tree.matters(change) for change in changes)
        if matters:
            self._told.watch_event()
        if matters or not armed:
            self._ask()

    def _has_grown(self, grown_s: float | None, changes: Collection[watched_tree.Change]) -> bool:
        """Whether it is time to include new folders: when nothing moves any more, or every second."""
        return grown_s is not None and (not changes or self._now() - grown_s >= NEW_FOLDERS_S)

    def _tries_events(self) -> bool:
        """Whether there were none for long enough to try again."""
        return bool(self._exhausted) and self._now() - self._exhausted_s >= EVENTS_AGAIN_S

    def _poll_ms(self, tree: watched_tree.Tree) -> int | None:
        if not self._exhausted or self._tries_events():
            self._exhausted = ""
            return None
        return max(POLL_MS, len(tree.folders))

    def _failed(self, error: Exception) -> None:
        self._told.watch_error()
        text = f"{self._root}: {type(error).__name__}: {error}"
        if _is_exhausted(error) and not self._exhausted:
            self._exhausted, self._exhausted_s = f"{text}: no file events, looking on a timer instead", self._now()
        else:
            self._be(Mode.DEAF, text)
        self._ask()

    def _absent(self, text: str) -> None:
        if self._be(Mode.DEAF, text):
            self._told.watch_error()
            self._ask()

    def _be(self, mode: Mode, text: str) -> bool:
        """Tell it when it is new; whether it is."""
        if self._said == (mode, text):
            return False
        self._said = (mode, text)
        self._told.watching(mode)
        if text:
            self._with.warn(text)
        return True

    def _ask(self) -> None:
        self._wanted()
        self._with.pause(self._stop, QUIET_S)

    def _now(self) -> float:
        return self._with.machine.monotonic_s()


def _is_exhausted(error: Exception) -> bool:
    number = error.errno if isinstance(error, OSError) else None
    return number in _EXHAUSTED or bool(_EXHAUSTED_TEXT.search(str(error)))
