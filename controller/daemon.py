"""The controller that stays: one loop in a thread of its own, and around it what wakes it and what is told of it.

Owns the life of the process (faults.md P16, L2): signals arrive here, in the main thread, and become wishes; the loop's
thread cuts its own work where that may be cut. New settings begin a new loop between two passes, while requests,
metrics and the log go on. Decides nothing about a target.
"""

import gc
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from controller import (
    cancellation,
    candidate,
    clock,
    docker_child,
    errors,
    hearing,
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
        self._before: settings.Settings | None = None
        self._wanted: settings.Settings | None = None
        self._address = ""
        self._failing = _Standing()
        self._runs = runs.Runs(machine)
        self._metrics = metrics.Metrics()
        self._log = log.Log(self._settings.log)
        self._ear = hearing.Ear()

    def run(self) -> int:
        """Until a signal ends it; the exit code. Raises `ControllerError` when it cannot start as it was told to."""
        reaper.step_aside()
        with self._ear:
            candidate.require(self._settings)
            return self._until_the_end()

    def _until_the_end(self) -> int:
        self._ear.open()
        self._log.start()
        try:
            code = None
            while code is None:
                code = self._live()
            return code
        finally:
            systemd.tell("STOPPING=1")
            self._log.stop()
            self._ear.shut()

    def _live(self) -> int | None:
        """With one set of settings; None when there are others. New ones that cannot be brought up after all give way
        to those before."""
        beats, cuts = pulse.Pulse(self._clock), cancellation.Cancellation()
        if self._wanted is not None:
            self._before, self._settings, self._wanted = self._settings, self._wanted, None
        with ExitStack() as around:
            try:
                thread = self._brought_up(around, beats, cuts)
            except Exception as error:  # whatever it is, what worked before is better than nothing
                if self._before is None:
                    raise
                self._settings, self._before = self._before, None
                self._log.configure(self._settings.log)
                self._tell_not_reloaded(error)
                return None
            if self._before is not None:
                self._log.write("info", "settings reloaded")
            self._before = None
            thread.start()
            self._log.write("info", "ready", target=self._settings.name, http=self._address)
            systemd.tell("READY=1")
            return self._attend(thread, beats, cuts)

    def _brought_up(self, around: ExitStack, beats: pulse.Pulse, cuts: cancellation.Cancellation) -> "_Thread":
        """Everything around the loop, and the loop itself, which does not run yet."""
        given = self._settings
        self._log.configure(given.log)
        self._address = around.enter_context(self._serving(beats))
        around.enter_context(self._watching())
        notices = self._notices(around)
        failing = self._failing.of(given) if notices else telling.Failing()
        who = telling.Who(given.name, "git" if given.source.git else "directory", self._listens, failing)
        told = telling.Telling(who, self._runs, self._log, self._metrics, notices)
        return _Thread(self._loop(beats, cuts, told), self._ear.wake)

    @property
    def _listens(self) -> bool:
        """Whether anything tells of changes: file events, or a webhook."""
        http, source = self._settings.http, self._settings.source
        hook = http.listen is not None and server.secret_of(http) is not None
        return hook or (source.directory is not None and source.directory.watch)

    def _loop(
        self, beats: pulse.Pulse, cuts: cancellation.Cancellation, told: Callable[[loop.Turn], None]
    ) -> loop.Loop:
        given = self._settings
        return loop.Loop(
            worker.Worker(given, beats, cuts, allowed=self._allowed, machine=self._clock),
            requeue.Rhythm(given.interval, retry.doubling(given.retry.first, given.retry.longest)),
            given.rescan,
            loop.Plumbing(
                self._runs,
                beats,
                cuts,
                told,
                _Garbage().collect,
                self._clock,
                look_s=worker.longest_look_s(given),
            ),
        )

    def _attend(self, thread: "_Thread", beats: pulse.Pulse, cuts: cancellation.Cancellation) -> int | None:
        """Turn signals into wishes, and feed the watchdog while the loop lives."""
        watchdog_s = systemd.watchdog_s()
        while thread.is_alive():
            if watchdog_s is not None and beats.alive:
                systemd.tell("WATCHDOG=1")
            signum = self._ear.next(min(_TICK_S, (watchdog_s or _TICK_S) / 2))
            if signum in (signal.SIGTERM, signal.SIGINT):
                return self._end(thread, cuts, signum)
            if signum == signal.SIGUSR1:
                self._runs.request(runs.Cause.SIGNAL)
            if signum == signal.SIGHUP and self._reload():
                cuts.retire()
                self._runs.request(runs.Cause.SETTINGS)
        thread.raise_bug()
        return None

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
            if self._ear.next(0.1) in (signal.SIGTERM, signal.SIGINT):
                patient_until_s = min(patient_until_s, now_s)
        thread.raise_bug()
        return 128 + signum if thread.cut else errors.OK

    def _reload(self) -> bool:
        """Read the settings again, and look whether they can work; else that is told, and nothing moves. They begin
        when the loop has ended."""
        systemd.reloading()
        try:
            wanted = self._load()
            candidate.require(wanted)
            candidate.require_address(wanted.http.listen, self._address)
        except Exception as error:  # noqa: BLE001 - also a bug in reading them is no reason to end
            self._tell_not_reloaded(error)
            systemd.tell("READY=1")
            return False
        self._wanted = wanted
        return True

    def _tell_not_reloaded(self, error: Exception) -> None:
        told: dict[str, Any] = {"reason": "Bug", "message": type(error).__name__}
        if isinstance(error, errors.ControllerError):
            told = {"reason": error.reason, "message": error.message, "at": [str(one) for one in error.problems]}
        else:
            told["traceback"] = traceback.format_exception(error)
        self._log.write("error", "settings not reloaded", **told)

    @contextmanager
    def _serving(self, beats: pulse.Pulse) -> Iterator[str]:
        """The HTTP server, if there is to be one; its address."""
        given = self._settings
        with server.serving(
            given.http,
            self._runs,
            beats,
            self._metrics,
            status=self._status,
            ready_within_s=3 * given.interval,
            places=status.places(given),
            warn=self._warn,
            status_kept_s=given.interval,
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
        return around.enter_context(notify.notifying(self._settings.notify, self._metrics, warn=self._warn))


class _Standing:
    """How targets stand, for those who are told of changes only: one for as long as the target is the same one, which
    new settings may change. What happened before this process is in the record."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._failing = telling.Failing()

    def of(self, given: settings.Settings) -> telling.Failing:
        """How the target of these settings stands."""
        place = (given.config_dir, given.state_dir)
        if place != self._of:
            self._of, self._failing = place, telling.Failing("" if worker.recorded_failure(given) else None)
        return self._failing


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
