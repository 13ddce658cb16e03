"""C5: a file that somebody has open for writing is not content yet, however long the writer pauses."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.sources import writers
from manifests import fingerprint
from tests.controller.test_settling import Followed
from tests.fakes.command import Shop

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who writes")


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    found = Followed(Shop(tmp_path))
    assert not found.reconciled().failed
    return found


def _pausing(path: Path, content: bytes, half: int, pauses: int) -> Iterator[None]:
    """Written up to here, then a pause of so many waits, then the rest."""
    with path.open("wb", buffering=0) as stream:
        stream.write(content[:half])
        for _ in range(pauses):
            yield
        stream.write(content[half:])


def test_c5_a_writer_that_pauses_publishes_no_half_of_a_file(followed: Followed) -> None:
    """What is there meanwhile is a valid document by chance, with a number cut short."""
    path = followed.shop.document("orders", "functions.yml")
    content = path.read_bytes().replace(b"memory_size: 256", b"memory_size: 2560") + b"# the end\n"
    half = content.index(b"memory_size: 2560") + len(b"memory_size: 256")
    writer = _pausing(path, content, half, 7)
    next(writer)
    before = len(followed.machine.waits)
    ended = followed.reconciled(writer)
    assert not ended.failed, ended.message
    assert b"2560" in (followed.shop.documents()["functions.yml"] or b"")
    assert sum(map(bool, followed.machine.waits[before:])) == 7 + 1, "two looks after the end, as for every change"


def test_c5_a_file_that_is_never_closed_is_taken_when_patience_ends(followed: Followed) -> None:
    path = followed.shop.document("orders", "functions.yml")
    with path.open("ab", buffering=0) as stream:
        stream.write(b"# more\n")
        before = sum(followed.machine.waits)
        ended = followed.reconciled()
    assert not ended.failed, ended.message
    assert 10.0 <= sum(followed.machine.waits) - before < 11.0


def test_c5_a_change_of_a_closed_file_waits_no_longer_than_before(followed: Followed) -> None:
    before = len(followed.machine.waits)
    beside = followed.shop.document("catalog", "functions.yml")
    with beside.open("r+b"):  # open, but not changed: it says nothing about this change
        followed.shop.edit("orders", "functions.yml", "memory_size: 256", "memory_size: 512")
        assert followed.reconciled().changed
    assert sum(map(bool, followed.machine.waits[before:])) == 1


def test_only_a_regular_file_that_is_open_for_writing_counts(tmp_path: Path) -> None:
    """Everything that cannot be asked counts as closed, and asking hangs on nothing."""
    file = tmp_path / "file"
    file.write_bytes(b"x")
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.bind(str(tmp_path / "socket"))
        with file.open("ab"):
            assert writers.is_written(str(file))
            assert not any(writers.is_written(str(tmp_path / name)) for name in ("link", "pipe", "socket", "none", "."))
    with file.open("rb"):
        assert not writers.is_written(str(file))
    with file.open("ab") as later:
        later.write(b"y")  # nobody is kept from writing afterwards


def test_only_files_that_were_new_and_changed_lately_are_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb"):
        found = fingerprint.of_stat(str(file), os.stat(file))
        store = fingerprint.MemoryStore()
        noting = writers.Noting(store)
        assert not noting.written(since_ns=0)
        assert noting.digest_of(found) is None
        assert noting.written(since_ns=found.ctime_ns)
        assert not noting.written(since_ns=found.ctime_ns + 1)
        known = writers.Noting(store)
        known.remember(found, "digest")
        assert known.digest_of(found) == "digest"
        assert not known.written(since_ns=0)


@pytest.mark.parametrize(("kind", "remote"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False)])
def test_another_hosts_file_system_is_not_believed(kind: str, remote: bool) -> None:
    """It refuses leases for reasons of its own, also when nobody writes."""
    line = f"36 35 0:44 / /srv/shop rw,noatime master:1 - {kind} place rw"
    assert writers._is_remote_mount(line, "0:44") == remote
    assert not writers._is_remote_mount(line, "0:45")
