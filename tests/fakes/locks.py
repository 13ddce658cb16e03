"""What the tests of the locks share: a clock that only sleeping moves, and real processes that hold a lock and die."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from manifests import config_dir, merge_lock
from tests.fakes import tools

ROOT = Path(__file__).parents[2]
NOW_S = 1_800_000_000.0
MARK = "kernel lock: flock"


@dataclass
class FakeClock:
    """Time that passes only by sleeping. `each_sleep` is what others do meanwhile."""

    passed_s: float = 0.0
    each_sleep: Callable[[], object] = lambda: None

    def now_s(self) -> float:
        return NOW_S + self.passed_s

    def monotonic_s(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        self.each_sleep()


def directory_lock(path: Path, clock: FakeClock, *, wait_s: float = 0) -> merge_lock.DirectoryLock:
    return merge_lock.DirectoryLock(path, wait_s=wait_s, monotonic=clock.monotonic_s, sleep=clock.sleep)


def lock_file(path: Path, content: bytes, *, age_s: float = 3600) -> Path:
    file = path / config_dir.LOCK_NAME
    file.write_bytes(content)
    os.utime(file, (NOW_S - age_s, NOW_S - age_s))
    return file


PRELUDE = """
import sys, time
from pathlib import Path
from controller.clock import Clock
from manifests import merge_lock
path, clock = Path(sys.argv[1]), Clock()
def directory_lock(wait_s):
    return merge_lock.DirectoryLock(path, wait_s=wait_s, monotonic=time.monotonic, sleep=time.sleep)
"""
HOLD_DIRECTORY = PRELUDE + "directory_lock(0).acquire(); print('held', flush=True); sys.stdin.read()"
HOLD_FILE = (
    PRELUDE + "lock = merge_lock.merge_lock(path, clock=clock)\nwith lock: print('held', flush=True); sys.stdin.read()"
)
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@contextmanager
def child(code: str, path: Path, *, prefix: tuple[str, ...] = ()) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that has said its first line, and is gone afterwards."""
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert started.stdout is not None
            started.first_line = started.stdout.readline()  # type: ignore[attr-defined]  # for the tests
            yield started
        finally:
            started.kill()


def needs_pid_namespaces() -> None:
    if shutil.which("unshare") is None:
        tools.absent("unshare (util-linux) is not installed")
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        tools.absent(f"pid namespaces are not permitted here: {tried.stderr.strip()}")


def just_before_locking(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Somebody else acts between the opening and the locking of what was opened, once."""
    lock = fcntl.flock
    changes = iter([change])

    def after_change(fd: int, operation: int) -> None:
        next(changes, lambda: None)()
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", after_change)
