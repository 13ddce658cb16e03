"""A9, A11: CONFIG_DIR cannot be written, cannot be entered, is not there, or is no longer what the record says."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import scenarios, sweep, volumes
from tests.crash import server as servers
from tests.fakes import command

pytestmark = [pytest.mark.crash]

NOBODY = 65534


class Place:
    """A CONFIG_DIR in which something is wrong, and the run over it."""

    def __init__(self, server: servers.Server, prepared: scenarios.Prepared, config: Path) -> None:
        self.config = config
        self._server = server
        self._prepared = prepared

    def publish(self, version: str, *more: str, uid: int | None = None) -> servers.Ended:
        """One run."""
        line = scenarios.arguments(self._prepared.sources[version], self.config, None, *more)
        return self._server.run(servers.Run(line, uid=uid))

    def published(self, version: str) -> sweep.Documents:
        """What consumers see after a run that went well."""
        ended = self.publish(version)
        assert ended.code == 0, ended.err
        return command.documents(self.config)

    def refused(self, version: str, errno: int | None, *, uid: int | None = None, code: int = 73) -> None:
        """The run fails with `code`, names the place and the number of the error, and is no bug."""
        ended = self.publish(version, uid=uid)
        assert ended.code == code, f"{ended.code}: {ended.err}"
        assert "Traceback" not in ended.err
        assert str(self.config) in ended.err
        assert "hint: " in ended.err
        if errno is not None:
            assert f"errno {errno}" in ended.err.casefold()

    def heals(self, version: str) -> None:
        """After the repair one run converges, and the next one has nothing to do."""
        wanted = self.published(version)
        assert b":" + version.encode() in (wanted["functions.yml"] or b"")
        assert not sweep.leftovers(self.config)
        assert "nothing to do" in self.publish(version).out


@pytest.fixture
def at(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> Path:
    """A folder for a mount."""
    del server, prepared
    volumes.require_mounts(place, loop=False)
    return place / "volume"


@pytest.mark.parametrize("published", [True, False])
def test_a9_read_only(server: servers.Server, prepared: scenarios.Prepared, at: Path, published: bool) -> None:
    """A9: a read-only mount."""
    with volumes.memory(at, "size=1m"):
        there = Place(server, prepared, at)
        before = there.published("v1") if published else command.documents(at)
        volumes.call("mount", "-o", "remount,ro", str(at))
        there.refused("v2", 30)
        assert command.documents(at) == before
        volumes.call("mount", "-o", "remount,rw", str(at))
        there.heals("v2")


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("left_bytes", [0, 4096, 8192, 16384, 32768])
def test_a9_no_space(
    server: servers.Server, prepared: scenarios.Prepared, at: Path, left_bytes: int, published: bool
) -> None:
    """A9: a volume that is full, or has room for some of what a publish writes."""
    with volumes.memory(at, "size=512k"):
        config = at / "config"
        config.mkdir()
        there = Place(server, prepared, config)
        before = there.published("v1") if published else command.documents(config)
        filler = at / "filler"
        _fill(filler, left_bytes)
        ended = there.publish("v2")
        assert "Traceback" not in ended.err
        if ended.code == 0:
            assert left_bytes >= 16384
        elif ended.code == 1:
            assert "AppliedNotRecorded" in ended.err
        else:
            assert ended.code == 73, ended.err
            assert "(errno 28)" in ended.err
            assert str(config) in ended.err
            assert command.documents(config) == before
        assert ended.code == 73 or left_bytes
        filler.unlink()
        there.heals("v2")


def _fill(filler: Path, left_bytes: int) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            file.truncate(max(0, file.tell() - left_bytes))


@pytest.mark.parametrize("free", range(8))
def test_a9_no_inodes(server: servers.Server, prepared: scenarios.Prepared, at: Path, free: int) -> None:
    """A9: no or a few inodes are left."""
    with volumes.memory(at, "size=1m", "nr_inodes=64"):
        config = at / "config"
        config.mkdir()
        there = Place(server, prepared, config)
        before = there.published("v1")
        spare: list[Path] = []
        while True:
            name = at / f"spare-{len(spare)}"
            try:
                name.touch()
            except OSError:
                break
            spare.append(name)
        for name in spare[:free]:
            name.unlink()
        ended = there.publish("v2")
        assert "Traceback" not in ended.err
        if ended.code not in (0, 1):
            assert ended.code == 73, ended.err
            assert "(errno 28)" in ended.err
            assert command.documents(config) == before
        assert ended.code == 73 or free > 3
        for name in spare[free:]:
            name.unlink()
        there.heals("v2")


def test_a9_not_a_directory(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> None:
    """A9: a file stands in its place."""
    there = Place(server, prepared, place / "config")
    there.config.write_text("what is this?", encoding="utf-8")
    there.refused("v1", None)
    assert there.config.read_text(encoding="utf-8") == "what is this?"
    there.config.unlink()
    there.heals("v1")


def test_a9_dangling_link(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> None:
    """A9: it is a link to a directory that is not there."""
    there = Place(server, prepared, place / "config")
    there.config.symlink_to(place / "elsewhere")
    there.refused("v1", None)
    (place / "elsewhere").mkdir()
    there.heals("v1")


def test_a9_missing_parent(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> None:
    """A9: a volume that is not mounted, or a typing error: nothing is created."""
    there = Place(server, prepared, place / "mount" / "config")
    there.refused("v1", 2)
    assert not (place / "mount").exists()
    (place / "mount").mkdir()
    there.heals("v1")


@pytest.fixture
def open_to_all(prepared: scenarios.Prepared) -> Iterator[scenarios.Prepared]:
    """The sources where any user may read them."""
    with tempfile.TemporaryDirectory(prefix="controller-open-") as folder:
        Path(folder).chmod(0o755)
        for version, source in prepared.sources.items():
            shutil.copytree(source, Path(folder, version))
        opened = object.__new__(scenarios.Prepared)
        opened.sources = {version: Path(folder, version) for version in prepared.sources}
        yield opened


@pytest.mark.parametrize("mode", [0o000, 0o111, 0o444, 0o555])
def test_a9_forbidden(server: servers.Server, open_to_all: scenarios.Prepared, mode: int) -> None:
    """A9: its owner may not enter it, not list it, or not write it."""
    uid = NOBODY if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="controller-mode-") as folder:
        there = Place(server, open_to_all, Path(folder) / "config")
        there.config.mkdir()
        for path in (there.config.parent, there.config):
            os.chown(path, uid if uid is not None else -1, -1)
        assert there.publish("v1", uid=uid).code == 0
        before = command.documents(there.config)
        there.config.chmod(mode)
        # What can be listed but not entered hides the record first, which has its own code.
        there.refused("v2", 13, uid=uid, code=1 if mode == 0o444 else 73)
        there.config.chmod(0o755)
        assert command.documents(there.config) == before
        assert there.publish("v2", uid=uid).code == 0
        there.heals("v2")


def test_a9_immutable(server: servers.Server, prepared: scenarios.Prepared, tmp_path: Path) -> None:
    """A9: not even root may write it."""
    servers.require("chattr", root=True)
    there = Place(server, prepared, tmp_path / "config")
    before = there.published("v1")
    if subprocess.run(["chattr", "+i", str(there.config)], check=False, capture_output=True).returncode:
        servers.unavailable("this file system knows no chattr +i")
    try:
        there.refused("v2", 1)
        assert command.documents(there.config) == before
    finally:
        subprocess.run(["chattr", "-i", str(there.config)], check=True)
    there.heals("v2")


@pytest.mark.parametrize("what", ["everything", "the generations", "the links", "one document"])
def test_a11_the_record_says_more_than_the_disk(
    server: servers.Server, prepared: scenarios.Prepared, place: Path, what: str
) -> None:
    """A11, P3: with the record kept elsewhere and the volume's content gone, it is published again."""
    there = Place(server, prepared, place / "config")
    kept = ("--state-dir", str(place / "state"))
    assert there.publish("v1", *kept).code == 0
    wanted = command.documents(there.config)
    removed = {
        "everything": "*",
        "the generations": "..gen-*",
        "the links": "*.yml",
        "one document": "..gen-*/routing.yml",
    }[what]
    for path in sorted(there.config.glob(removed)):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert command.documents(there.config) != wanted
    again = there.publish("v1", *kept)
    assert again.code == 0, again.err
    assert "nothing to do" not in again.out
    assert command.documents(there.config) == wanted
    assert "nothing to do" in there.publish("v1", *kept).out
