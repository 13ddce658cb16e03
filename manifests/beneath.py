"""Opening files below one directory, and never any other: the only door to a source's files (faults.md G1).

Walks component by component from an open directory, never following a link that it has not read itself: a link is
read, its target spliced into the rest of the walk, and the walk goes on from the same open directory. So whatever a
link is swapped for, and whenever, nothing outside can be opened. Only regular files are read. Knows nothing of what
the files mean, and writes nothing.
"""

import contextlib
import errno
import itertools
import operator
import os
import posixpath
import stat as modes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from manifests import source_errors

MAX_LINKS = 40
"""Links in one walk, as in the kernel's own limit."""
MAX_STEPS = 4096
"""Directories opened in one walk: links that climb and descend for ever end here."""

# O_PATH asks for no more than any walk does (search permission) and opens no file.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
BLOCK_BYTES = 1 << 20
"""So much of a file is in memory at a time when it is read in blocks."""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class ReadFile(NamedTuple):
    """The bytes of a regular file and its stat, which did not change while it was read."""

    content: bytes
    stat: os.stat_result


class Name(NamedTuple):
    """One name in a directory. `folder` is True for a real directory, never for a link to one."""

    name: str
    folder: bool
    link: bool


class Found(NamedTuple):
    """One name in a directory, itself: the stat is a link's own, and `target` what it says ("" for all others)."""

    name: str
    stat: os.stat_result
    target: str


@dataclass(slots=True)
class _Walk:
    """Where a walk stands: an open directory (`fd`; `root` when it did not move) and the real names that lead there.

    `pending` are the parts still to go, last first. A `plain` walk follows no link at all.
    """

    root: int
    fd: int
    shown: str
    pending: list[str]
    plain: bool
    names: list[str] = field(default_factory=list)
    links: int = 0
    steps: int = 0

    def stand_in(self, fd: int) -> None:
        """Move to an open directory, closing the one before."""
        if self.fd != self.root:
            os.close(self.fd)
        self.fd = fd

    def restart(self) -> None:
        """Back to the root."""
        self.stand_in(self.root)
        self.names.clear()

    def enter(self, part: str) -> None:
        """Into a real directory. Raises OSError ENOTDIR for a link or a file."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise source_errors.LinkLoop(self.shown)
        self.stand_in(os.open(part, _FOLDER, dir_fd=self.fd))
        self.names.append(part)

    def climb(self) -> None:
        """`..`, as often as it comes, at most to the root. Down again it goes by real names only: had one of them
        become a link meanwhile, it would not be followed."""
        climbed = 1
        while self.pending and self.pending[-1] == "..":
            self.pending.pop()
            climbed += 1
        if climbed > len(self.names):
            raise source_errors.PathEscapes(self.shown)
        names = self.names[:-climbed]
        self.restart()
        for name in names:
            self.enter(name)


class Root:
    """An open directory that nothing opened through it can leave. A context manager.

    `path` is opened as the operating system does, through links: it is the caller's word, not the source's. `shown`
    is how the user would type it, for messages; empty shows paths relative to it.
    Raises `PathMissing`, `PathUnreadable` or `NotPlain`.
    """

    def __init__(self, path: Path, *, shown: str = "") -> None:
        self._shown = shown
        self._fd = -1
        self._plain = False
        with _translating(str(path)):
            self._fd = os.open(path, _FOLDER & ~os.O_NOFOLLOW)
        self._prefixes: Sequence[str] = (os.path.realpath(path), os.path.abspath(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory; closing twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def show(self, relative: str) -> str:
        """The path as the user would type it."""
        return posixpath.normpath(posixpath.join(self._shown, relative))

    def open_dir(self, relative: str, *, shown: str | None = None, plain: bool = False) -> "Root":
        """A directory below this one, as a root of its own: what is opened through it may not even climb up to this
        one. `shown` replaces what its path looks like in messages. Through a `plain` root no link is followed: where
        one stands, something has `Moved`. Raises what `stat` does, and `NotPlain`."""
        with self._walking(relative, self.show(relative) if shown is None else shown) as walk:
            while self._next(walk, enter_last=True):
                pass
            child = Root.__new__(Root)
            child._shown = walk.shown
            child._plain = plain or self._plain
            child._prefixes = [posixpath.join(prefix, *walk.names) for prefix in self._prefixes]
            child._fd = os.dup(walk.fd)
            return child

    def stat(self, relative: str) -> os.stat_result:
        """The stat of what stands there, links followed inside; opens directories only.

        Raises `PathMissing`, `PathEscapes`, `PathUnreadable`, `NotPlain` (a file on the way) and `LinkLoop`.
        """
        with self._walking(relative, self.show(relative)) as walk:
            return self._find(walk)[1]

    def read_file(self, relative: str, *, max_bytes: int, shown: str | None = None) -> ReadFile:
        """The whole content of a regular file of at most `max_bytes`. `shown` is as in `open_dir`.

        Raises what `stat` does, `NotPlain` for anything but a regular file (which is never opened, so a FIFO cannot
        block), `TooLarge`, and `Moved` when the file changed under the reader.
        """
        blocks: list[bytes] = []
        found = self.read_blocks(relative, blocks.append, max_bytes=max_bytes, shown=shown)
        return ReadFile(b"".join(blocks), found)

    def read_blocks(
        self, relative: str, sink: Callable[[bytes], object], *, max_bytes: int, shown: str | None = None
    ) -> os.stat_result:
        """As `read_file`, but the content goes to `sink` in pieces of at most `BLOCK_BYTES`, and nothing of it counts
        unless this returns. What `sink` raises is passed on as it is."""
        shown = self.show(relative) if shown is None else shown
        with self._walking(relative, shown) as walk:
            name, before = self._find(walk)
            if not modes.S_ISREG(before.st_mode):
                raise source_errors.NotPlain(shown, source_errors.kind_of(before.st_mode))
            if before.st_size > max_bytes:
                raise source_errors.TooLarge(shown, before.st_size, max_bytes)
            fd = _open_seen(walk, name, before)
        try:
            return _read_whole(fd, before, shown, sink)
        finally:
            os.close(fd)

    def names(self, relative: str) -> tuple[Name, ...]:
        """What a directory holds, in the order of the names. Raises what `open_dir` does."""
        with self._listing(relative) as (found, _):
            listed = [Name(each.name, each.is_dir(follow_symlinks=False), each.is_symlink()) for each in found]
        return tuple(sorted(listed))

    def listing(self, relative: str, *, most: int) -> list[Found]:
        """What a directory holds, every name itself, in the order of the names; cut off after `most` of them.

        Raises what `open_dir` does, and `PathMissing` or `Moved` when a name changed meanwhile.
        """
        with self._listing(relative) as (found, fd):
            listed = [
                Found(each.name, each.stat(follow_symlinks=False), self._target(each, fd))
                for each in itertools.islice(found, most)
            ]
        return sorted(listed, key=operator.itemgetter(0))

    def modes_of(self, leaf: str, names: Sequence[str]) -> dict[str, int]:
        """For each directory name/ that holds `leaf`: the mode of `leaf`; a link is not followed. Nothing is opened.

        One system call a name. The names must come from `names`, which told directories from links: should one be
        swapped for a link in between, a stranger's file is looked at, but never opened.
        """
        found: dict[str, int] = {}
        for name in names:
            try:
                found[name] = os.stat(f"{name}/{leaf}", dir_fd=self._fd, follow_symlinks=False).st_mode
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise source_errors.of_os_error(error, self.show(f"{name}/{leaf}")) from error
        return found

    @contextlib.contextmanager
    def _listing(self, relative: str) -> Iterator[tuple[Iterator["os.DirEntry[str]"], int]]:
        with self.open_dir(relative) as folder, _translating(self.show(relative)):
            fd = os.open(".", _LISTED, dir_fd=folder._fd)
            try:
                with os.scandir(fd) as found:
                    yield found, fd
            finally:
                os.close(fd)

    def _target(self, entry: "os.DirEntry[str]", fd: int) -> str:
        if not entry.is_symlink():
            return ""
        try:
            return os.readlink(entry.name, dir_fd=fd)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise source_errors.Moved(self._shown) from error
            raise

    @contextlib.contextmanager
    def _walking(self, relative: str, shown: str) -> Iterator[_Walk]:
        walk = _Walk(self._fd, self._fd, shown, _parts(relative, shown), self._plain)
        try:
            with _translating(shown):
                yield walk
        finally:
            walk.restart()

    def _find(self, walk: _Walk) -> tuple[str, os.stat_result]:
        """The name of what is looked for in the directory where the walk then stands, and its stat: never a link's.
        The name is ``.`` when the walk ended in a directory."""
        while self._next(walk, enter_last=False):
            pass
        while walk.pending:
            name = walk.pending.pop()
            found = os.stat(name, dir_fd=walk.fd, follow_symlinks=False)
            if not modes.S_ISLNK(found.st_mode):
                return name, found
            self._follow(walk, name)
            while self._next(walk, enter_last=False):
                pass
        return ".", os.stat(walk.fd)

    def _next(self, walk: _Walk, *, enter_last: bool) -> bool:
        """One step; False when no directory is left to enter (without `enter_last`, one name is then left)."""
        if not walk.pending:
            return False
        part = walk.pending[-1]
        if part != ".." and len(walk.pending) == 1 and not enter_last:
            return False
        walk.pending.pop()
        if part == "..":
            walk.climb()
            return True
        try:
            walk.enter(part)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            self._follow(walk, part)
        return True

    def _follow(self, walk: _Walk, part: str) -> None:
        """Splice a link's target into the walk; an absolute one starts at the root again, which it must be below."""
        if walk.plain:
            raise source_errors.Moved(walk.shown)
        walk.links += 1
        if walk.links > MAX_LINKS:
            raise source_errors.LinkLoop(walk.shown)
        try:
            target = os.readlink(part, dir_fd=walk.fd)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
            raise
        if target.startswith("/"):
            target = self._below(target, walk.shown)
            walk.restart()
        walk.pending.extend(_parts(target, walk.shown))

    def _below(self, target: str, shown: str) -> str:
        for prefix in self._prefixes:
            base = prefix.rstrip("/") + "/"
            if (target + "/").startswith(base):
                return target[len(base) :]
        raise source_errors.PathEscapes(shown)


def _parts(path: str, shown: str) -> list[str]:
    """The parts of a path, last first."""
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise source_errors.PathImpossible(shown, "has a character that no path can have") from error
    if b"\0" in encoded:
        raise source_errors.PathImpossible(shown, "has a NUL character, which no path can have")
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _open_seen(walk: _Walk, name: str, seen: os.stat_result) -> int:
    """Open what was just looked at; anything else that stands there by now is closed unread."""
    try:
        fd = os.open(name, _FILE, dir_fd=walk.fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT, errno.ENXIO):
            raise source_errors.Moved(walk.shown) from error
        raise
    opened = os.fstat(fd)
    if not os.path.samestat(opened, seen) or not modes.S_ISREG(opened.st_mode):
        os.close(fd)
        raise source_errors.Moved(walk.shown)
    return fd


def _read_whole(fd: int, before: os.stat_result, shown: str, sink: Callable[[bytes], object]) -> os.stat_result:
    """Exactly as many bytes as the file says to have. A file that has more or fewer is being written, or is one of the
    kernel's (`/proc`), and neither is an artifact's."""
    wanted = before.st_size + 1
    while wanted > 0 and (block := _read(fd, min(wanted, BLOCK_BYTES), shown)):
        sink(block)
        wanted -= len(block)
    with _translating(shown):
        after = os.fstat(fd)
    moments = [(each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in (before, after)]
    if wanted != 1 or moments[0] != moments[1]:
        raise source_errors.Moved(shown)
    return after


def _read(fd: int, size: int, shown: str) -> bytes:
    # Not around the whole loop: a disk that is full where the blocks go is not the fault of the file they come from.
    with _translating(shown):
        return os.read(fd, size)


@contextlib.contextmanager
def _translating(shown: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise source_errors.of_os_error(error, shown) from error
