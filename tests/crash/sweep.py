"""Stopping the real command at every system call that touches CONFIG_DIR, from outside, with strace.

`points` records one undisturbed run and lists every (system call, k-th call) that touched a folder; `injected` runs
the command again with one of them killed or failed. The controller itself has no part in this: no hook, no variable.
"""

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DOCUMENTS = ("functions.yml", "routing.yml", "resources.yml")

CHANGING = (
    "openat", "mkdir", "mkdirat", "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "symlink",
    "symlinkat", "unlink", "unlinkat", "rmdir", "utimensat", "fchmod", "fchmodat", "chmod", "ftruncate", "flock", "link",
)  # fmt: skip
READING = ("newfstatat", "fstat", "read", "pread64", "getdents64", "readlink", "readlinkat", "lseek", "fcntl", "access")

_LINE = re.compile(r"^(?:\d+\s+)?(\w+)\((.*)$")


@dataclass(frozen=True, slots=True)
class Point:
    """The `count`-th call of `name` in the process."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Command:
    """One run of the controller: its arguments, and the environment that makes its calls the same every time."""

    arguments: tuple[str, ...]

    def line(self) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "controller.cli", *self.arguments]

    def environment(self) -> dict[str, str]:
        """Hash seed fixed and no bytecode written, so that the k-th call is the same call in every run."""
        return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(_root())}


def _root() -> Path:
    return Path(__file__).parent.parent.parent


def points(command: Command, folder: Path, trace: Path, names: tuple[str, ...]) -> list[Point]:
    """Every call of `names` in one undisturbed run that touches something below `folder`, in order."""
    subprocess.run(
        ["strace", "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={','.join(names)}", "--", *command.line()],
        env=command.environment(),
        check=True,
        capture_output=True,
        timeout=60,
    )
    seen: Counter[str] = Counter()
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        matched = _LINE.match(line)
        if matched is None:
            continue
        seen[matched[1]] += 1
        if str(folder) in matched[2]:
            found.append(Point(matched[1], seen[matched[1]]))
    return found


def injected(command: Command, point: Point, effect: str) -> subprocess.CompletedProcess[bytes]:
    """One run with `effect` (``signal=KILL``, ``error=EIO``, …) at `point`."""
    inject = f"inject={point.name}:{effect}:when={point.count}"
    return subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-e", f"trace={point.name}", "-e", inject, "--", *command.line()],
        env=command.environment(),
        check=False,
        capture_output=True,
        timeout=60,
    )


def visible(config: Path) -> dict[str, bytes | None]:
    """What a consumer reads through the three names; None where there is nothing."""
    found: dict[str, bytes | None] = {}
    for name in DOCUMENTS:
        try:
            found[name] = (config / name).read_bytes()
        except OSError:
            found[name] = None
    return found


@dataclass
class Reader:
    """What a reader that never stops looking has seen: every distinct set, each read within one generation."""

    sets: list[dict[str, bytes | None]]


@contextmanager
def reading(config: Path) -> Iterator[Reader]:
    """Read CONFIG_DIR over and over while the block runs.

    A set counts when ``..data`` named the same generation, and each name was the same file, before and after: what is
    left is the cross-file window that consumers have anyway (consumers.md GW1).
    """
    reader = Reader([])
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            before = _identity(config)
            found = visible(config)
            if before == _identity(config) and found not in reader.sets:
                reader.sets.append(found)
            stop.wait(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield reader
    finally:
        stop.set()
        thread.join()


def _identity(config: Path) -> tuple[object, ...]:
    found: list[object] = []
    for name in ("..data", *DOCUMENTS):
        try:
            status = os.lstat(config / name)
            found.append((status.st_ino, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def leftovers(config: Path) -> list[str]:
    """Names that an interrupted publish would leave: temporaries, and generations beyond two."""
    names = sorted(path.name for path in config.iterdir())
    generations = [name for name in names if name.startswith("..gen-")]
    temporary = [name for name in names if name.endswith("_tmp") or name == ".artifact-merge.lock"]
    return temporary + generations[:-2]
