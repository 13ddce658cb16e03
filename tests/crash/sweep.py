"""Stopping the command at every system call that touches CONFIG_DIR, from outside, with strace; and looking at it.

`points` records one undisturbed run and lists every (system call, k-th call) that touched a folder; `injected` runs
the command again with one of them killed or failed. The controller itself has no part in this: no hook, no variable.
"""

import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import server as servers
from tests.fakes import command

LOCK = ".artifact-merge.lock"

Documents = Mapping[str, bytes | None]
"""What a consumer reads through the three names; None where there is nothing."""

SYNCING = ("fsync", "fdatasync")
CHANGING = (
    "openat", "mkdir", "mkdirat", "write", "pwrite64", *SYNCING, "rename", "renameat", "renameat2", "symlink",
    "symlinkat", "unlink", "unlinkat", "rmdir", "utimensat", "fchmod", "fchmodat", "chmod", "ftruncate", "flock", "link",
)  # fmt: skip
READING = ("newfstatat", "fstat", "read", "pread64", "getdents64", "readlink", "readlinkat", "lseek", "fcntl", "access")

_LINE = re.compile(r"^(?:\d+\s+)?(\w+)\((.*)$")


@dataclass(frozen=True, slots=True)
class Point:
    """The `count`-th call of `name` in the process. `line` is what strace said of it when nothing was injected."""

    name: str
    count: int
    line: str = field(compare=False, default="")

    def __str__(self) -> str:
        return f"{self.name} #{self.count} ({self.line})"


def points(server: servers.Server, run: servers.Run, folder: Path, names: tuple[str, ...]) -> list[Point]:
    """Every call of `names` in one undisturbed run that touches something below `folder`, in order."""
    trace = folder.with_name("trace")
    ended = _traced(server, run, ["-o", str(trace), "-e", f"trace={','.join(names)}"])
    assert ended.code == 0, ended.err
    return _points(trace, folder)


def injected(server: servers.Server, run: servers.Run, point: Point, effect: str, folder: Path) -> servers.Ended:
    """One run with `effect` (``signal=KILL``, ``error=EIO``, …) at `point`, which must have been below `folder`."""
    trace = folder.with_name("trace")
    inject = f"inject={point.name}:{effect}:when={point.count}"
    ended = _traced(server, run, ["-o", str(trace), "-e", f"trace={point.name}", "-e", inject])
    _require_hit(trace, folder, point)
    return ended


def points_of_process(arguments: tuple[str, ...], folder: Path, names: tuple[str, ...]) -> list[Point]:
    """As `points`, for a whole process."""
    trace = folder.with_name("trace")
    prefix = ("strace", "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={','.join(names)}", "--")
    ended = servers.whole_process(arguments, prefix=prefix)
    assert ended.code == 0, ended.err
    return _points(trace, folder)


def injected_process(arguments: tuple[str, ...], folder: Path, point: Point, effect: str) -> servers.Ended:
    """As `injected`, for a whole process."""
    trace = folder.with_name("trace")
    inject = f"inject={point.name}:{effect}:when={point.count}"
    prefix = ("strace", "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={point.name}", "-e", inject, "--")
    ended = servers.whole_process(arguments, prefix=prefix)
    _require_hit(trace, folder, point)
    return ended


def _traced(server: servers.Server, run: servers.Run, options: list[str]) -> servers.Ended:
    with server.started(run, held=True) as waiting:
        strace = subprocess.Popen(
            ["strace", "-p", str(waiting.pid), "-f", "-y", "-s", "0", *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert strace.stderr is not None
        with strace:
            said = strace.stderr.readline()  # "Process N attached": from here on it misses nothing
            if "attached" not in said:
                strace.kill()
                servers.unavailable(f"strace cannot trace here: {said.strip()}")
            ended = waiting.end()
            strace.wait(servers.DEADLINE_S)
    return ended


def _points(trace: Path, folder: Path) -> list[Point]:
    seen: Counter[str] = Counter()
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        matched = _LINE.match(line)
        if matched is None:
            continue
        seen[matched[1]] += 1
        if str(folder) in matched[2]:
            found.append(Point(matched[1], seen[matched[1]], line.replace(str(folder), "")[:120]))
    return found


def _require_hit(trace: Path, folder: Path, point: Point) -> None:
    """The call that was hit is the one that was meant, or one like it: a sweep that misses proves nothing."""
    seen = 0
    for line in trace.read_text(errors="replace").splitlines():
        matched = _LINE.match(line)
        seen += matched is not None
        if seen == point.count:
            assert str(folder) in line, f"{point} was meant, and this was hit: {line}"
            return
    raise AssertionError(f"{point} was never reached")


def generation(config: Path) -> int:
    """The number of the visible generation; 0 when there is none."""
    try:
        return int(os.readlink(config / "..data").removeprefix("..gen-"))
    except OSError:
        return 0


@dataclass
class Reader:
    """What a reader that never stops looking has seen: every distinct set, each read within one generation."""

    sets: list[dict[str, bytes | None]]

    def mixed(self, before: Documents, after: Documents) -> list[str]:
        """What it saw that is neither the one set nor the other."""
        return [_described(found, before, after) for found in self.sets if found not in (before, after)]

    def torn(self, before: Documents, after: Documents) -> list[str]:
        """Files that it saw and that are neither the one version nor the other."""
        return [
            name for found in self.sets for name in command.DOCUMENTS if found[name] not in (before[name], after[name])
        ]


def _described(found: Documents, before: Documents, after: Documents) -> str:
    def word(name: str) -> str:
        if found[name] is None:
            return "nothing"
        return "old" if found[name] == before[name] else "new" if found[name] == after[name] else "torn"

    return ", ".join(f"{name}: {word(name)}" for name in command.DOCUMENTS)


@contextmanager
def reading(config: Path) -> Iterator[Reader]:
    """Read CONFIG_DIR over and over while the block runs.

    A set counts when ``..data`` named the same generation, and each name was the same file, before and after: what is
    left is the cross-file window that consumers have anyway (consumers.md GW1).
    """
    reader = Reader([])
    stop = threading.Event()

    def look() -> None:
        while True:
            before = _identity(config)
            found = command.documents(config)
            if before == _identity(config) and found not in reader.sets:
                reader.sets.append(found)
            if stop.wait(0.001):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield reader
    finally:
        stop.set()
        thread.join()


def _identity(config: Path) -> tuple[object, ...]:
    found: list[object] = []
    for name in ("..data", *command.DOCUMENTS):
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
    temporary = [name for name in names if name.endswith("_tmp") or name == LOCK]
    state = config / ".controller"
    unfinished = [path.name for path in state.iterdir() if "-journal" in path.name] if state.is_dir() else []
    return temporary + generations[:-2] + sorted(unfinished)
