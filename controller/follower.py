"""The life of one target in a controller that stays: the thread of its loop, what wakes it, and who is told of it.

Beneath `controller.followers`. Owns everything that belongs to one target and to one set of settings; shares with other
targets only what cannot hold it up: log, metrics, notices and the order (faults.md C2). Decides nothing about a target.
"""

import threading
import traceback
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from controller import (
    cancellation,
    clock,
    errors,
    log,
    loop,
    metrics,
    ordering,
    pulse,
    retry,
    runs,
    settings,
    status,
    target,
    telling,
    triggers,
    turning,
    worker,
)
from controller.http import server, shown
from controller.sources import shared_fetches
from core import policy, requeue

READY_AFTER_INTERVALS = 3


def _nothing() -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Around:
    """What all targets of a process share. `ended` is called when a loop is over, `idle` by each before it waits;
    `allowed` is what was allowed on the command line."""

    log: log.Log
    metrics: metrics.Metrics
    ended: Callable[[], object] = _nothing
    idle: Callable[[], object] = _nothing
    _: KW_ONLY
    allowed: policy.Permissions = policy.Permissions()
    machine: clock.Clock = clock.Clock()


@dataclass(frozen=True, slots=True)
class Lasting:
    """What a target has from outside its settings. `asked` and `failing` outlive them; `notices` is None where nobody
    is to be told; `shared` is its part in what the remotes of the process say; `step_ms` is how often file events are
    gathered."""

    asked: runs.Runs
    place: ordering.Place
    failing: telling.Failing
    notices: telling.Notices | None
    shared: shared_fetches.Member
    step_ms: int = triggers.STEP_MS


class Follower:
    """Runs from `start` until `retire` or `stop`."""

    def __init__(self, given: settings.Settings, lasting: Lasting, around: Around) -> None:
        self.settings = given
        self.name = given.name
        self.cuts = cancellation.Cancellation()
        self.cut = False
        self._asked = lasting.asked
        self._place = lasting.place
        self._around = around
        self._counts = around.metrics.of(given.name)
        self._beats = pulse.Pulse(around.machine)
        self._bug: BaseException | None = None
        self._watchers = self._watching(lasting.step_ms)
        self._loop = self._looping(self._told(lasting), lasting.shared)
        self._thread = threading.Thread(target=self._run, name=f"loop {given.name}", daemon=True)
        self.shown = shown.Shown(
            given.name,
            lasting.asked,
            self._beats,
            self._status,
            READY_AFTER_INTERVALS * given.interval,
            status.places(given),
            given.interval,
        )

    def start(self) -> None:
        """Begin to follow."""
        for watcher in self._watchers:
            watcher.start()
        self._thread.start()

    def ask(self, cause: runs.Cause) -> None:
        """Ask for a pass."""
        self._asked.request(cause)

    def retire(self) -> None:
        """End between two passes: there are other settings, or the target is no more."""
        self.cuts.retire()
        self._wake(runs.Cause.SETTINGS)

    def stop(self, signum: int) -> None:
        """End as soon as that may be."""
        self.cuts.stop(signum)
        self._wake(runs.Cause.SIGNAL)

    def _wake(self, cause: runs.Cause) -> None:
        self._asked.request(cause)
        self._place.order.moved()

    @property
    def runs_on(self) -> bool:
        """Whether its thread is not over."""
        return self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether its loop runs, and no step has passed its limit."""
        return self._beats.alive

    @property
    def bug(self) -> BaseException | None:
        """What ended the loop, that nobody wanted to end."""
        return self._bug

    def _run(self) -> None:
        try:
            self._loop.run()
        except errors.Interrupted:
            self.cut = True
        except BaseException as error:  # noqa: BLE001 - told, and raised in the main thread when no loop is left
            self._bug = error
            self._place.ended(False)
            trace = traceback.format_exception(error)
            self._around.log.write("error", "loop ended by a bug", target=self.name, traceback=trace)
        finally:
            for watcher in self._watchers:
                watcher.stop()
            self._around.ended()

    def _looping(self, told: Callable[[turning.Turn], None], shared: shared_fetches.Member) -> loop.Loop:
        given, around = self.settings, self._around
        works = worker.Worker(
            given, self._beats, self.cuts, allowed=around.allowed, shared=shared, machine=around.machine
        )
        rhythm = requeue.Rhythm(given.interval, retry.doubling(given.retry.first, given.retry.longest))
        plumbing = turning.Plumbing(
            self._asked,
            self._beats,
            self.cuts,
            told,
            around.idle,
            around.machine,
            look_s=worker.longest_look_s(given),
            place=self._place,
        )
        return loop.Loop(works, rhythm, given.rescan, plumbing)

    def _told(self, lasting: Lasting) -> telling.Telling:
        kind = "git" if self.settings.source.git else "directory"
        who = telling.Who(self.name, kind, self._listens, lasting.failing)
        return telling.Telling(who, self._asked, self._around.log, self._counts, lasting.notices)

    @property
    def _listens(self) -> bool:
        """Whether anything tells of changes: file events, or a webhook."""
        http, source = self.settings.http, self.settings.source
        hook = http.listen is not None and server.secret_of(http) is not None
        return hook or any(one.watch for one in source.directories)

    def _watching(self, step_ms: int) -> tuple[triggers.Watcher, ...]:
        """What hears of file events of directory sources, where they are wanted."""
        given = self.settings
        watched = [source for source in given.source.directories if source.watch]
        if not watched:
            self._counts.watching("off")
        return tuple(
            triggers.Watcher(
                source.path,
                ignored=[place for place in (given.config_dir, given.state_dir) if place is not None],
                wanted=lambda: self._asked.request(runs.Cause.FILES),
                told=self._counts,
                plumbing=triggers.Plumbing(warn=self._warn, step_ms=step_ms),
            )
            for source in watched
        )

    def _warn(self, text: str) -> None:
        self._around.log.write("warning", text, target=self.name)

    def _status(self) -> dict[str, Any]:
        with target.Target(self.settings) as opened:
            return status.payload(opened)
