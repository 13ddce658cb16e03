"""The controller that stays: one loop in a thread of its own, and around it what wakes it and what is told of it.

Owns the life of the process (faults.md P16, L2): signals arrive here, in the main thread, and become wishes; the loop's
thread cuts its own work where that may be cut. New settings begin a new loop between two passes, while requests,
metrics and the log go on. Decides nothing about a target.
"""

import gc
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

from controller import (
    cancellation,
    clock,
    docker_child,
    errors,
    log,
    loop,
    metrics,
    notify,
    pulse,
    reaper,
    retry,
    runs,
    settings,
    status,
    systemd,
    target,
    telling,
    triggers,
    worker,
)
from controller.http import server
from core import policy, requeue

_HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_NOTHING = 0
"""Heard when the loop has ended, so that nobody waits for the next tick."""

_TICK_S = 1.0
_GRACE_S = 5.0
"""What is left for ending children and writing the record, once patience with the provisioner is over, in seconds."""


class Daemon:
    """One process. `load` reads the settings anew; `allowed` is what was allowed on the command line."""

    def __init__(
        self,
        load: Callable[[], settings.Settings],
        *,
        allowed: policy.Permissions = policy.Permissions(),
        machine: clock.Clock = clock.Clock(),
    ) -> None:
        self._load = load
        self._allowed = allowed
        self._clock = machine
        self._settings = load()
        self._runs = runs.Runs(machine)
        self._metrics = metrics.Metrics()
        self._log = log.Log(self._settings.log)
        self._ear, self._mouth = socket.socketpair()

    def run(self) -> int:
        """Until a signal ends it; the exit code. Raises `ControllerError` when it cannot start as it was told to."""
        reaper.step_aside()
        with self._ear, self._mouth:
            return self._until_the_end()

    def _until_the_end(self) -> int:
        self._listen()
        self._log.start()
        try:
            code = None
            while code is None:
                code = self._live()
            return code
        finally:
            systemd.tell("STOPPING=1")
            self._log.stop()
            for number in _HEARD:  # the interpreter's own end must not be cut short by the next one
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(-1)

    def _listen(self) -> None:
        """Every signal becomes a byte, at once: a handler would wait until this thread, which may just be about to
        sleep, runs again."""
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        for number in _HEARD:
            signal.signal(number, _leave_it_to_the_byte)

    def _loop_ended(self) -> None:
        with suppress(OSError):  # full: there is enough to hear
            self._mouth.send(bytes([_NOTHING]))

    def _live(self) -> int | None:
        """With one set of settings; None when there are new ones."""
        beats, cuts = pulse.Pulse(self._clock), cancellation.Cancellation()
        with ExitStack() as around:
            serving = around.enter_context(self._serving(beats))
            around.enter_context(self._watching())
            who = telling.Who(self._settings.name, "git" if self._settings.source.git else "directory")
            told = telling.Telling(who, self._runs, self._log, self._metrics, self._notices(around))
            thread = _Thread(self._loop(beats, cuts, told), self._loop_ended)
            thread.start()
            self._log.write("info", "ready", target=self._settings.name, http=serving)
            systemd.tell("READY=1")
            return self._attend(thread, beats, cuts)

    def _loop(
        self, beats: pulse.Pulse, cuts: cancellation.Cancellation, told: Callable[[loop.Turn], None]
    ) -> loop.Loop:
        given = self._settings
        return loop.Loop(
            worker.Worker(given, beats, cuts, allowed=self._allowed, machine=self._clock),
            requeue.Rhythm(given.interval, retry.doubling(given.retry.first, given.retry.longest)),
            given.rescan,
            loop.Plumbing(self._runs, beats, cuts, told, _Garbage().collect, self._clock),
        )

    def _attend(self, thread: "_Thread", beats: pulse.Pulse, cuts: cancellation.Cancellation) -> int | None:
        """Turn signals into wishes, and feed the watchdog while the loop lives."""
        watchdog_s = systemd.watchdog_s()
        while thread.is_alive():
            if watchdog_s is not None and beats.alive:
                systemd.tell("WATCHDOG=1")
            signum = self._next_signal(min(_TICK_S, (watchdog_s or _TICK_S) / 2))
            if signum in (signal.SIGTERM, signal.SIGINT):
                return self._end(thread, cuts, signum)
            if signum == signal.SIGUSR1:
                self._runs.request(runs.Cause.SIGNAL)
            if signum == signal.SIGHUP and self._reload():
                cuts.retire()
                self._runs.request(runs.Cause.SETTINGS)
        thread.raise_bug()
        return None

    def _next_signal(self, seconds: float) -> int:
        """The next one that came or comes; `_NOTHING` when the time is over, or the loop."""
        heard, _, _ = select.select([self._ear], [], [], seconds)
        return self._ear.recv(1)[0] if heard else _NOTHING

    def _end(self, thread: "_Thread", cuts: cancellation.Cancellation, signum: int) -> int:
        """End the loop. A publish is finished; the provisioner is waited for as long as `drain` says, or until a second
        signal; everything else ends now. 0 when nothing was cut short."""
        self._log.write("info", "ending", signal=signal.Signals(signum).name)
        cuts.stop(signum)
        self._runs.request(runs.Cause.SIGNAL)
        patient_until_s = self._clock.monotonic_s() + self._settings.drain
        while thread.is_alive():
            now_s = self._clock.monotonic_s()
            if not (cuts.finishing or (cuts.awaiting and now_s < patient_until_s)):
                docker_child.terminate_children()
            if now_s > patient_until_s + _GRACE_S and not cuts.finishing:
                return 128 + signum
            if self._next_signal(0.1) in (signal.SIGTERM, signal.SIGINT):
                patient_until_s = min(patient_until_s, now_s)
        thread.raise_bug()
        return 128 + signum if thread.cut else errors.OK

    def _reload(self) -> bool:
        """Read the settings again; wrong ones are told, and the old ones stay."""
        systemd.reloading()
        try:
            self._settings = self._load()
        except errors.ControllerError as error:
            problems = [str(problem) for problem in error.problems]
            self._log.write("error", "settings not reloaded", reason=error.reason, message=error.message, at=problems)
            systemd.tell("READY=1")
            return False
        self._log.write("info", "settings reloaded")
        return True

    @contextmanager
    def _serving(self, beats: pulse.Pulse) -> Iterator[str]:
        """The HTTP server, if there is to be one; its address."""
        given = self._settings
        longest_s = given.deadlines.build + given.deadlines.push + given.deadlines.provision
        with server.serving(
            given.http,
            self._runs,
            beats,
            self._metrics,
            status=self._status,
            ready_within_s=3 * given.interval + longest_s,
            places=status.places(given),
            warn=self._warn,
        ) as address:
            yield address

    def _warn(self, text: str) -> None:
        self._log.write("warning", text)

    def _status(self) -> dict[str, Any]:
        with target.Target(self._settings) as opened:
            return status.payload(opened)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """File events of a directory source, if they are wanted."""
        source, given = self._settings.source.directory, self._settings
        if source is None or not source.watch:
            self._metrics.watching("off")
            yield
            return
        own = [place for place in (given.config_dir, given.state_dir) if place is not None]
        watcher = triggers.Watcher(
            source.path,
            ignored=own,
            wanted=lambda: self._runs.request(runs.Cause.FILES),
            told=self._metrics,
            plumbing=triggers.Plumbing(warn=self._warn),
        )
        watcher.start()
        try:
            yield
        finally:
            watcher.stop()

    def _notices(self, around: ExitStack) -> telling.Notices | None:
        if self._settings.notify.url is None and self._settings.notify.url_file is None:
            return None
        return around.enter_context(notify.notifying(self._settings.notify, self._metrics, warn=self._warn))


def _leave_it_to_the_byte(signum: int, frame: FrameType | None) -> None:
    """Without a handler of Python's there would be no byte."""


class _Garbage:
    """Cycles are looked for while there is nothing else to do, and never within a pass: at 20,000 functions that is a
    quarter of the reaction. What was loaded at the start is left out of it."""

    def __init__(self) -> None:
        self._frozen = False

    def collect(self) -> None:
        """Free what the last pass left."""
        gc.collect()
        if not self._frozen:
            gc.freeze()
            self._frozen = True


class _Thread(threading.Thread):
    """The loop's thread, and how it ended. `cut` says that work was cut short."""

    def __init__(self, wanted: loop.Loop, ended: Callable[[], None]) -> None:
        super().__init__(name="loop", daemon=True)
        self._loop = wanted
        self._ended = ended
        self._bug: BaseException | None = None
        self.cut = False

    def run(self) -> None:
        """Run the loop to its end."""
        try:
            self._loop.run()
        except errors.Interrupted:
            self.cut = True
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self._bug = error
        finally:
            self._ended()

    def raise_bug(self) -> None:
        """The end of the loop by a bug of its own is the end of the process."""
        if self._bug is not None:
            raise self._bug
