"""The controller that stays: the process around the loops of its targets.

Owns the life of the process (faults.md P16, L2): signals arrive here, in the main thread, and become wishes; the thread
of each loop cuts its own work where that may be cut. New settings begin between two passes of the targets that they
change, while everything else goes on. Decides nothing about a target.
"""

import signal
import traceback
from collections.abc import Callable
from typing import Any

from controller import (
    candidate,
    clock,
    errors,
    follower,
    followers,
    garbage,
    hearing,
    log,
    metrics,
    patience,
    reaper,
    runs,
    settings,
    surroundings,
    systemd,
)
from core import policy

_TICK_S = 1.0


class Daemon:
    """One process. `load` reads the settings of its targets anew; `allowed` is what was allowed on the command line."""

    def __init__(
        self,
        load: Callable[[], tuple[settings.Settings, ...]],
        *,
        allowed: policy.Permissions = policy.Permissions(),
        machine: clock.Clock = clock.Clock(),
    ) -> None:
        self._load = load
        self._clock = machine
        self._settings = load()
        self._ear = hearing.Ear()
        self._log = log.Log(self._settings[0].log)
        counts = metrics.Metrics()
        self._targets = followers.Followers(
            follower.Around(
                self._log, counts, self._ear.wake, garbage.Garbage().collect, allowed=allowed, machine=machine
            )
        )
        self._around = surroundings.Surroundings(self._targets.shown, counts, self._warn)

    def run(self) -> int:
        """Until a signal ends it; the exit code. Raises `ControllerError` when it cannot start as it was told to."""
        reaper.step_aside()
        with self._ear:
            candidate.require(self._settings)
            self._ear.open()
            self._log.start()
            try:
                with self._around:
                    return self._live()
            finally:
                systemd.tell("STOPPING=1")
                self._log.stop()
                self._ear.shut()

    def _live(self) -> int:
        self._bring(self._settings)
        self._targets.follow(self._settings, self._around.notices)
        self._tell_ready()
        systemd.tell("READY=1")
        return self._attend()

    def _bring(self, wanted: tuple[settings.Settings, ...]) -> None:
        """What all targets share. Raises `ControllerError`."""
        self._log.configure(wanted[0].log)
        self._around.bring(wanted[0])

    def _tell_ready(self) -> None:
        names = [one.name for one in self._settings]
        who: dict[str, Any] = {"target": names[0]} if len(names) == 1 else {"targets": names}
        self._log.write("info", "ready", **who, http=self._around.address)

    def _attend(self) -> int:
        """Turn signals into wishes, and feed the watchdog while every loop lives."""
        watchdog_s = systemd.watchdog_s()
        while True:
            self._targets.tend()
            if watchdog_s is not None and self._targets.alive:
                systemd.tell("WATCHDOG=1")
            signum = self._ear.next(min(_TICK_S, (watchdog_s or _TICK_S) / 2))
            if signum in (signal.SIGTERM, signal.SIGINT):
                return self._end(signum)
            if signum == signal.SIGUSR1:
                self._targets.ask(runs.Cause.SIGNAL)
            if signum == signal.SIGHUP:
                self._reload()

    def _end(self, signum: int) -> int:
        """End every loop. A publish is finished; a provisioner is waited for as long as `drain` says, or until a second
        signal; everything else ends now. 0 when nothing was cut short."""
        self._log.write("info", "ending", signal=signal.Signals(signum).name)
        targets = self._targets
        systemd.stopping(self._settings[0].drain + 2 * patience.GRACE_S)
        targets.stop(signum)
        if not patience.awaited(lambda: targets.running, self._settings[0].drain, self._hears_an_end, self._clock):
            return 128 + signum
        targets.raise_bug()
        return 128 + signum if targets.cut else errors.OK

    def _hears_an_end(self, seconds: float) -> bool:
        return self._ear.next(seconds) in (signal.SIGTERM, signal.SIGINT)

    def _reload(self) -> None:
        """Read the settings again, and look whether they can work; else that is told, and nothing moves."""
        systemd.reloading()
        try:
            wanted = self._load()
            candidate.require(wanted)
            candidate.require_address(wanted[0].http.listen, self._around.address)
        except Exception as error:  # noqa: BLE001 - also a bug in reading them is no reason to end
            self._tell_not_reloaded(error)
        else:
            self._begin(wanted)
        systemd.tell("READY=1")

    def _begin(self, wanted: tuple[settings.Settings, ...]) -> None:
        """Other settings, from now on. Those that cannot be brought up after all give way to those before."""
        try:
            self._bring(wanted)
        except Exception as error:  # noqa: BLE001 - whatever it is, what worked before is better than nothing
            self._bring(self._settings)
            self._tell_not_reloaded(error)
        else:
            self._settings = wanted
            self._targets.follow(wanted, self._around.notices)
            self._log.write("info", "settings reloaded")
        self._tell_ready()

    def _tell_not_reloaded(self, error: Exception) -> None:
        told: dict[str, Any] = {"reason": "Bug", "message": type(error).__name__}
        if isinstance(error, errors.ControllerError):
            told = {"reason": error.reason, "message": error.message, "at": [str(one) for one in error.problems]}
        else:
            told["traceback"] = traceback.format_exception(error)
        self._log.write("error", "settings not reloaded", **told)

    def _warn(self, text: str) -> None:
        self._log.write("warning", text)
