"""The contract's lock file, against older appliers' files and against real processes that die."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from manifests import config_dir, errors, merge_lock
from tests.fakes.locks import (
    HOLD_FILE,
    MARK,
    NOW_S,
    PRELUDE,
    UNSHARE,
    FakeClock,
    child,
    directory_lock,
    just_before_locking,
    lock_file,
    needs_pid_namespaces,
)


def test_the_lock_file_holds_our_pid_while_held_and_is_removed_afterwards(tmp_path: Path) -> None:
    file = tmp_path / config_dir.LOCK_NAME
    with merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        assert file.read_text().splitlines() == [str(os.getpid()), MARK]
        with pytest.raises(FileExistsError):
            os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    assert list(tmp_path.iterdir()) == []


def test_a_free_lock_file_costs_no_waiting(tmp_path: Path) -> None:
    """The real clock: the new file is as young as one that somebody else has not yet written."""
    clock = FakeClock()
    clock.passed_s = time.time() - NOW_S
    before_s = clock.passed_s
    with merge_lock.merge_lock(tmp_path, clock=clock):
        assert clock.passed_s == before_s


def test_the_lock_file_is_removed_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def dead_pid() -> int:
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


@pytest.fixture
def living_pid() -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"]) as living:
        yield living.pid
        living.kill()


@pytest.mark.parametrize("text", ["{pid}", "{pid}\n", "pid={pid}\n", " {pid} \nanything after it that is long" * 3])
def test_b2_the_lock_of_a_dead_applier_is_taken_over_at_once(tmp_path: Path, dead_pid: int, text: str) -> None:
    clock = FakeClock()
    file = lock_file(tmp_path, text.format(pid=dead_pid).encode(), age_s=0)
    with merge_lock.merge_lock(tmp_path, clock=clock):
        assert file.read_text() == f"{os.getpid()}\n{MARK}\n"
    assert clock.passed_s == 0
    assert not file.exists()


@pytest.mark.parametrize("text", ["{pid}", "pid={pid}\n", "{pid}\nheld by the older applier\n"])
def test_b2_the_lock_of_a_living_applier_is_waited_for_and_never_touched(
    tmp_path: Path, living_pid: int, text: str
) -> None:
    clock = FakeClock()
    content = text.format(pid=living_pid).encode()
    file = lock_file(tmp_path, content)
    with pytest.raises(errors.LockBusy) as caught, merge_lock.merge_lock(tmp_path, clock=clock):
        pass
    assert 30 <= clock.passed_s < 31
    assert f"pid {living_pid}" in caught.value.holder
    assert str(file) in str(caught.value)
    assert file.read_bytes() == content


def test_a_living_applier_that_finishes_lets_us_in(tmp_path: Path, living_pid: int) -> None:
    file = lock_file(tmp_path, str(living_pid).encode())
    clock = FakeClock(each_sleep=lambda: file.unlink(missing_ok=True))
    with merge_lock.merge_lock(tmp_path, clock=clock):
        assert file.exists()
    assert clock.passed_s < 1


@pytest.mark.parametrize("content", [b"", b"\n", b"hello\n", b"-5", b"0", b"\xff\xfe\x00", b"9" * 400, b"12 34\n"])
def test_a_lock_file_without_a_pid_is_recovered(tmp_path: Path, content: bytes) -> None:
    clock = FakeClock()
    lock_file(tmp_path, content, age_s=10)
    with merge_lock.merge_lock(tmp_path, clock=clock):
        pass
    assert clock.passed_s == 0
    assert list(tmp_path.iterdir()) == []


def test_an_empty_lock_file_is_given_time_to_be_written(tmp_path: Path) -> None:
    clock = FakeClock()
    lock_file(tmp_path, b"", age_s=0)
    with merge_lock.merge_lock(tmp_path, clock=clock):
        assert 2 <= clock.passed_s < 3


def test_an_applier_between_creating_and_writing_is_not_robbed(tmp_path: Path, living_pid: int) -> None:
    file = lock_file(tmp_path, b"", age_s=0)
    clock = FakeClock(each_sleep=lambda: file.write_text(str(living_pid)))
    with pytest.raises(errors.LockBusy), merge_lock.merge_lock(tmp_path, clock=clock):
        pass
    assert file.read_text() == str(living_pid)


def test_l1_an_empty_lock_file_from_the_future_is_recovered(tmp_path: Path) -> None:
    lock_file(tmp_path, b"", age_s=-3600)
    with merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        pass


def test_b1_our_own_kind_of_lock_file_is_free_when_the_kernel_says_so(tmp_path: Path, living_pid: int) -> None:
    """A killed controller's pid may live on in this pid namespace as somebody else."""
    clock = FakeClock()
    lock_file(tmp_path, f"{living_pid}\n{MARK}\n".encode())
    with merge_lock.merge_lock(tmp_path, clock=clock):
        assert clock.passed_s == 0


def test_b1_an_older_appliers_pid_that_equals_ours_is_waited_for_as_long_as_the_contract_says(tmp_path: Path) -> None:
    """Pid 1 in two containers: dead, or alive where we cannot see it."""
    clock = FakeClock()
    lock_file(tmp_path, str(os.getpid()).encode(), age_s=5)
    with merge_lock.merge_lock(tmp_path, clock=clock):
        assert 25 <= clock.passed_s < 26


def test_b1_in_a_container_a_young_lock_of_somebody_unseen_is_waited_for(tmp_path: Path, dead_pid: int) -> None:
    """Who is not seen from there may write outside: robbed at once, CONFIG_DIR would have two writers."""
    clock = FakeClock()
    lock_file(tmp_path, str(dead_pid).encode(), age_s=5)
    with merge_lock.merge_lock(tmp_path, clock=clock, sees_every_pid=lambda: False):
        assert 25 <= clock.passed_s < 26


def test_b2_in_a_container_a_lock_from_long_ago_is_taken_over_at_once(tmp_path: Path, dead_pid: int) -> None:
    clock = FakeClock()
    lock_file(tmp_path, str(dead_pid).encode(), age_s=31)
    with merge_lock.merge_lock(tmp_path, clock=clock, sees_every_pid=lambda: False):
        assert clock.passed_s == 0


def test_b2_a_lock_file_held_by_a_controller_is_waited_for_and_free_after_kill(tmp_path: Path) -> None:
    with child(HOLD_FILE, tmp_path) as holder:
        clock = FakeClock()
        with (
            pytest.raises(errors.LockBusy, match=f"another controller \\(pid {holder.pid}\\)"),
            merge_lock.merge_lock(tmp_path, clock=clock, wait_s=3),
        ):
            pass
        assert 3 <= clock.passed_s < 4
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (tmp_path / config_dir.LOCK_NAME).exists()
        clock = FakeClock()
        with merge_lock.merge_lock(tmp_path, clock=clock):
            assert clock.passed_s == 0


def test_a_lock_file_that_its_owner_removes_meanwhile_is_made_anew(
    tmp_path: Path, dead_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = lock_file(tmp_path, str(dead_pid).encode())
    just_before_locking(monkeypatch, file.unlink)
    with merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        assert file.read_text().startswith(f"{os.getpid()}\n")


def test_only_our_own_lock_file_is_removed(tmp_path: Path) -> None:
    file = tmp_path / config_dir.LOCK_NAME
    with merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        file.unlink()
        file.write_text("4711\n")
    assert file.read_text() == "4711\n"


def test_a7_a_lock_file_that_was_cleared_away_is_no_error(tmp_path: Path) -> None:
    with merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        (tmp_path / config_dir.LOCK_NAME).unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "is not a regular file"),
        (lambda place: place.symlink_to("elsewhere"), "Too many levels of symbolic links"),
    ],
    ids=["directory", "fifo", "link"],
)
def test_a6_what_is_no_lock_file_is_an_error_and_stays(
    tmp_path: Path, make: Callable[[Path], None], cause: str
) -> None:
    make(tmp_path / config_dir.LOCK_NAME)
    with pytest.raises(errors.ConfigDirError, match=cause), merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        pass
    assert [file.name for file in tmp_path.iterdir()] == [config_dir.LOCK_NAME]


def test_a9_a_full_disk_leaves_no_empty_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, content: bytes, offset: int) -> int:
        del fd, content, offset
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(errors.ConfigDirError, match="No space"), merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_is_lost_on_any_way_out(tmp_path: Path, living_pid: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    lock_file(tmp_path, str(living_pid).encode())
    with pytest.raises(errors.LockBusy), merge_lock.merge_lock(tmp_path, clock=FakeClock()):
        pass
    held = directory_lock(tmp_path, FakeClock())
    held.acquire()
    with pytest.raises(errors.LockBusy):
        directory_lock(tmp_path, FakeClock(), wait_s=1).acquire()
    held.release()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("prefix", [(), UNSHARE], ids=["one-namespace", "two-pid-namespaces"])
def test_b1_writers_are_strictly_one_at_a_time(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    """Each adds one to a number that it reads and writes back; nothing but the two locks keeps them apart."""
    if prefix:
        needs_pid_namespaces()
    path = tmp_path / "config"
    path.mkdir()
    (tmp_path / "number").write_text("0")
    code = PRELUDE + (
        "clock = type('Quick', (Clock,), {'sleep': lambda self, seconds: time.sleep(seconds / 50)})()\n"
        "number = path.parent / 'number'\n"
        "print('started', flush=True)\n"
        "for _ in range(100):\n"
        "    with merge_lock.merge_lock(path, clock=clock, wait_s=200):\n"
        "        before = int(number.read_text()); time.sleep(0.001); number.write_text(str(before + 1))\n"
    )
    with child(code, path, prefix=prefix) as first, child(code, path, prefix=prefix) as second:
        assert [first.wait(), second.wait()] == [0, 0]
    assert (tmp_path / "number").read_text() == "200"
    assert list(path.iterdir()) == []
