"""A3: the power goes at a system call. CONFIG_DIR is on an ext4 image; what is in the image then is what is left."""

import os
import shutil
from pathlib import Path

import pytest

from tests.crash import scenarios, sweep, volumes
from tests.crash import server as servers
from tests.fakes import command

pytestmark = [pytest.mark.crash, pytest.mark.slow]

ALWAYS = ("fsync", "renameat", "rename", "symlinkat", "symlink", "mkdirat", "mkdir")
OTHERS = ("fdatasync", "unlink", "unlinkat", "write", "pwrite64", "fchmod", "utimensat", "ftruncate")
SAMPLE = 5
"""Of the others, which are SQLite's or do not order anything, every fifth: mounting takes most of the time."""


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


def after_power_loss(server: servers.Server, scenario: scenarios.Scenario, disk: Disk, lost: Path) -> list[str]:
    """What is wrong with what is on the disk when the power is back."""
    with volumes.mounted(lost, disk.config.parent):
        shown = command.documents(disk.config)
        wanted = (scenario.before, scenario.after)
        if scenario.whole:
            wrong = [] if shown in wanted else [f"neither old nor new is whole: {shown}"]
        else:
            wrong = [name for name in shown if shown[name] not in [each[name] for each in wanted]]
        wrong += [f"{name} is empty" for name, content in shown.items() if content == b""]
        status = server.run(servers.Run(("status", "--config-dir", str(disk.config))))
        if status.code != 0:
            wrong.append(f"status: {status.err}")
        if (lock := disk.config / sweep.LOCK).exists():
            os.utime(lock, (0, 0))  # starting a machine takes longer than a lock file may be without its pid
        return wrong + scenarios.healing(server, scenario.run(disk.config), disk.config, scenario.after)


@pytest.mark.parametrize("name", ["first", "update", "adopt", "files"])
def test_a3_power_loss(server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str) -> None:
    """A3, P1, P3: whatever had reached the device shows one complete set, and the next run converges."""
    servers.require("strace")
    volumes.require_mounts(place, loop=True)
    scenario = prepared.get(name)
    disk = Disk(scenario, place)
    run = scenario.run(disk.config)
    with volumes.mounted(disk.started(), disk.config.parent):
        found = sweep.points(server, run, disk.config, (*ALWAYS, *OTHERS))
    chosen = [point for turn, point in enumerate(found) if point.name in ALWAYS or turn % SAMPLE == 0]
    assert len(chosen) >= 15
    wrong = []
    for point in chosen:
        with volumes.mounted(disk.started(), disk.config.parent):
            ended = sweep.injected(server, run, point, "signal=KILL", disk.config)
            lost = disk.lost_power()
        assert ended.code == -9
        wrong += [f"{point}: {bad}" for bad in after_power_loss(server, scenario, disk, lost)]
    assert not wrong, "\n".join(wrong)


def ended_well(server: servers.Server, scenario: scenarios.Scenario, disk: Disk, state: Path | None, lie: bool) -> Path:
    """The image at the instant of exit 0. A state directory on another disk syncs nothing of this one by accident."""
    fault = {"folder": str(disk.config), "count": 0, "effect": "lie", "only": "fsync"} if lie else None
    run = scenario.run(disk.config, fault=fault)
    more = ("--state-dir", str(state)) if state is not None else ()
    with volumes.mounted(disk.started(), disk.config.parent):
        ended = server.run(servers.Run((*run.arguments, *more), fault=fault))
        lost = disk.lost_power()
    assert ended.code == 0, ended.err
    return lost


@pytest.mark.parametrize("kept_elsewhere", [False, True])
@pytest.mark.parametrize(
    "name", ["first", "update", "adopt", "files", "files_layout", "confirm", "cut_off", "cut_short"]
)
def test_a3_power_loss_right_after_success(
    server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str, kept_elsewhere: bool
) -> None:
    """A3, P3: exit 0 is a promise about the disk."""
    volumes.require_mounts(place, loop=True)
    scenario = prepared.get(name)
    if kept_elsewhere and scenario.config.joinpath(".controller").exists():
        shutil.copytree(scenario.config / ".controller", place / "state")
    disk = Disk(scenario, place)
    lost = ended_well(server, scenario, disk, place / "state" if kept_elsewhere else None, lie=False)
    with volumes.mounted(lost, disk.config.parent):
        assert command.documents(disk.config) == scenario.after


def test_a3_a_sync_that_lies_is_noticed(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> None:
    """A3: without the syncs the test above fails; so it is able to."""
    volumes.require_mounts(place, loop=True)
    scenario = prepared.get("first")
    disk = Disk(scenario, place)
    lost = ended_well(server, scenario, disk, place / "state", lie=True)
    with volumes.mounted(lost, disk.config.parent):
        assert command.documents(disk.config) != scenario.after
