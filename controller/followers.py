"""All targets of a controller that stays: which are followed, which end, and which wait to begin.

Driven by `controller.daemon` in the main thread. Owns the step from one set of settings to the next (faults.md C2, L2):
a target whose settings did not change goes on undisturbed, one that changed begins anew when what it was before has
ended, and nobody waits for another. Hears no signal, and decides nothing about a target.
"""

from collections.abc import Iterable

from controller import follower, ordering, runs, settings, standing, telling, triggers
from controller.http import shown
from controller.sources import shared_fetches

_WATCHED_AT_FULL_SPEED = 4
"""More folders than these share what may be spent on gathering their events."""


class Followers:
    """Of one process."""

    def __init__(self, around: follower.Around) -> None:
        self._around = around
        self._order = ordering.Order()
        self._fetches = shared_fetches.SharedFetches(around.machine)
        self._standings = standing.Standings()
        self._runs: dict[str, runs.Runs] = {}
        self._wanted: tuple[settings.Settings, ...] = ()
        self._followed: dict[str, follower.Follower] = {}
        self._ending: list[follower.Follower] = []
        self._notices: telling.Notices | None = None
        self._failed: dict[str, str] = {}
        self._unborn: dict[str, follower.Follower] = {}
        self._ends = False

    def follow(self, wanted: tuple[settings.Settings, ...], notices: telling.Notices | None) -> None:
        """From now on these and no others. Every target is asked to look."""
        self._wanted, self._notices = wanted, notices
        names = [one.name for one in wanted]
        kept = {one.name: one for one in wanted}
        for name, one in list(self._followed.items()):
            if kept.get(name) != one.settings:
                one.retire()
                self._ending.append(self._followed.pop(name))
            else:
                one.ask(runs.Cause.SETTINGS)
        for name in set(self._runs) - set(names):
            del self._runs[name]
            self._order.leave(name)
        for kept_by_name in (self._failed, self._unborn):
            for name in set(kept_by_name) - set(names):
                del kept_by_name[name]
        self._standings.keep(wanted)
        self._around.metrics.keep(names)
        self.tend()

    def tend(self) -> None:
        """Let go of those that have ended, and begin those that nobody is in the way of any more. Raises the bug that
        ended the last loop."""
        self._ending = [one for one in self._ending if one.runs_on]
        waiting = [one for one in self._wanted if one.name not in self._followed and not self._in_its_way(one)]
        for one in () if self._ends else waiting:
            self._begin(one)
        if self._followed and not any(one.runs_on for one in self._followed.values()):
            self.raise_bug()

    def _begin(self, given: settings.Settings) -> None:
        """One that cannot be begun is told once, and tried again; the others go on."""
        try:
            made = self._unborn[given.name] = self._made(given)
            made.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the affair of this target alone
            told = f"{type(error).__name__}: {error}"
            if self._failed.get(given.name) != told:
                self._around.log.write("error", "target not begun", target=given.name, message=told)
            self._failed[given.name] = told
        else:
            self._followed[given.name] = self._unborn.pop(given.name)
            self._failed.pop(given.name, None)

    def _in_its_way(self, wanted: settings.Settings) -> follower.Follower | None:
        """What still runs of the same name, or at the same place."""
        places = {wanted.config_dir, wanted.state_dir} - {None}
        for one in self._ending:
            if one.name == wanted.name or places & {one.settings.config_dir, one.settings.state_dir}:
                return one
        return None

    def _made(self, given: settings.Settings) -> follower.Follower:
        asked = self._runs.setdefault(given.name, runs.Runs(self._around.machine, self._order.moved))
        failing = self._standings.of(given) if self._notices else telling.Failing()
        lasting = follower.Lasting(
            asked,
            self._order.enter(given.name, asked, given.after),
            failing,
            self._notices,
            self._fetches.member(wanted=lambda: asked.request(runs.Cause.SHARED), asked_s=lambda: asked.asked_s),
            self._step_ms(),
        )
        return follower.Follower(given, lasting, self._around)

    def _step_ms(self) -> int:
        """Each listener looks whether something moved so often; many of them would be busy with that alone."""
        return triggers.STEP_MS * max(1, -(-len(self._wanted) // _WATCHED_AT_FULL_SPEED))

    def shown(self) -> tuple[shown.Shown, ...]:
        """What is to be seen of each target; of one that waits to begin, what is in its way. From any thread."""
        found = (
            self._followed.get(one.name) or self._in_its_way(one) or self._unborn.get(one.name) for one in self._wanted
        )
        return tuple(one.shown for one in found if one is not None)

    def ask(self, cause: runs.Cause) -> None:
        """Ask for a pass of every target."""
        for one in list(self._followed.values()):
            one.ask(cause)

    @property
    def alive(self) -> bool:
        """Whether every target has a loop, and none hangs."""
        return not self._failed and all(one.alive for one in self._followed.values())

    @property
    def running(self) -> list[follower.Follower]:
        """Those whose thread is not over."""
        return [one for one in self._all() if one.runs_on]

    @property
    def cut(self) -> bool:
        """Whether work was cut short."""
        return any(one.cut for one in self._all())

    def stop(self, signum: int) -> None:
        """End all; none begins any more. They are shown until the end, so that nobody takes the last moments of a
        target for the absence of one."""
        self._ends = True
        for one in self._all():
            one.stop(signum)

    def raise_bug(self) -> None:
        """The end of the last loop by a bug is the end of the process."""
        for one in self._all():
            if one.bug is not None:
                raise one.bug

    def _all(self) -> Iterable[follower.Follower]:
        return (*self._followed.values(), *self._ending)
