"""B1, B2, B3, L7: one controller at a time at one CONFIG_DIR, as whole processes."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import scenarios, sweep
from tests.crash import server as servers
from tests.fakes import command

pytestmark = [pytest.mark.crash]

RUNS = 25


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A second server of forks."""
    with servers.Server(tmp_path_factory.mktemp("other")) as started:
        yield started


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A second server, in another pid namespace: as in another container."""
    servers.require("unshare", root=True)
    folder = tmp_path_factory.mktemp("elsewhere")
    with servers.Server(folder, ("unshare", "--pid", "--fork", "--mount-proc")) as started:
        yield started


class Contender(threading.Thread):
    """Publishes over and over, each time something else than the other one."""

    def __init__(self, server: servers.Server, source: Path, config: Path, wait: str) -> None:
        super().__init__()
        line = scenarios.arguments(source, config, None, "--wait", wait, "--output", "json")
        self._run = servers.Run(line)
        self._server = server
        self.ended: list[servers.Ended] = []

    def run(self) -> None:
        """All the runs; and on, until it got through once: the other one's runs have an end."""
        while len(self.ended) < RUNS or not self.generations():
            self.ended.append(self._server.run(self._run))

    def generations(self) -> list[int]:
        """The generations that it published."""
        reports = [json.loads(ended.out) for ended in self.ended if ended.code == 0]
        return [report["generation"] for report in reports if report["changed"]]


def contend(
    pair: tuple[servers.Server, servers.Server], prepared: scenarios.Prepared, config: Path, wait: str
) -> tuple[Contender, Contender]:
    """Both at once; readers see whole sets."""
    config.mkdir()
    sources = prepared.sources["v1"], prepared.sources["v2"]
    one = Contender(pair[0], sources[0], config, wait)
    two = Contender(pair[1], sources[1], config, wait)
    with sweep.reading(config) as reader:
        one.start()
        two.start()
        one.join()
        two.join()
    functions = {found["functions.yml"]: found for found in reader.sets}
    assert len(reader.sets) == len(functions), "one functions.yml was seen with two routing.yml"
    published = one.generations() + two.generations()
    assert len(published) == len(set(published)), "two runs published the same generation"
    for ended in (*one.ended, *two.ended):
        assert "Traceback" not in ended.err, ended.err
    return one, two


def test_b1_l7_the_loser_goes(
    server: servers.Server, other: servers.Server, prepared: scenarios.Prepared, place: Path
) -> None:
    """B1, L7: with --wait 0 each run ends with 0, or with 75 and the one who has it; somebody gets through."""
    one, two = contend((server, other), prepared, place / "config", "0")
    codes = {ended.code for ended in (*one.ended, *two.ended)}
    assert codes == {0, 75}
    assert all("locked by" in ended.err for ended in (*one.ended, *two.ended) if ended.code == 75)
    assert one.generations()
    assert two.generations()


def test_b1_another_pid_namespace(
    server: servers.Server, elsewhere: servers.Server, prepared: scenarios.Prepared, place: Path
) -> None:
    """B1: the same between two containers, where a pid says nothing."""
    one, two = contend((server, elsewhere), prepared, place / "config", "0")
    assert {ended.code for ended in (*one.ended, *two.ended)} <= {0, 75}
    assert one.generations() or two.generations()
    assert not sweep.leftovers(place / "config")


def stopped_in_the_middle(
    server: servers.Server, scenario: scenarios.Scenario, config: Path, effect: str
) -> servers.Run:
    """A run that is stopped, or leaves a child and dies, at the switch: with every lock held."""
    del server
    fault = {"folder": str(config), "count": 1, "effect": effect, "only": "rename"}
    return scenario.run(config, fault=fault)


def wait_until_stopped(pid: int) -> None:
    """Returns when the kernel says that the process is stopped; the test's own deadline ends it otherwise."""
    while Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1][0] != "T":
        os.sched_yield()


def test_b2_a_stopped_owner_keeps_the_lock(
    server: servers.Server, other: servers.Server, prepared: scenarios.Prepared, place: Path
) -> None:
    """B2, L3: while the owner is stopped the others report 75 and steal nothing; it then finishes, once."""
    scenario = prepared.get("update")
    config = scenario.copy(place)
    before = sweep.generation(config)
    contender = scenarios.arguments(prepared.sources["v1"], config)
    with server.started(stopped_in_the_middle(server, scenario, config, "stop")) as owner:
        wait_until_stopped(owner.pid)
        for wait in ("0", "0", "200ms"):
            ended = other.run(servers.Run((*contender, "--wait", wait)))
            assert ended.code == 75, ended.err
            assert f"pid {owner.pid}" in ended.err
            assert command.documents(config) == scenario.before
        os.kill(owner.pid, signal.SIGCONT)
        assert owner.end().code == 0
    assert command.documents(config) == scenario.after
    assert sweep.generation(config) == before + 1
    assert not scenarios.healing(server, scenario.run(config), config, scenario.after)


def test_b2_a_killed_owner_frees_it_at_once(
    server: servers.Server, other: servers.Server, prepared: scenarios.Prepared, place: Path
) -> None:
    """B2: kill -9 of the (stopped) owner; the next run does not wait at all."""
    scenario = prepared.get("update")
    config = scenario.copy(place)
    with server.started(stopped_in_the_middle(server, scenario, config, "stop")) as owner:
        wait_until_stopped(owner.pid)
        owner.kill()
        assert owner.end().code == -9
    run = scenario.run(config)
    ended = other.run(servers.Run((*run.arguments, "--wait", "0")))
    assert ended.code == 0, ended.err
    assert command.documents(config) == scenario.after
    assert not sweep.leftovers(config)


def test_b3_no_child_keeps_the_lock(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> None:
    """B3: a child of the owner that lives on has none of its descriptors."""
    scenario = prepared.get("update")
    config = scenario.copy(place)
    died = server.run(stopped_in_the_middle(server, scenario, config, "leave a child"))
    child = int(died.err.split("child ")[1].split()[0])
    try:
        assert died.code == -9
        run = scenario.run(config)
        ended = server.run(servers.Run((*run.arguments, "--wait", "0")))
        assert ended.code == 0, ended.err
        os.kill(child, 0)  # it was alive all the time
    finally:
        os.kill(child, signal.SIGKILL)
    assert command.documents(config) == scenario.after
