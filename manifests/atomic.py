"""Durable primitives: the one place that syncs, renames and makes links.

Everything works relative to an open directory's descriptor, so that a directory that is moved or replaced meanwhile
cannot lead a write astray. Nothing here retries: after a failed fsync the kernel may have dropped the pages, so a
second fsync of the same file would lie (faults.md A4). Raises `OSError`; the callers know which step it was. Knows
nothing of documents or generations. Every descriptor is close-on-exec (faults.md B3).
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755

_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)


@dataclass(frozen=True, slots=True)
class File:
    """A regular file's content and what goes with it. `owner` is (uid, gid), None for "whoever writes it"."""

    content: bytes
    mtime_ns: int
    mode: int = FILE_MODE
    owner: tuple[int, int] | None = None


class NotRegularError(OSError):
    """There is something else than a regular file of a sensible size; `strerror` says what."""


@contextlib.contextmanager
def opened(path: Path | str, *, dir_fd: int | None = None, follow: bool = True) -> Iterator[int]:
    """A directory's descriptor. `follow=False` refuses a link in the last place."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        _close_read_only(fd)


def write_file(dir_fd: int, name: str, wanted: File) -> None:
    """Create `name` with content, mode (whatever the umask, faults.md A10) and time, and sync it."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    try:
        _write_all(fd, wanted.content)
        if wanted.owner is not None:
            _give_to(fd, wanted.owner)
        os.fchmod(fd, wanted.mode)
        os.utime(fd, ns=(wanted.mtime_ns, wanted.mtime_ns))
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(dir_fd: int, name: str) -> None:
    """Create a directory that everybody may enter, whatever the umask."""
    os.mkdir(name, DIRECTORY_MODE, dir_fd=dir_fd)
    with opened(name, dir_fd=dir_fd, follow=False) as fd:
        os.fchmod(fd, DIRECTORY_MODE)


def sync_directory(fd: int) -> None:
    """Make the directory's names durable. A file system that cannot sync directories has nothing to be asked for."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


def sync_file(dir_fd: int, name: str) -> None:
    """Make a file that somebody wrote durable; follows links."""
    fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_link(dir_fd: int, target: str, name: str) -> None:
    """Create the symbolic link `name`."""
    os.symlink(target, name, dir_fd=dir_fd)


def rename(dir_fd: int, name: str, over: str) -> None:
    """Replace `over` by `name` in one step. Durable only after `sync_directory`."""
    os.rename(name, over, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def swap_link(dir_fd: int, target: str, name: str, *, temp: str) -> None:
    """Make `name` a link to `target` in one step, whatever was there before (but never over a directory)."""
    make_link(dir_fd, target, temp)
    rename(dir_fd, temp, name)


def exists(dir_fd: int, name: str) -> bool:
    """Whether the name is taken, by whatever; links are not followed."""
    return _found(dir_fd, name) is not None


def remove(dir_fd: int, name: str) -> None:
    """Remove a file, a link (never what it names) or a whole directory. Nothing there is fine."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(name, dir_fd=dir_fd).st_mode):
            shutil.rmtree(name, dir_fd=dir_fd)
        else:
            os.unlink(name, dir_fd=dir_fd)


def read_regular(dir_fd: int, name: str, *, limit_bytes: int) -> File:
    """The whole file as a consumer that follows links sees it.

    Looks before it opens, and opens without blocking, so a FIFO or a device has no effect (faults.md G1). Raises
    `NotRegularError` for these and for a file larger than `limit_bytes`, `OSError` for the rest.
    """
    _require_regular(os.stat(name, dir_fd=dir_fd), limit_bytes)
    fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        found = os.fstat(fd)
        _require_regular(found, limit_bytes)
        content = _read_all(fd, limit_bytes)
    finally:
        _close_read_only(fd)
    return File(content, found.st_mtime_ns, stat.S_IMODE(found.st_mode) & 0o777, (found.st_uid, found.st_gid))


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole, durably, keeping its mode and, where permitted, its owner; or create it.

    A link stays: what it names is replaced. Anything but a regular file is refused with `NotRegularError`.
    """
    real = Path(os.path.realpath(path))
    temp = f".controller-{secrets.token_hex(8)}.tmp"
    with opened(real.parent) as dir_fd:
        before = _found(dir_fd, real.name)
        if before is not None and not stat.S_ISREG(before.st_mode):
            raise NotRegularError(errno.EINVAL, f"is {_kind(before.st_mode)}, not a regular file")
        try:
            _write_like(dir_fd, temp, content, before)
            rename(dir_fd, temp, real.name)
        except BaseException:
            with contextlib.suppress(OSError):
                remove(dir_fd, temp)
            raise
        sync_directory(dir_fd)


def _write_like(dir_fd: int, name: str, content: bytes, before: os.stat_result | None) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=dir_fd)
    try:
        _write_all(fd, content)
        if before is not None:
            _give_to(fd, (before.st_uid, before.st_gid))
            os.fchmod(fd, stat.S_IMODE(before.st_mode) & 0o777)
        os.fsync(fd)
    finally:
        os.close(fd)


def _found(dir_fd: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return None


def _close_read_only(fd: int) -> None:
    with contextlib.suppress(OSError):  # nothing was written through it, so nothing can be lost
        os.close(fd)


def _give_to(fd: int, owner: tuple[int, int]) -> None:
    with contextlib.suppress(OSError):  # not root, or an owner that this user namespace does not know
        os.fchown(fd, *owner)


def _write_all(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _read_all(fd: int, limit_bytes: int) -> bytes:
    parts = []
    total = 0
    while part := os.read(fd, min(limit_bytes, 1 << 20) + 1):
        parts.append(part)
        total += len(part)
        if total > limit_bytes:
            raise NotRegularError(errno.EFBIG, f"is larger than {limit_bytes} bytes")
    return b"".join(parts)


def _require_regular(found: os.stat_result, limit_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotRegularError(errno.EINVAL, f"is {_kind(found.st_mode)}, not a regular file")
    if found.st_size > limit_bytes:
        raise NotRegularError(errno.EFBIG, f"is larger than {limit_bytes} bytes")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
