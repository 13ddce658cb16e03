"""A5, P4: a watcher that compares whole-second times sees every publish, whatever the clock and the files say."""

import os
import shutil
from pathlib import Path

import pytest

from controller import reconciler, rollback, settings, target, world
from tests.crash import clocks, scenarios
from tests.crash import server as servers
from tests.fakes import command, gateway

pytestmark = [pytest.mark.crash]

HOUR_S = 3600
YEAR_2099_S = 4_070_908_800


class Host:
    """One CONFIG_DIR, its watchers, and a clock. Starts with a published set, as gateways do (GW12)."""

    def __init__(self, prepared: scenarios.Prepared, folder: Path) -> None:
        self.clock = clocks.ShownClock(1_800_000_000.25)
        self.config = folder / "config"
        self.source = folder / "source"
        self._prepared = prepared
        self.publish("v1")
        self.watch()

    def watch(self) -> None:
        """Gateways start."""
        self.watchers = {name: gateway.Watcher(self.config / name, str) for name in command.DOCUMENTS}

    def publish(self, version: str) -> None:
        """The source changes, and one pass is made."""
        shutil.rmtree(self.source, ignore_errors=True)
        shutil.copytree(self._prepared.sources[version], self.source)
        with self._opened() as opened:
            ended = reconciler.reconcile_once(opened, world.Request(opened.rules))
        assert not ended.failed, ended.message
        assert ended.changed

    def roll_back(self) -> None:
        """`controller rollback`."""
        with self._opened() as opened:
            ended = rollback.roll_back(opened, world.Request(opened.rules), None, reason="test")
        assert not ended.failed, ended.message

    def _opened(self) -> target.Target:
        flags = {("config_dir",): self.config, ("source", "directory", "path"): self.source}
        return target.Target(settings.load(None, flags), machine=self.clock)

    def check(self, *, lead_s: float | None = 1.0) -> None:
        """Every watcher polls once, and has what is published; no file is dated more than `lead_s` ahead."""
        for name, watcher in self.watchers.items():
            watcher.poll()
            assert watcher.loaded == (self.config / name).read_text(encoding="utf-8"), name
            assert watcher.failures == 0
            if lead_s is not None:
                assert (self.config / name).stat().st_mtime <= self.clock.now_s() + lead_s


@pytest.fixture
def host(prepared: scenarios.Prepared, place: Path) -> Host:
    """A published set, watched."""
    return Host(prepared, place)


def test_a5_many_in_one_second(host: Host) -> None:
    """A5: six publishes as fast as they come, each of them seen."""
    for version in ("v2", "v3", "v1", "v2", "v3", "v1"):
        host.publish(version)
        host.check()


def test_a5_rollback(host: Host) -> None:
    """A5, GW3: the old content comes as something new."""
    before = (host.config / "functions.yml").read_bytes()
    host.publish("v2")
    host.check()
    host.roll_back()
    host.check()
    assert (host.config / "functions.yml").read_bytes() == before


@pytest.mark.parametrize("dated_s", [1, YEAR_2099_S])
def test_a5_source_files_of_any_date(host: Host, dated_s: int) -> None:
    """A5: the dates of a package's files have no part in it."""
    shutil.rmtree(host.source)
    shutil.copytree(host._prepared.sources["v2"], host.source)
    for path in host.source.rglob("*"):
        os.utime(path, (dated_s, dated_s))
    with host._opened() as opened:
        assert reconciler.reconcile_once(opened, world.Request(opened.rules)).changed
    host.check()
    host.publish("v3")
    host.check()


@pytest.mark.parametrize("step_s", [-HOUR_S, -1, 1, HOUR_S, -1_800_000_000])
def test_a5_clock_steps(host: Host, step_s: int) -> None:
    """A5: seen at once, also when the clock goes back an hour; then the date is ahead, which harms nobody."""
    host.clock.step(step_s)
    host.publish("v2")
    host.check(lead_s=None if step_s < -1 else 1.0)
    host.publish("v3")
    host.check(lead_s=None if step_s < -1 else 1.0)
    host.roll_back()
    host.check(lead_s=None if step_s < -1 else 1.0)


def test_a5_clock_back_with_the_record_lost(host: Host) -> None:
    """A5: what is on the disk is enough to know which time is newer."""
    shutil.rmtree(host.config / ".controller")
    host.clock.step(-HOUR_S)
    host.publish("v2")
    host.check(lead_s=None)


def test_a5_clock_back_with_the_volume_lost(host: Host, place: Path) -> None:
    """A5, A11: what consumers have seen and is gone from the disk is in the record."""
    state = place / "kept"
    shutil.move(host.config / ".controller", state)
    shutil.rmtree(host.config)
    host.config.mkdir()
    shutil.move(state, host.config / ".controller")
    host.clock.step(-HOUR_S)
    host.publish("v2")
    host.check(lead_s=None)


@pytest.mark.parametrize("dated_s", [1, YEAR_2099_S])
def test_a5_adopted_files_of_any_date(host: Host, dated_s: int) -> None:
    """A5: plain files of an older applier, dated 1970 or 2099, are followed by something newer."""
    shutil.rmtree(host.config)
    host.config.mkdir()
    scenarios.write(host.config, scenarios.LEGACY)
    for name in command.DOCUMENTS:
        os.utime(host.config / name, (dated_s, dated_s))
    host.watch()
    host.publish("v2")
    host.check(lead_s=None if dated_s == YEAR_2099_S else 1.0)
    host.publish("v3")
    host.check(lead_s=None if dated_s == YEAR_2099_S else 1.0)


def test_a5_whole_processes_with_a_clock_an_hour_back(prepared: scenarios.Prepared, place: Path) -> None:
    """A5: the same with the real command, under a clock that was stepped back, and two publishes in a row."""
    servers.require("faketime")
    config = place / "config"
    assert servers.whole_process(scenarios.arguments(prepared.sources["v1"], config)).code == 0
    watcher = gateway.Watcher(config / "functions.yml", str)
    for version in ("v2", "v3"):
        line = scenarios.arguments(prepared.sources[version], config)
        ended = servers.whole_process(line, prefix=("faketime", "-f", "-1h"))
        assert ended.code == 0, ended.err
        assert watcher.poll()
        assert watcher.loaded == (config / "functions.yml").read_text(encoding="utf-8")
