"""A soak: the real loop, its worker and whole passes over a world in memory, on simulated clocks, while everything that
can happen does, at random (faults.md L5).

One seed gives one life. `promises` holds the model that every pass is checked with; now and then all faults are mended,
and the target has to converge within a few passes.
"""

import datetime
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from controller import cancellation, errors, loop, pulse, retry, runs, settings, turning, worker, world
from core import actions, assembly, items, observed, policy, record, requeue
from tests.fakes import events, loops, promises
from tests.fakes import world as worlds

RULES = policy.Policy(max_removed=1.0, stall=policy.Stall(promises.REPAIRS, promises.WINDOW_S))
RESCAN_S = promises.RESCAN_S
PASSES_TO_CONVERGE = 3
GAP_S = 40.0
"""Something happens that often, on average."""


class Opened(worlds.World):
    """One process's hold on the place for one pass: what `controller.target.Target` is for real. Content is read from
    one look at the source, and steps take time."""

    def __init__(self, soak: "Soak", stop: tuple[int, str] | None) -> None:
        super().__init__(soak.place, stop=stop)
        self._soak = soak
        self._memory._clock = soak.machine  # type: ignore[assignment]  # a clock by its methods
        self.rules = RULES
        self.recordable, self.failing = soak.recordable, soak.failing
        self.watched = False
        self._shown: dict[items.ItemKey, items.Item] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        with super()._call(name):
            if self.watched:
                self._soak.within(name)
            yield

    def fetch(self) -> world.Fetched:
        """From here on the source is what it was now."""
        if not self._soak.checking:
            self._soak.cuts.check()
        source = self._soak.place.source
        self.place = replace(self.place, source=replace(source, code=dict(source.code)))
        return super().fetch()

    @property
    def wanted(self) -> promises.Parts | None:
        """What the source held when it was looked at."""
        same = self.place is self._soak.place
        return None if same else promises.parts(self.place.source.parts, events.BUILT)

    @contextmanager
    def finishing(self, *, complete: bool) -> Iterator[None]:
        """As the real one."""
        with super().finishing(complete=complete), self._soak.cuts.deferred(complete=complete):
            yield

    def _act(self, action: actions.Action, remembered: record.Record) -> world.Acted | world.Told:
        if isinstance(action, actions.Build | actions.Push):
            self._soak.cuts.check_newer()
        if self.watched:
            self._soak.within(type(action).__name__)
        done = super()._act(action, remembered)
        self._soak.promises.acted(action)
        return done

    def seen(self, look: observed.Observed, remembered: record.Record) -> observed.ObservedItems:
        """What is planned is made from this look."""
        self._shown = dict(self.place.disk.shown)
        return super().seen(look, remembered)

    def _show_resources(self, document: bytes) -> None:
        """Beside the wanted ones there may be some of a pass that came to no record."""
        disk = self.place.disk
        of_source = {part.key: part for part in self.place.source.parts}
        for kept in _subsets([key for key in self._shown if key not in of_source]):
            of_all = {**of_source, **{key: self._shown[key] for key in kept}}
            shown = promises.of_resources(of_all)
            if assembly.assemble(shown.values())[items.Document.RESOURCES] == document:
                disk.shown = {**promises.of_gateway(disk.shown), **shown}
                return
        promises.require(False, "P1: resources that nobody asked for")

    def fail(self, failure: world.Failure) -> None:
        """Never raises, as the real one."""
        with suppress(errors.ControllerError):
            super().fail(failure)

    def begin(self, attempt: record.Attempt) -> None:
        """Never raises either."""
        with suppress(errors.ControllerError):
            super().begin(attempt)

    def now(self) -> datetime.datetime:
        """The wall clock."""
        return self._soak.machine.utc()


class SoakWorker(worker.Worker):
    """The real one; what it opens is in memory."""

    def __init__(self, soak: "Soak") -> None:
        configured = settings.load(None, {("config_dir",): Path("/nowhere")})
        super().__init__(configured, soak.beats, soak.cuts, machine=soak.machine)  # type: ignore[arg-type]  # by its methods
        self._soak = soak

    def converge(self) -> turning.Ended:
        """One pass, watched."""
        try:
            ended = super().converge()
            self._soak.promises.pass_told(ended, self._soak.process.wanted)
            return ended
        finally:
            self._soak.promises.pass_ends()

    def _open(self) -> Opened:  # type: ignore[override]  # what a pass asks of a target, and no more
        return self._soak.opened(watched=not self._soak.looking)

    def look(self, *, whole: bool = False) -> turning.Sight:
        """Nothing happens meanwhile."""
        before, self._soak.looking = self._soak.looking, True
        try:
            return super().look(whole=whole)
        finally:
            self._soak.looking = before


class SoakRuns(loops.FakeRuns):
    """Waiting is when things happen."""

    def __init__(self, soak: "Soak") -> None:
        super().__init__(soak.machine)
        self._soak = soak

    def await_request(self, timeout_s: float) -> bool:
        """Jump from event to event."""
        self._soak.promises.waits(timeout_s)
        self._soak.tick()
        until_s = self.machine.now + max(timeout_s, 0.0)
        while self._waiting is None and self._soak.next_event_s <= until_s:
            self.machine.now = max(self.machine.now, self._soak.next_event_s)
            self._soak.happen()
        if self._waiting is None:
            self.machine.now = until_s
        return self._waiting is not None

    @contextmanager
    def begun(self, cause: runs.Cause) -> Iterator[runs.Run]:
        """Tell the model first."""
        with super().begun(cause) as run:
            self._soak.promises.turn_begins(run.causes, self._soak.identity)
            yield run


@dataclass
class Soak(events.Events):
    """Everything that outlives a process, and the process of the moment."""

    ticks: int = 1000
    looking: bool = False
    checking: bool = False
    calms: int = 0
    next_event_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._calm: tuple[float, int] | None = None
        self.left = self.ticks
        self._begin(None)

    def _begin(self, asked: runs.Runs | None) -> None:
        self.beats = pulse.Pulse(self.machine)  # type: ignore[arg-type]  # a clock by its methods
        self.cuts = cancellation.Cancellation()
        self.runs = asked or SoakRuns(self)
        self.worker = SoakWorker(self)
        self.promises.born()

    def run(self) -> Mapping[str, int]:
        """Process after process; what happened how often."""
        while self.left > 0:
            self._live()
        return {**self.happened, "calms": self.calms}

    def _live(self) -> None:
        plumbing = turning.Plumbing(
            self.runs,
            self.beats,
            self.cuts,
            self._told,
            lambda: None,
            self.machine,  # type: ignore[arg-type]  # a clock by its methods
            self.chance.random,
        )
        waits = retry.doubling(promises.FIRST_S, promises.LONGEST_S)
        rhythm = requeue.Rhythm(promises.INTERVAL_S, waits, promises.JITTER)
        with suppress(worlds.Crash, errors.Interrupted):
            loop.Loop(self.worker, rhythm, RESCAN_S, plumbing).run()
        kept = self.runs if self.cuts.retired and not self.cuts.stopped else None
        self.machine.sleep(0.0 if kept else self.chance.uniform(0.0, 20.0))
        self._begin(kept)

    def tick(self) -> None:
        """The loop is about to wait."""
        self.left -= 1
        if self.left <= 0:
            self.cuts.stop(15)
            self.runs.request(runs.Cause.SIGNAL)

    def opened(self, *, watched: bool) -> Opened:
        """The place, for one pass or look."""
        stop = None
        if watched and self._calm is None and self.chance.random() < 0.02:
            stop = self.chance.randrange(20), self.chance.choice(("before", "half", "after"))
        opened = Opened(self, stop)
        if watched:
            opened.watched = True
            self.process = opened
            self.promises.pass_begins(opened)
        return opened

    @property
    def identity(self) -> str | None:
        """The identity of the source's content; for the model, so nobody cuts it."""
        self.checking = True
        try:
            return self.worker.look().subject
        finally:
            self.checking = False

    def within(self, name: str) -> None:
        """In the middle of a pass: time goes by, and the world goes on."""
        promises.require(self.beats.alive, f"P8: within its limits, and taken for hung, in {self.beats.beat.step}")
        limit_s = max(self.beats.beat.until_s - pulse.MARGIN_S - self.machine.now, 0.0)
        roll = self.chance.random()
        self.machine.sleep(self.chance.uniform(0.0, limit_s) if roll < 0.01 else roll * 0.01)
        if self._calm is not None:
            return
        if self.bug and name in ("look", "read", "images"):
            self.bug = False
            raise KeyError(promises.PLANTED)
        if self.chance.random() < 0.01:
            self.one_of(events.IN_A_PASS)

    def happen(self) -> None:
        """The next event."""
        self.next_event_s = self.machine.now + self.chance.expovariate(1 / GAP_S)
        self.counter()
        if self.chance.random() < 0.02:
            self.mend()
            self._calm, self.next_event_s = (self.machine.now, 0), float("inf")
        else:
            self.one_of(events.WHILE_IT_WAITS)

    # Told by the loop

    def _told(self, turn: turning.Turn) -> None:
        self.promises.told(turn, self.identity)
        self.runs.end(turn.run, {})
        promises.require(self.beats.alive, "P8: between two steps it counts as hung")
        if self._calm is not None and turn.ended is not None:
            self._converges(turn.ended)

    def _converges(self, ended: turning.Ended) -> None:
        """Every fault is mended: it takes a few passes, and the rest of a window when healing had stalled."""
        assert self._calm is not None
        began_s, count = self._calm
        if ended.report.reason == "Stalled":
            limit_s = promises.WINDOW_S + 2 * promises.INTERVAL_S
            promises.require(self.machine.now - began_s <= limit_s, "P12: stalled for ever")
            return
        if ended.report.reason == "InSync":
            ready = self.place.store.load(with_items=False).conditions["Ready"]
            promises.require(ready.status == "True", "P3: in sync, and not ready")
            self._calm, self.calms = None, self.calms + 1
            self.next_event_s = self.machine.now
            return
        self._calm = began_s, count + 1
        promises.require(
            count < PASSES_TO_CONVERGE,
            f"no convergence after the last fault: {ended.report.reason}, {ended.report.message}",
        )


def _subsets(keys: list[items.ItemKey]) -> Iterator[tuple[items.ItemKey, ...]]:
    keys = [key for key in keys if key.kind.document is items.Document.RESOURCES]
    for count in range(len(keys) + 1):
        yield from itertools.combinations(keys, count)


def soak(seed: int, ticks: int) -> Mapping[str, int]:
    """Run one; the seed stands in front of whatever was wrong."""
    lived = Soak(seed, ticks=ticks)
    try:
        return {**lived.run(), **lived.promises.counts}
    except promises.Violation as wrong:
        done = ticks - lived.left
        raise AssertionError(f"SEED={seed}, after {done} ticks at {lived.machine.now:.1f} s: {wrong}") from None
