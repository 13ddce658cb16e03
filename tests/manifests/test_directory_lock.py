"""The kernel's lock on the directory, against real processes that die, stop, or live in another pid namespace."""

import os
import signal
from pathlib import Path

import pytest

from manifests import errors, merge_lock
from tests.fakes.locks import (
    HOLD_DIRECTORY,
    PRELUDE,
    UNSHARE,
    FakeClock,
    child,
    directory_lock,
    just_before_locking,
    needs_pid_namespaces,
)


def test_b1_a_second_controller_waits_and_then_names_the_holder(tmp_path: Path) -> None:
    clock = FakeClock()
    with child(HOLD_DIRECTORY, tmp_path) as holder:
        with pytest.raises(errors.LockBusy) as caught:
            directory_lock(tmp_path, clock, wait_s=5).acquire()
        assert 5 <= clock.passed_s < 6
        assert str(tmp_path) in str(caught.value)
        assert caught.value.holder in (
            f"another controller (pid {holder.pid})",
            # where the file system reports another device than the kernel's table of locks
            "another controller (in another container, or not visible from here)",
        )


def test_the_directory_lock_writes_nothing(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    lock = directory_lock(tmp_path, FakeClock())
    lock.acquire()
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime_ns == before
    lock.release()


def test_the_directory_lock_is_free_after_release_and_can_be_taken_again(tmp_path: Path) -> None:
    first = directory_lock(tmp_path, FakeClock())
    for _ in range(2):
        first.acquire()
        with pytest.raises(errors.LockBusy):
            directory_lock(tmp_path, FakeClock()).acquire()
        first.release()
        first.release()
    second = directory_lock(tmp_path, FakeClock())
    second.acquire()
    second.release()


def test_a_waiter_gets_the_directory_as_soon_as_it_is_free(tmp_path: Path) -> None:
    first = directory_lock(tmp_path, FakeClock())
    first.acquire()
    clock = FakeClock(each_sleep=first.release)
    second = directory_lock(tmp_path, clock, wait_s=5)
    second.acquire()
    assert clock.passed_s < 1
    second.release()


def test_a_directory_that_was_replaced_meanwhile_is_locked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.mkdir()

    def replace() -> None:
        path.rename(tmp_path / "moved")
        path.mkdir()

    just_before_locking(monkeypatch, replace)
    lock = directory_lock(path, FakeClock(), wait_s=5)
    lock.acquire()
    with pytest.raises(errors.LockBusy):
        directory_lock(path, FakeClock()).acquire()
    lock.release()


@pytest.mark.parametrize(("name", "cause"), [("nowhere", "No such file"), ("file", "Not a directory")])
def test_a9_what_cannot_be_locked_is_named(tmp_path: Path, name: str, cause: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.ConfigDirError, match=f"{name}: {cause}"):
        directory_lock(tmp_path / name, FakeClock()).acquire()


def test_b2_a_killed_owner_frees_the_directory_at_once(tmp_path: Path) -> None:
    with child(HOLD_DIRECTORY, tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        lock = directory_lock(tmp_path, FakeClock())
        lock.acquire()
        lock.release()


def test_b2_a_stopped_owner_is_waited_for_and_never_robbed(tmp_path: Path) -> None:
    with child(HOLD_DIRECTORY, tmp_path) as holder:
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(errors.LockBusy):
            directory_lock(tmp_path, FakeClock(), wait_s=60).acquire()
        holder.send_signal(signal.SIGCONT)


def test_b3_a_child_that_outlives_the_owner_does_not_hold_its_locks(tmp_path: Path) -> None:
    code = PRELUDE + (
        "import subprocess\n"
        "directory_lock(0).acquire()\n"
        "with merge_lock.merge_lock(path, clock=clock):\n"
        "    heir = subprocess.Popen(['sleep', '60'], close_fds=False, stdout=subprocess.DEVNULL)\n"
        "    print(heir.pid, flush=True); sys.stdin.read()"
    )
    with child(code, tmp_path) as holder:
        heir = int(holder.first_line)  # type: ignore[attr-defined]  # set by `child`
        try:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            os.kill(heir, 0)
            lock = directory_lock(tmp_path, FakeClock())
            lock.acquire()
            clock = FakeClock()
            with merge_lock.merge_lock(tmp_path, clock=clock):
                assert clock.passed_s == 0
            lock.release()
        finally:
            os.kill(heir, signal.SIGKILL)


def test_b1_across_pid_namespaces_the_kernel_decides(tmp_path: Path) -> None:
    """Both sides call themselves pid 1 or see other numbers; a pid file would be stolen or never freed."""
    needs_pid_namespaces()
    ask = PRELUDE + (
        "try: directory_lock(0).acquire(); print('taken')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    with child(HOLD_DIRECTORY, tmp_path, prefix=UNSHARE) as holder:
        with pytest.raises(errors.LockBusy):
            directory_lock(tmp_path, FakeClock(), wait_s=1).acquire()
        with child(ask, tmp_path, prefix=UNSHARE) as other:
            assert "LockBusy" in other.first_line  # type: ignore[attr-defined]  # set by `child`
            assert "another container" in other.first_line  # type: ignore[attr-defined]  # set by `child`
        holder.kill()
        holder.wait()
        with child(ask, tmp_path, prefix=UNSHARE) as other:
            assert other.first_line == "taken\n"  # type: ignore[attr-defined]  # set by `child`
