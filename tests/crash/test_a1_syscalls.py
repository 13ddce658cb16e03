"""A1: killed, EIO and ENOSPC at every system call of a pass that touches CONFIG_DIR, found with strace."""

from pathlib import Path

import pytest

from tests.crash import scenarios, sweep
from tests.crash import server as servers

pytestmark = [pytest.mark.crash, pytest.mark.slow]

EFFECTS = {"kill": "signal=KILL", "eio": "error=EIO", "enospc": "error=ENOSPC"}
CHUNKS = 2
LEAST = 60
"""A run that changes CONFIG_DIR has many more points than this; with fewer the sweep has swept nothing."""


@pytest.fixture(autouse=True)
def _strace() -> None:
    servers.require("strace")


def swept(  # noqa: PLR0913 - the six things that a point of the sweep is made of
    server: servers.Server, scenario: scenarios.Scenario, tmp_path: Path, *, names: tuple[str, ...], effect: str, chunk: int
) -> list[str]:
    """Everything that went wrong, point by point."""
    found = sweep.points(server, scenario.run(scenario.copy(tmp_path)), tmp_path / "config", names)
    assert len(found) >= LEAST
    wrong = []
    for point in found[chunk::CHUNKS]:
        config = scenario.copy(tmp_path)
        run = scenario.run(config)
        with sweep.reading(config) as reader:
            ended = sweep.injected(server, run, point, effect, config)
        bad = reader.mixed(scenario.before, scenario.after) if scenario.whole else reader.torn(scenario.before, scenario.after)
        if effect == "signal=KILL":
            bad += [] if ended.code == -9 else [f"not killed: {ended.code}"]
        else:
            bad += scenarios.failing(ended, config, scenario.after)
        bad += scenarios.healing(server, run, config, scenario.after)
        wrong += [f"{point}: {each}" for each in bad]
    return wrong


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("name", ["first", "update", "adopt", "files"])
def test_a1_every_changing_call(  # noqa: PLR0913 - two fixtures more than parameters
    server: servers.Server, prepared: scenarios.Prepared, tmp_path: Path, name: str, effect: str, chunk: int
) -> None:
    """A1: readers see the old or the new set whole, errors are told with their step, and the next run converges."""
    scenario = prepared.get(name)
    wrong = swept(server, scenario, tmp_path, names=sweep.CHANGING, effect=EFFECTS[effect], chunk=chunk)
    assert not wrong, "\n".join(wrong[:40])


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a1_every_reading_call(
    server: servers.Server, prepared: scenarios.Prepared, tmp_path: Path, chunk: int
) -> None:
    """A1: a disk that cannot be read never makes anybody see a mix, and never counts as an empty one."""
    scenario = prepared.get("update")
    wrong = swept(server, scenario, tmp_path, names=sweep.READING, effect=EFFECTS["eio"], chunk=chunk)
    assert not wrong, "\n".join(wrong[:40])
