"""What can happen to a target and its source while a controller runs: each event as a method, and how likely it is.

Part of `tests.fakes.soak`, which says when. Tells the model of every change behind the controller's back.
"""

import datetime
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from controller import cancellation, clock, errors, runs, state
from core import actions, items, notices, record
from tests.fakes import loops, promises
from tests.fakes import world as worlds
from tests.fakes.state import MemoryState

BUILT = ("built", "made")
NAMES = ("a", "b", "c", "d")
YEAR_S = 365 * 24 * 3600.0


@dataclass
class Events:
    """A target, its clocks, and chance. `cuts` and `runs` are those of the process of the moment."""

    seed: int
    machine: loops.FakeClock = field(default_factory=loops.FakeClock)
    recordable: bool = True
    failing: errors.ControllerError | None = None
    bug: bool = False
    happened: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.place = worlds.Place(store=MemoryState(now=self.machine.utc))
        self.place.docker.provisioner = True
        self.promises = promises.Promises(self.machine, self.place, BUILT)
        self.enemy: items.ItemKey | None = None
        self.newest_wall_s = self.machine.now_s()
        self.numbers: Iterator[int] = iter(range(1, 1 << 60))
        self.cuts = cancellation.Cancellation()
        self.runs: runs.Runs = loops.FakeRuns(self.machine)
        self._new_source()

    def one_of(self, names: Mapping[str, int]) -> None:
        name = self.chance.choices([*names], [*names.values()])[0]
        self.happened[name] = self.happened.get(name, 0) + 1
        if name in _MEDDLING and self.promises.current:
            self.promises.current.meddled = True
        act: Callable[[], None] = getattr(self, f"_{name}")
        act()

    def counter(self) -> None:
        """The other writer, if there is one, writes."""
        if self.enemy is not None:
            self._edit(self.enemy)

    def mend(self) -> None:
        """Everything is well from now on, and somebody says so."""
        source, store = self.place.source, self.place.store
        source.broken, source.unreadable, self.enemy, self.bug = None, None, None, False
        self._recover()
        store.resume()
        store.release()
        self.newest_wall_s = max(self.newest_wall_s, self.machine.now_s())
        self.machine.set_wall(self.newest_wall_s)  # a clock that was ahead when something was recorded is right
        self.runs.request(runs.Cause.SIGNAL)

    def _new_source(self) -> None:
        number, chance = next(self.numbers), self.chance
        names = chance.sample(NAMES, chance.randint(2, len(NAMES)))
        built = chance.sample(BUILT, chance.randint(0, len(BUILT)))
        parts = [worlds.function(name, chance.randint(1, 3)) for name in names]
        parts += [worlds.function(name, 10 + BUILT.index(name)) for name in built]
        parts += [worlds.route(f"/{name}", name) for name in names if chance.random() < 0.7]
        parts += [worlds.table(name, chance.randint(1, 2)) for name in ("t", "u") if chance.random() < 0.5]
        source = self.place.source
        source.now(worlds.revision(number), *parts)
        source.builds = tuple(("entry", name) for name in built)
        source.code.update({name: chance.randint(1, 4) for name in built})
        self.promises.versions.append(promises.parts(parts, BUILT))
        self.promises.versions = _distinct(self.promises.versions)

    def _change(self) -> None:
        """Somebody pushes, and an event or a hook tells."""
        self._new_source()
        self.place.source.unreadable = None
        self.runs.request(self.chance.choice((runs.Cause.FILES, runs.Cause.WEBHOOK)))

    def _change_silently(self) -> None:
        self._new_source()

    def _bad_content(self) -> None:
        number = next(self.numbers)
        self.place.source.revision = worlds.revision(number)
        self.place.source.unreadable = errors.ControllerError("ArtifactInvalid", f"line {number} is wrong")
        self.runs.request(runs.Cause.FILES)

    def _good_content(self) -> None:
        self.place.source.broken, self.place.source.unreadable = None, None
        self._change()

    def _lose_source(self) -> None:
        reason = self.chance.choice(
            ("SourceMissing", "SourceUnavailable", "SourceEmpty", "SourceUnstable", "NoManifest")
        )
        self.place.source.broken = errors.ControllerError(reason, "it is not there")

    def _find_source(self) -> None:
        self.place.source.broken = None

    def _secrets(self) -> None:
        self.place.source.missing_secrets = self.chance.choice(((), (), ("API_KEY",)))

    def _edit(self, key: items.ItemKey) -> None:
        shown = self.place.disk.shown
        if key in shown:
            shown[key] = replace(
                shown[key], digest=worlds.revision(next(self.numbers)), text=f"{key.name}:\n  edited: 1\n"
            )
            self.promises.meddled()

    def _drift(self) -> None:
        """A hand edit, or leftovers."""
        shown = self.place.disk.shown
        if self.chance.random() < 0.3:
            self.place.disk.leftovers = ("..data_tmp", "..gen-000009")
        elif shown:
            key = self.chance.choice(sorted(shown))
            if self.chance.random() < 0.5:
                del shown[key]
                self.promises.meddled()
            else:
                self._edit(key)

    def _fight(self) -> None:
        """Another writer puts its own there again and again."""
        routes = [key for key in sorted(self.place.disk.shown) if key.kind is items.Kind.ROUTE]
        self.enemy = self.chance.choice(routes) if routes and self.enemy is None else None

    def _lose_tags(self) -> None:
        self.place.docker.tags.clear()
        if self.chance.random() < 0.5:
            self.place.docker.built.clear()

    def _docker(self) -> None:
        """The registry goes or comes, builds and the provisioner fail or no longer do, the engine is away."""
        docker, chance = self.place.docker, self.chance
        docker.reachable = chance.random() < 0.6
        docker.obstacle = notices.Blocker("DockerUnavailable", "it is down") if chance.random() < 0.2 else None
        docker.refusing.clear()
        for action, reason in _REFUSALS:
            if chance.random() < 0.25:
                docker.refusing[action] = errors.ControllerError(reason, "it said no")

    def _disk(self) -> None:
        """No space for a publish, or for the record."""
        chance = self.chance
        doubtful = chance.choice((None, self.place.disk.generation))
        self.failing = errors.PublishFailed("step switch: no space", doubtful) if chance.random() < 0.4 else None
        self.recordable = chance.random() < 0.7

    def _record(self) -> None:
        """The record cannot be reached."""
        away = state.StateUnreadable(Path("state.db"), "it is away")
        self.place.store.broken = away if self.chance.random() < 0.3 else None

    def _recover(self) -> None:
        """Somebody has repaired what can be repaired on the machine."""
        docker = self.place.docker
        docker.reachable, docker.obstacle, self.place.source.missing_secrets = True, None, ()
        docker.refusing.clear()
        self.place.store.broken, self.recordable, self.failing = None, True, None

    def _plant_bug(self) -> None:
        self.bug = True

    def _set_clock(self) -> None:
        """L1: an hour back, a year on, 1970, or right again."""
        right_s = loops.FakeClock().wall_ahead_s + self.machine.now
        steps = (right_s, right_s - 3600.0, right_s + YEAR_S, 1000.0 + self.machine.now)
        self.newest_wall_s = max(self.newest_wall_s, self.machine.now_s())
        self.machine.set_wall(self.chance.choice(steps))
        self.promises.repairs.clear()  # a window on the wall clock is over, or begins anew

    def _suspend(self) -> None:
        with suppress(state.StateError):
            until = clock.iso(self.machine.utc() + datetime.timedelta(minutes=self.chance.randint(1, 20)))
            self.place.store.suspend(record.Suspension("soak", "a look", clock.iso(self.machine.utc()), until))

    def _resume(self) -> None:
        with suppress(state.StateError):
            self.place.store.resume()
            self.place.store.release()

    def _hold(self) -> None:
        with suppress(state.StateError):
            self.place.store.hold(self.place.source.revision, "not this one")

    def _storm(self) -> None:
        """I6: a thousand deliveries are one run."""
        promises.require(len({self.runs.request(runs.Cause.WEBHOOK) for _ in range(200)}) == 1, "I6")

    def _ask(self) -> None:
        self.runs.request(self.chance.choice((runs.Cause.SIGNAL, runs.Cause.FILES)))

    def _reload(self) -> None:
        self.cuts.retire()
        self.runs.request(runs.Cause.SETTINGS)

    def _stop(self) -> None:
        self.cuts.stop(15)
        self.runs.request(runs.Cause.SIGNAL)

    def _die(self) -> None:
        raise worlds.Crash


_REFUSALS = (
    (actions.Build, "ImageBuildFailed"),
    (actions.Push, "ImagePushFailed"),
    (actions.Provision, "ProvisionerFailed"),
)
IN_A_PASS = {
    "change": 4, "change_silently": 2, "bad_content": 1, "lose_tags": 1, "docker": 1, "set_clock": 1,
    "storm": 1, "ask": 1, "reload": 1, "stop": 2,
}  # fmt: skip
WHILE_IT_WAITS = {
    **IN_A_PASS, "bad_content": 3, "good_content": 6, "lose_source": 2, "find_source": 6, "secrets": 2, "fight": 2,
    "docker": 5, "disk": 3, "record": 2, "plant_bug": 1, "suspend": 1, "resume": 3, "hold": 1, "die": 2,
    "recover": 8, "drift": 5,
}  # fmt: skip
"""What may happen, by how likely it is. Documents in CONFIG_DIR are edited between passes only: an edit between the look of
a pass and its confirmation is taken for what was confirmed."""


_MEDDLING = frozenset({"drift", "fight", "lose_tags", "docker", "set_clock"})


def _distinct(versions: list[promises.Parts]) -> list[promises.Parts]:
    """The last ones, each once: older ones cannot be live any more."""
    kept = [one for at, one in enumerate(versions) if one not in versions[at + 1 :]]
    return kept[-60:]
