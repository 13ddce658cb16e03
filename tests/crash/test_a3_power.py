"""A3: the power goes at a system call. CONFIG_DIR is on an ext4 image; what is in the image then is what is left."""

import shutil
from pathlib import Path

import pytest

from tests.crash import scenarios, sweep, volumes
from tests.crash import server as servers

pytestmark = [pytest.mark.crash, pytest.mark.slow]

ALWAYS = ("fsync", "fdatasync", "renameat", "rename", "symlinkat", "symlink", "mkdirat", "mkdir", "unlink", "unlinkat")
NAMES = (*ALWAYS, "write", "pwrite64", "fchmod", "utimensat", "ftruncate")
SAMPLE = 4
"""Of the calls that only write, every fourth: what they wrote is not in the image before the sync that follows."""


class Disk:
    """A scenario's CONFIG_DIR on an image, which every run starts from."""

    def __init__(self, scenario: scenarios.Scenario, folder: Path) -> None:
        self.folder = folder
        self._image = folder / "before.img"
        volumes.make_image(self._image)
        with volumes.mounted(self._image, folder / "disk") as disk:
            shutil.copytree(scenario.config, disk / "config", symlinks=True)

    @property
    def config(self) -> Path:
        """CONFIG_DIR while it is mounted."""
        return self.folder / "disk" / "config"

    def started(self) -> Path:
        """A fresh image to mount."""
        return Path(shutil.copyfile(self._image, self.folder / "running.img"))

    def lost_power(self) -> Path:
        """The image as the device has it now; nothing is synced for it."""
        return Path(shutil.copyfile(self.folder / "running.img", self.folder / "lost.img"))


def after_power_loss(
    server: servers.Server, scenario: scenarios.Scenario, disk: Disk, lost: Path, *, certain: bool
) -> list[str]:
    """What is wrong with what is on the disk when the power is back. `certain`: the run had ended with 0."""
    with volumes.mounted(lost, disk.config.parent):
        shown = sweep.visible(disk.config)
        wanted = (scenario.after,) if certain else (scenario.before, scenario.after)
        if scenario.whole:
            wrong = [] if shown in wanted else [f"neither old nor new is whole: {shown}"]
        else:
            wrong = [name for name in shown if shown[name] not in [each[name] for each in wanted]]
        wrong += [f"{name} is empty" for name, content in shown.items() if content == b""]
        status = server.run(servers.Run(("status", "--config-dir", str(disk.config))))
        if status.code != 0:
            wrong.append(f"status: {status.err}")
        return wrong + scenarios.healing(server, scenario.run(disk.config), disk.config, scenario.after)


@pytest.mark.parametrize("chunk", range(2))
@pytest.mark.parametrize("name", ["first", "update", "adopt", "files"])
def test_a3_power_loss(
    server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str, chunk: int
) -> None:
    """A3, P1, P3: whatever had reached the device shows one complete set, and the next run converges."""
    servers.require("strace")
    volumes.require_mounts(place, loop=True)
    scenario = prepared.get(name)
    disk = Disk(scenario, place)
    run = scenario.run(disk.config)
    with volumes.mounted(disk.started(), disk.config.parent):
        found = sweep.points(server, run, disk.config, NAMES)
    chosen = [point for place_, point in enumerate(found) if point.name in ALWAYS or place_ % SAMPLE == 0]
    assert len(chosen) >= 30
    wrong = []
    for point in chosen[chunk::2]:
        with volumes.mounted(disk.started(), disk.config.parent):
            ended = sweep.injected(server, run, point, "signal=KILL", disk.config)
            lost = disk.lost_power()
        assert ended.code == -9
        wrong += [f"{point}: {bad}" for bad in after_power_loss(server, scenario, disk, lost, certain=False)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["first", "update", "adopt", "files", "confirm", "cut_off", "cut_short"])
def test_a3_power_loss_right_after_success(
    server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str
) -> None:
    """A3, P3: exit 0 is a promise about the disk."""
    volumes.require_mounts(place, loop=True)
    scenario = prepared.get(name)
    disk = Disk(scenario, place)
    with volumes.mounted(disk.started(), disk.config.parent):
        ended = server.run(scenario.run(disk.config))
        lost = disk.lost_power()
    assert ended.code == 0, ended.err
    assert not after_power_loss(server, scenario, disk, lost, certain=True)
