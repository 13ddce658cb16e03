"""A2, L2: every named step of a pass, killed, failed, or told to end. The names come from the code."""

from enum import StrEnum
from pathlib import Path

import pytest

from controller import failpoints
from manifests import generation, plain_files
from tests.crash import scenarios, sweep
from tests.crash import server as servers
from tests.fakes import command

pytestmark = [pytest.mark.crash]

SCENARIOS = ("update", "adopt", "first", "cut_short", "cut_off", "confirm", "files", "files_layout")
WITH_DOCKER = {
    failpoints.Step.BUILT,
    failpoints.Step.PUSHED,
    failpoints.Step.RESOURCES_LIVE,
    failpoints.Step.PROVISIONED,
}
"""They want an engine: e2e/test_failpoints.py goes through every step of a pass with images and a provisioner."""
PASS = tuple(step for step in failpoints.Step if step not in WITH_DOCKER)
STEPS: tuple[StrEnum, ...] = (*PASS, *generation.Step, *plain_files.Step)
BEFORE_WRITING = PASS[: PASS.index(failpoints.Step.ATTEMPTED) + 1]


def reached(prepared: scenarios.Prepared, server: servers.Server, step: str, folder: Path) -> list[scenarios.Scenario]:
    """The scenarios in which a pass comes to this step."""
    found = []
    for name in SCENARIOS:
        scenario = prepared.get(name)
        ended = server.run(scenario.run(scenario.copy(folder), environment={"FAILPOINT": f"{step}:kill"}))
        if ended.code == -9:
            found.append(scenario)
    assert found, f"no scenario comes to {step}"
    return found


@pytest.mark.parametrize("effect", ["kill", "raise", "term"])
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a2_every_step(
    server: servers.Server, prepared: scenarios.Prepared, place: Path, step: StrEnum, effect: str
) -> None:
    """A2, P16: whatever ends a pass at a named step, the next one converges with at most one generation more."""
    for scenario in reached(prepared, server, step, place):
        config = scenario.copy(place)
        with sweep.reading(config) as reader:
            ended = server.run(scenario.run(config, environment={"FAILPOINT": f"{step}:{effect}"}))
        if effect == "kill":
            assert ended.code == -9
        elif effect == "term":
            assert ended.code == (143 if step in BEFORE_WRITING else 0), ended.err
            assert "Traceback" not in ended.err
        elif step in PASS:
            assert ended.code != 0  # no step of the pass fails by itself: this is a bug, and told as one
            assert f"failpoint {step}" in ended.err
        else:
            assert ended.code == 73, ended.err
            assert f"failpoint {step}" in ended.err
            assert "Traceback" not in ended.err
        assert not (reader.mixed if scenario.whole else reader.torn)(scenario.before, scenario.after)
        wanted = sweep.generation(prepared_after(server, scenario, place / "undisturbed"))
        assert not scenarios.healing(server, scenario.run(config), config, scenario.after)
        assert sweep.generation(config) <= wanted + 1 or scenario.name == "adopt"


def prepared_after(server: servers.Server, scenario: scenarios.Scenario, folder: Path) -> Path:
    """CONFIG_DIR after an undisturbed run."""
    config = scenario.copy(folder)
    assert server.run(scenario.run(config)).code == 0
    return config


@pytest.mark.parametrize("name", ["update", "files"])
def test_l2_two_signals_in_the_middle_of_a_publish(
    server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str
) -> None:
    """L2, P16: SIGTERM twice at the switch: the publish is finished and recorded, exit 0."""
    scenario = prepared.get(name)
    config = scenario.copy(place)
    fault = {"folder": str(config), "count": 2, "effect": "term twice", "only": "rename"}  # the first is the claim's
    ended = server.run(scenario.run(config, fault=fault))
    assert ended.code == 0, ended.err
    assert command.documents(config) == scenario.after
    assert not sweep.leftovers(config)
    idle = server.run(scenario.run(config))
    assert "nothing to do" in idle.out


def test_l2_two_signals_before_anything_is_written(
    server: servers.Server, prepared: scenarios.Prepared, place: Path
) -> None:
    """L2, P16: SIGTERM twice while the pass only reads: 143, and nothing has changed."""
    scenario = prepared.get("update")
    config = scenario.copy(place)
    fault = {"folder": str(config), "count": 2, "effect": "term twice", "only": "open"}
    ended = server.run(scenario.run(config, fault=fault))
    assert ended.code == 143, ended.err
    assert "Traceback" not in ended.err
    assert command.documents(config) == scenario.before
    assert not scenarios.healing(server, scenario.run(config), config, scenario.after)
