"""Clocks that step (faults.md L1) and steps that hang (P8), on simulated clocks."""

import datetime
from collections.abc import Callable

import pytest

from controller import clock, pulse, timing, turning
from core import record
from tests.fakes import events, loops, promises, soak, web
from tests.fakes import world as worlds

HOUR_S, YEAR_S = 3600.0, 365 * 24 * 3600.0
STEPS = {"an hour back": -HOUR_S, "a year on": YEAR_S, "1970": None, "a leap second": -1.0}


def step(machine: loops.FakeClock, by_s: float | None) -> None:
    """Somebody sets the wall clock."""
    machine.set_wall(60.0 if by_s is None else machine.now_s() + by_s)


@pytest.fixture(params=STEPS)
def by_s(request: pytest.FixtureRequest) -> float | None:
    """By how much the wall clock is set; None: to the beginning of 1970."""
    return STEPS[request.param]


# Waits


def test_l1_a_step_in_the_middle_of_a_wait_changes_no_wait(by_s: float | None) -> None:
    """No busy loop and no year of sleep: the interval goes on."""
    stage = loops.Stage()
    stage.runs.at(40, lambda: step(stage.machine, by_s))
    stage.run(130)
    assert stage.moments == [0.0, 30.0, 60.0, 90.0, 120.0]
    assert max(stage.runs.waits) <= 30.0


def test_l1_a_step_in_a_pass_changes_no_wait(by_s: float | None) -> None:
    stage = loops.Stage()
    stage.worker.during = lambda: step(stage.machine, by_s)
    stage.run(100)
    assert stage.moments == [0.0, 30.0, 60.0, 90.0]
    assert [turn.took_s for turn in stage.turns] == [0.0] * 4


def test_l1_a_step_in_a_back_off_changes_no_wait(by_s: float | None) -> None:
    stage = loops.Stage()
    stage.worker.answers = [loops.bad()]
    stage.runs.at(40, lambda: step(stage.machine, by_s))
    stage.run(160)
    assert stage.moments == [0.0, 5.0, 15.0, 35.0, 75.0, 155.0]


def test_l1_a_clock_that_never_stands_still_changes_no_wait() -> None:
    """As at boot, with a time server that pulls in both directions."""
    stage = loops.Stage()
    for second in range(1, 100):
        stage.runs.at(second, lambda by=(-1) ** second * HOUR_S: step(stage.machine, by))  # type: ignore[misc]  # a loop's value
    stage.run(100)
    assert stage.moments == [0.0, 30.0, 60.0, 90.0]


def test_l1_liveness_and_readiness_are_no_matter_of_the_wall_clock(by_s: float | None) -> None:
    stage = loops.Stage()
    seen: list[tuple[bool, float | None]] = []

    def look() -> None:
        step(stage.machine, by_s)
        seen.append((stage.pulse.alive, stage.pulse.good_ago_s))

    stage.runs.at(40, look)
    stage.run(50)
    assert seen == [(True, 10.0)]


# Whole passes of a target that remembers times


class _Target(soak.Soak):
    """A quiet target: nothing happens but what a test does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.next_event_s = float("inf")
        self._calm = (self.machine.now, -10_000)
        self.hanging: dict[str, Callable[[], None]] = {}

    def within(self, name: str) -> None:
        """In the middle of a step."""
        self.hanging.pop(name, lambda: None)()

    def pass_(self, *, after_s: float = 60.0) -> str:
        """One pass, so many seconds later."""
        self.machine.sleep(after_s)
        return str(self.worker.converge().report.reason)

    def fight(self) -> str:
        """The other writer writes, and a pass follows."""
        self._edit(next(iter(self.place.disk.shown)))
        return self.pass_()

    def stalled(self) -> "_Target":
        """After so many repairs that it is left alone."""
        self.pass_()
        assert [self.fight() for _ in range(promises.REPAIRS + 1)] == ["Drifted"] * promises.REPAIRS + ["Stalled"]
        return self


def test_l1_what_is_stalled_is_tried_again_after_the_window_whatever_the_clock_was() -> None:
    """A clock a year on ends the window at once; one repair is made, and it stalls again."""
    target = _Target(1).stalled()
    step(target.machine, YEAR_S)
    assert [target.pass_(), target.pass_(), target.fight()] == ["Drifted", "InSync", "Stalled"]


@pytest.mark.parametrize("back_s", [60.0, HOUR_S])
def test_l1_a_clock_that_goes_back_prolongs_a_stall_by_no_more_than_that(back_s: float) -> None:
    target = _Target(1).stalled()
    step(target.machine, -back_s)
    reasons = [target.pass_(), target.pass_(after_s=back_s + promises.WINDOW_S), target.pass_()]
    assert "Drifted" in reasons
    assert reasons[-1] == "InSync"


def test_l1_a_clock_that_goes_back_a_little_is_no_reason_to_fight_on() -> None:
    target = _Target(1).stalled()
    step(target.machine, -promises.WINDOW_S / 2)
    assert [target.fight(), target.fight()] == ["Stalled"] * 2


def suspended(target: _Target, minutes: int) -> None:
    """Until then by the wall clock."""
    until = clock.iso(target.machine.utc() + datetime.timedelta(minutes=minutes))
    target.place.store.suspend(record.Suspension("me", "work", clock.iso(target.machine.utc()), until))
    target._new_source()


def test_l1_a_suspension_ends_by_the_wall_clock() -> None:
    """What a person wrote is about that clock: it ends when the clock says so, and a pass goes on at the next look."""
    target = _Target(1)
    target.pass_()
    suspended(target, 10)
    assert target.pass_() == "Suspended"
    step(target.machine, YEAR_S)
    assert target.pass_() == "SourceChanged"


def test_l1_a_clock_that_goes_back_keeps_a_suspension_so_much_longer() -> None:
    target = _Target(1)
    target.pass_()
    suspended(target, 10)
    step(target.machine, -HOUR_S)
    assert target.pass_(after_s=11 * 60.0) == "Suspended"
    assert target.pass_(after_s=HOUR_S) == "SourceChanged"


def test_l1_at_boot_in_1970_a_target_is_kept_all_the_same() -> None:
    """A machine without a battery: what is recorded is dated long after now."""
    target = _Target(1)
    target.pass_()
    target.machine.set_wall(1.0)
    target._new_source()
    assert [target.pass_(), target.pass_(), target.fight(), target.pass_()] == [
        "SourceChanged", "InSync", "Drifted", "InSync",
    ]  # fmt: skip


# Steps that hang

LIMITS: dict[str, Callable[[timing.Limits], float]] = {
    "exclusive": lambda limits: limits.lock_s,
    "fetch": lambda limits: limits.fetch_s,
    "probe": lambda limits: limits.look_s,
    "images": lambda limits: limits.look_s,
    "read": lambda limits: limits.usual_s,
    "seen": lambda limits: limits.usual_s,
    "begin": lambda limits: limits.usual_s,
    "Build": lambda limits: limits.build_s * 2,
    "Push": lambda limits: limits.push_s * 2,
    "Provision": lambda limits: limits.provision_s,
    "PublishResources": lambda limits: limits.usual_s,
    "Publish": lambda limits: limits.usual_s,
    "succeed": lambda limits: limits.usual_s,
}
"""How long each step of a pass may take; two images are made."""


@pytest.mark.parametrize("name", LIMITS)
def test_p8_health_tells_a_slow_step_from_one_that_hangs(name: str) -> None:
    """As long as every deadline within it is not used up it is slow, and after that it hangs."""
    target = _Target(1)
    made = [worlds.function(one, at) for at, one in enumerate(events.BUILT)]
    target.place.source.now(worlds.revision(99), *made, worlds.table("t"))
    target.place.source.builds = tuple(("entry", one) for one in events.BUILT)
    target.promises.versions.append(promises.parts(target.place.source.parts, events.BUILT))
    limit_s = LIMITS[name](target.worker._limits)
    seen: list[int] = []
    with web.site(beats=target.beats, machine=target.machine) as site:

        def hang() -> None:
            for seconds in (limit_s, pulse.MARGIN_S + 1.0):
                target.machine.sleep(seconds)
                seen.append(site.ask("/healthz").status)

        target.hanging[name] = hang
        assert target.pass_() == "FirstPublish"
        assert site.ask("/healthz").status == 200, "a step that came to its end hangs no longer"
    assert seen == [200, 503]


def test_p8_a_long_wait_is_no_hang_and_a_loop_that_ended_is_dead() -> None:
    stage = loops.Stage()
    stage.rhythm = stage.rhythm.__class__(12 * HOUR_S, stage.rhythm.backoff_s, jitter=0.0)
    seen: list[int] = []
    with web.site(beats=stage.pulse, machine=stage.machine) as site:
        stage.runs.at(11 * HOUR_S, lambda: seen.append(site.ask("/healthz").status))
        stage.run(12 * HOUR_S, rescan_s=24 * HOUR_S)
        seen.append(site.ask("/healthz").status)
    assert seen == [200, 503]


def test_p15_what_cannot_be_told_ends_nothing_and_is_told_later() -> None:
    """A bug in telling is no end of the loop; the next pass shows its traceback."""
    stage = loops.Stage()
    tell, broken = stage.tell, [True]

    def told(turn: turning.Turn) -> None:
        if broken:
            broken.clear()
            raise ZeroDivisionError("telling")
        tell(turn)

    stage.tell = told  # type: ignore[method-assign]  # a fault is planted
    stage.run(70)
    assert stage.moments == [0.0, 30.0, 60.0]
    assert ["ZeroDivisionError" in turn.traceback for turn in stage.turns] == [True, False]
