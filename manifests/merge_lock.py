"""Being the only writer at a CONFIG_DIR: the kernel's lock on the directory, and the contract's lock file in it.

`DirectoryLock` is held for a whole pass and writes nothing; the kernel frees it however its owner ends (faults.md B1,
B2). `merge_lock` is held around writing only, because older appliers honour nothing else (contract.md section 4): a
file created exclusively with the owner's pid in its first line. A pid says nothing across pid namespaces, so this
project holds a kernel lock on that file too, and says so in the second line: behind such a file the kernel lock alone
decides. No child inherits a descriptor (B3).

filelock is not used: it truncates the file when it opens it, which destroys an older applier's pid, and it cannot lock
a directory.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from manifests import atomic, config_dir, errors

WAIT_S = 30.0
"""A waiter gives up after this long: contract.md section 4."""

_POLL_S = 0.05
_MARK = "kernel lock: flock"
_HALF_WRITTEN_S = 2.0
"""How long a file without a pid may be one that an older applier has created and not yet written."""
_EVERY_PID = "pid:[4026531836]"
"""The first pid namespace, whose number is part of the kernel's interface: from there every process is seen."""


class Clock(Protocol):
    """What waiting needs: the wall clock to judge a file's age, the monotonic one to count, and a way to wait."""

    def now_s(self) -> float:
        """Seconds since the epoch."""

    def monotonic_s(self) -> float:
        """Seconds that never go backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class DirectoryLock:
    """An exclusive `flock` on the directory itself. Taken with `acquire`, given back with `release`, reusable."""

    def __init__(
        self, path: Path, *, wait_s: float, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._path = path
        self._wait_s = wait_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._fd: int | None = None

    def acquire(self) -> None:
        """Wait up to `wait_s` seconds (0: try once).

        Raises `errors.LockBusy` naming the holder, `errors.ConfigDirError` when the directory cannot be opened.
        """
        deadline_s = self._monotonic() + self._wait_s
        while self._fd is None:
            try:
                self._fd = _locked_directory(self._path)
            except OSError as error:
                raise errors.ConfigDirError(self._path, error) from error
            if self._fd is None:
                if self._monotonic() >= deadline_s:
                    raise errors.LockBusy(self._path, _holder(self._path))
                self._sleep(_POLL_S)

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _sees_every_pid() -> bool:
    """Whether a process that is not seen from here is none."""
    try:
        return os.readlink("/proc/self/ns/pid") == _EVERY_PID
    except OSError:
        return False


@contextlib.contextmanager
def merge_lock(
    path: Path, *, clock: Clock, wait_s: float = WAIT_S, sees_every_pid: Callable[[], bool] = _sees_every_pid
) -> Iterator[None]:
    """Hold CONFIG_DIR's ``.artifact-merge.lock``; it is removed afterwards, unless somebody else's lies there by then.

    Waits for a living owner up to `wait_s` seconds and takes over from a dead one. Where not `sees_every_pid`, an owner
    that is not seen may live outside of this container: its file counts for as long as a waiter would wait. Raises
    `errors.LockBusy` naming pid and path, `errors.ConfigDirError` when the file can be neither created nor judged.
    """
    file = path / config_dir.LOCK_NAME
    try:
        fd = _wait_for_file(file, clock, wait_s, sees_every_pid)
    except OSError as error:
        raise errors.ConfigDirError(file, error) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a lock file that stays is recovered: its mark says that nobody holds it
            if _is_named(file, fd):
                os.unlink(file)
        os.close(fd)


def _locked_directory(path: Path) -> int | None:
    """A descriptor that holds the lock; None when somebody else does, or the directory was replaced meanwhile."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _holder(path: Path) -> str:
    """Who holds the directory, as far as the kernel tells this pid namespace."""
    unseen = "another controller (in another container, or not visible from here)"
    try:
        found = os.stat(path)
        place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()  # "1: FLOCK ADVISORY WRITE 1234 fd:01:5678 0 EOF"; a waiter has "->" in the second
            if fields[1] == "FLOCK" and fields[5] == place and int(fields[4]) > 0:
                return f"another controller (pid {fields[4]})"
    except (OSError, ValueError, IndexError):
        return unseen
    return unseen


def _wait_for_file(file: Path, clock: Clock, wait_s: float, sees_every_pid: Callable[[], bool]) -> int:
    deadline_s = clock.monotonic_s() + wait_s
    while True:
        fd = _opened(file)
        owner = _try_to_own(fd, file, clock.now_s(), sees_every_pid)
        if owner is None:
            return fd
        os.close(fd)
        if clock.monotonic_s() >= deadline_s:
            raise errors.LockBusy(file, owner)
        clock.sleep(_POLL_S)


def _opened(file: Path) -> int:
    """The lock file's descriptor: of a new file, signed at once, or of the one that lies there. Links are refused."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        with contextlib.suppress(FileExistsError):
            return _signed(os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o644), file)
        with contextlib.suppress(FileNotFoundError):
            return os.open(file, flags | os.O_NONBLOCK)


def _signed(fd: int, file: Path) -> int:
    try:
        _sign(fd, file)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _try_to_own(fd: int, file: Path, now_s: float, sees_every_pid: Callable[[], bool]) -> str | None:
    """Make the open lock file ours. None when it is, else who has it. Writes nothing before it is free."""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise atomic.NotRegularError(errno.EINVAL, "is not a regular file")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first, second = _first_lines(fd)
        owner = None if second == _MARK else _owner(first, now_s - found.st_mtime, sees_every_pid)
        if owner is None:
            _sign(fd, file)
        if not _is_named(file, fd):
            return "an applier that is just giving it back"
        return owner
    except BlockingIOError:
        return f"another controller (pid {_first_lines(fd)[0] or 'not written yet'})"
    except BaseException:
        os.close(fd)
        raise


def _owner(first_line: str, age_s: float, sees_every_pid: Callable[[], bool]) -> str | None:
    """Who owns a file that no kernel lock protects: an older applier, or nobody (None)."""
    pid = _pid(first_line)
    if pid is None:
        return "an applier that has not written its pid yet" if abs(age_s) < _HALF_WRITTEN_S else None
    if pid == os.getpid():
        # Not us. Dead, or of the same number in another pid namespace: both happen to the pid 1 of a container.
        return f"an applier (pid {pid}, in another container)" if abs(age_s) < WAIT_S else None
    if _is_alive(pid):
        return f"an applier (pid {pid})"
    unsure = abs(age_s) < WAIT_S and not sees_every_pid()
    return f"an applier (pid {pid}, which may live outside of this container)" if unsure else None


def _pid(first_line: str) -> int | None:
    digits = first_line.removeprefix("pid=").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and 0 < int(digits) < 1 << 31 else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _first_lines(fd: int) -> tuple[str, str]:
    text = os.pread(fd, 256, 0).decode("ascii", "replace")
    first, _, rest = text.partition("\n")
    return first.strip(), rest.partition("\n")[0].strip()


def _sign(fd: int, file: Path) -> None:
    """Write our pid. The file is cut afterwards, so that at no instant it looks like one without a pid.

    On a full disk the file goes again, because an older applier may never take over an empty one.
    """
    text = f"{os.getpid()}\n{_MARK}\n".encode("ascii")
    try:
        os.pwrite(fd, text, 0)
        os.ftruncate(fd, len(text))
    except OSError:
        if _is_named(file, fd):
            os.unlink(file)
        raise


def _is_named(file: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.lstat(file), os.fstat(fd))
    except FileNotFoundError:
        return False
