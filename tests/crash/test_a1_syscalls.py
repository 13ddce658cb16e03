"""A1: killed, EIO and ENOSPC at every system call of a pass that touches CONFIG_DIR, found with strace."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash import scenarios, sweep
from tests.crash import server as servers

pytestmark = [pytest.mark.crash, pytest.mark.slow]

EFFECTS = {"kill": "signal=KILL", "eio": "error=EIO", "enospc": "error=ENOSPC"}
NEEDS_SPACE = ("openat", "mkdirat", "write", "pwrite64", "fsync", "fdatasync", "renameat", "symlinkat", "ftruncate")
"""What a full disk can stop. The rest was swept with EIO, and takes the same path."""
CHUNKS = 2
LEAST = 60
"""A run that changes CONFIG_DIR has many more points than this; with fewer the sweep has swept nothing."""


@pytest.fixture(autouse=True)
def _strace() -> None:
    servers.require("strace")


@dataclass(frozen=True)
class Sweep:
    """One scenario, swept with one effect at every call of `names` that touches CONFIG_DIR."""

    scenario: scenarios.Scenario
    names: tuple[str, ...]
    effect: str

    def wrong(self, server: servers.Server, folder: Path, chunk: int) -> list[str]:
        """Everything that went wrong, point by point."""
        scenario = self.scenario
        found = sweep.points(server, scenario.run(scenario.copy(folder)), folder / "config", self.names)
        assert len(found) >= (LEAST if self.names == sweep.CHANGING else 1)
        return [f"{point}: {each}" for point in found[chunk::CHUNKS] for each in self._at(server, folder, point)]

    def _at(self, server: servers.Server, folder: Path, point: sweep.Point) -> list[str]:
        scenario = self.scenario
        config = scenario.copy(folder)
        run = scenario.run(config)
        with sweep.reading(config) as reader:
            ended = sweep.injected(server, run, point, self.effect, config)
        look = reader.mixed if scenario.whole else reader.torn
        bad = look(scenario.before, scenario.after)
        if self.effect == EFFECTS["kill"]:
            bad += [] if ended.code == -9 else [f"not killed: {ended.code}"]
        else:
            bad += scenarios.failing(ended, config, scenario.after)
        return bad + scenarios.healing(server, run, config, scenario.after)


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize(
    ("effect", "names"), [("kill", sweep.CHANGING), ("eio", sweep.CHANGING), ("enospc", NEEDS_SPACE)]
)
@pytest.mark.parametrize("name", ["first", "update", "adopt", "files"])
def test_a1_every_changing_call(
    server: servers.Server,
    prepared: scenarios.Prepared,
    place: Path,
    name: str,
    effect: str,
    names: tuple[str, ...],
    chunk: int,
) -> None:
    """A1: readers see the old or the new set whole, errors are told with their step, and the next run converges."""
    wrong = Sweep(prepared.get(name), names, EFFECTS[effect]).wrong(server, place, chunk)
    assert not wrong, "\n".join(wrong[:40])


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", ["update", "adopt"])
def test_a1_every_reading_call(
    server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str, chunk: int
) -> None:
    """A1: a disk that cannot be read never makes anybody see a mix, and never counts as an empty one."""
    names = tuple(each for each in sweep.READING if each != "fcntl")  # SQLite's locks: no disk has a part in them
    wrong = Sweep(prepared.get(name), names, EFFECTS["eio"]).wrong(server, place, chunk)
    assert not wrong, "\n".join(wrong[:40])


@pytest.mark.parametrize("name", ["update", "adopt"])
def test_a1_whole_processes(server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str) -> None:
    """A1: the same with the command as people start it, killed at each call that changes a name in CONFIG_DIR."""
    scenario = prepared.get(name)
    names = ("mkdirat", "mkdir", "renameat", "rename", "symlinkat", "symlink", "fsync")
    config = scenario.copy(place)
    line = scenario.run(config).arguments
    found = sweep.points_of_process(line, config, names)
    assert len(found) >= 9
    wrong = []
    for point in found:
        scenario.copy(place)
        with sweep.reading(config) as reader:
            ended = sweep.injected_process(line, config, point, EFFECTS["kill"])
        bad = reader.mixed(scenario.before, scenario.after) + (
            [] if ended.code == -9 else [f"not killed: {ended.code}"]
        )
        wrong += [
            f"{point}: {each}" for each in bad + scenarios.healing(server, scenario.run(config), config, scenario.after)
        ]
    assert not wrong, "\n".join(wrong[:40])
