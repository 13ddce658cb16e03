"""Which folders of a directory source are listened to, and which events there may be about content (faults.md D1, D6).

Looks at names and times only; `controller.triggers` listens, and the scan decides whether anything changed. No link is
followed, and what is written here itself (CONFIG_DIR, the state) is not entered.
"""

import contextlib
import itertools
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import digest

MOST_FOLDERS = 10_000
"""Those near the root first; deeper ones are left to the timer. Each costs 50 us, and 1 kB of the kernel."""

MODIFIED = 2
"""watchfiles' number for a change that neither adds nor removes a name."""

Change = tuple[int, str]
"""What happened, by watchfiles' number, to which path."""

_NO_CONTENT = re.compile(r".*(~|\.sw[a-z]|\.bak|\.tmp)|4913|\.#.*|#.*#|\.git", re.DOTALL)
"""Names of what editors leave behind, and of the inside of a repository (C5)."""


class Absent(Exception):
    """There is no folder to listen to. The message says which."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The folders as they were found, the root first. `ignored` are spelled as events are; `partly` says that there are
    more folders."""

    root: str
    identity: tuple[int, int]
    folders: Sequence[str]
    ignored: frozenset[str]
    known: frozenset[str]
    partly: bool

    def matters(self, change: Change) -> bool:
        """Whether this may be about content. That a folder was modified only repeats what its names say."""
        kind, path = change
        if kind == MODIFIED and path in self.known:
            return False
        return not (_NO_CONTENT.fullmatch(os.path.basename(path)) or _is_below(path, self.ignored))

    def grows(self, change: Change) -> bool:
        """Whether there is a folder now that nobody listens to: a new one, or another in the place of an old one."""
        kind, path = change
        if kind == MODIFIED or self.partly or not self.matters(change):
            return False
        return os.path.isdir(path) and not os.path.islink(path)

    def replaced(self, changes: Collection[Change]) -> bool:
        """Whether the root is another folder now, or gone. A new one may have been given the old one's number."""
        gone = any(path == self.root and kind != MODIFIED for kind, path in changes)
        return gone or _identity(self.root) != self.identity


def survey(root: str, ignored: Collection[Path]) -> Tree:
    """The tree at this absolute path as it is now. Raises `Absent`."""
    identity = _identity(root)
    if identity is None:
        raise Absent(f"{root}: there is no such folder to listen to")
    spelled = frozenset(_spelled(root, ignored))
    found = list(itertools.islice(_folders(root, spelled), MOST_FOLDERS + 1))
    if not found:
        raise Absent(f"{root}: this folder cannot be read")
    folders = found[:MOST_FOLDERS]
    return Tree(root, identity, folders, spelled, frozenset(folders), partly=len(found) > MOST_FOLDERS)


def stamp(root: Path, ignored: Collection[Path]) -> str:
    """Another one as soon as anything in these folders is written, made or taken away, as far as names, sizes and times
    tell; "" without such a folder. Costs a stat call for each file."""
    try:
        tree = survey(os.path.abspath(root), ignored)
    except Absent:
        return ""
    return digest.of_parts(repr(line) for folder in tree.folders for line in sorted(_lines(folder)))


def _lines(folder: str) -> Iterator[tuple[str, int, int, int, int]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for each in entries:
            if not each.is_dir(follow_symlinks=False):
                found = each.stat(follow_symlinks=False)
                yield each.path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _folders(root: str, ignored: Collection[str]) -> Iterator[str]:
    """Level by level. One that cannot be read is left out: the kernel would refuse to listen to it."""
    waiting = [root]
    for folder in waiting:  # which grows meanwhile
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            waiting += [each.path for each in entries if _is_listened_to(each, ignored)]
            yield folder


def _is_listened_to(entry: os.DirEntry[str], ignored: Collection[str]) -> bool:
    if entry.name == ".git" or entry.path in ignored or not entry.is_dir(follow_symlinks=False):
        return False
    return _is_text(entry.name)


def _is_text(name: str) -> bool:
    """watchfiles takes no other names."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _spelled(root: str, ignored: Collection[Path]) -> Iterator[str]:
    """Those of the ignored folders that are inside of the root, whatever links lead there. One that holds the root
    itself cannot be left out."""
    real = os.path.realpath(root)
    for folder in ignored:
        relative = os.path.relpath(os.path.realpath(folder), real)
        if relative != os.curdir and relative.split(os.sep, 1)[0] != os.pardir:
            yield os.path.join(root, relative)


def _is_below(path: str, folders: Collection[str]) -> bool:
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
