"""What stands below `functions/<name>/` of an artifact root: what an image is built from, looked at by stat alone.

Used by `manifests.survey` for every look at a source and by `manifests.build_context`, which copies it. Owns what may
be in a build context (contract.md section 5, faults.md G4) and the digest of one: names, modes and bytes. Follows no
link, opens directories only, writes nothing.
"""

import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from core import digest
from manifests import beneath, fingerprint, source_errors

FOLDER = "functions"
DOCKERFILE = "Dockerfile"

MAX_NAMES = 100_000
"""Files, links and directories in one context."""
MAX_DEPTH = 64
"""Directories inside each other, below `functions/<name>/`."""
MAX_PATH_BYTES = 3072
"""Of a path below `functions/<name>/`. The kernel takes 4096, and a copy stands in a folder of its own."""
MAX_SHOWN = 20
"""So many things are said to be wrong with one context; who made it knows by then."""

_PERMISSIONS = 0o777


class Node(NamedTuple):
    """One name of a context. `path` is below `functions/<name>/` ("" for that folder itself). A file has `seen`, a
    link has the `target` that it says, a directory neither. `mode` is what a copy gets: see `_kept_mode`."""

    path: str
    mode: int
    seen: fingerprint.Fingerprint | None = None
    target: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether it is a directory."""
        return self.seen is None and not self.target


@dataclass(frozen=True, slots=True)
class Context:
    """One function's build context, in the order of the paths, so that a directory comes before what is in it.

    `shown` is its folder as the user would type it. `dockerfile` is the path of the file that `Dockerfile` is, or
    leads to. With something `wrong`, the rest says nothing.
    """

    function: str
    shown: str
    nodes: tuple[Node, ...] = ()
    dockerfile: str = ""
    wrong: tuple[source_errors.PathError, ...] = field(default=(), compare=False)

    @property
    def folder(self) -> str:
        """Where it stands below the artifact root."""
        return f"{FOLDER}/{self.function}"

    @property
    def files(self) -> Iterator[tuple[str, fingerprint.Fingerprint]]:
        """Path and fingerprint of each file."""
        return ((node.path, node.seen) for node in self.nodes if node.seen is not None)

    def show(self, path: str) -> str:
        """A path of it as the user would type it."""
        return posixpath.join(self.shown, printable(path))


class Limits(NamedTuple):
    """In bytes: of a document, which a Dockerfile is too, and of all files of one context together, holes included."""

    document: int
    context: int


def look(artifact: beneath.Root, function: str, *, where: str, limits: Limits) -> Context:
    """Look at one function's context; `where` is the artifact root's path in fingerprints.

    Everything that must not be in a context is in `wrong`: links out of it, names that are not UTF-8, anything but
    files, directories and links, what cannot be read, and too much of it all. Raises `Moved` when it changes under
    the reader, and what `beneath.Root.open_dir` does for the folder.
    """
    folder = f"{FOLDER}/{function}"
    shown = artifact.show(printable(folder))
    if not _is_text(function):
        return Context(function, shown, wrong=(_no_text(shown),))
    with artifact.open_dir(folder, plain=True) as root:
        walk = _Walk(root, shown, posixpath.join(where, folder), limits.context)
        walk.everything()
    walk.links()
    found = Context(function, shown, tuple(sorted(walk.nodes)), wrong=tuple(walk.wrong[:MAX_SHOWN]))
    return found if found.wrong else _with_dockerfile(found, artifact, limits.document)


def digest_of(nodes: Sequence[Node], digests: Mapping[str, str]) -> str:
    """The digest of a context; `digests` are those of its files, by path. Time stamps and owners do not count."""
    parts = ["context-1"]
    for node in nodes:
        kind = "file" if node.seen is not None else "link" if node.target else "directory"
        parts += (node.path, kind, format(node.mode, "o"), digests.get(node.path, node.target))
    return digest.of_parts(parts)


def printable(path: str) -> str:
    """The path for people: what no terminal should get is escaped."""
    if path.isprintable():
        return path
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class _Walk:
    """One pass over a context. Directories are opened one at a time, from its folder, so depth costs no descriptors."""

    def __init__(self, root: beneath.Root, shown: str, where: str, max_bytes: int) -> None:
        self.nodes = [Node("", _kept_mode(root.stat(".").st_mode))]
        self.wrong: list[source_errors.PathError] = []
        self._root = root
        self._shown = shown
        self._where = where
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pending = [""]

    def everything(self) -> None:
        """Look at every name below, or until it is too much."""
        while self._pending and len(self.wrong) < MAX_SHOWN:
            folder = self._pending.pop()
            room = MAX_NAMES - len(self.nodes) + 1  # the folder itself does not count
            listed = self._list(folder, most=room + 1)
            if len(listed) > room:
                self._too_much(f"more than {MAX_NAMES} files and directories")
                return
            for found in listed:
                self._take(f"{folder}/{found.name}" if folder else found.name, found)
            if self._bytes > self._max_bytes:
                self._too_much(f"files of more than {self._max_bytes} bytes together")
                return

    def links(self) -> None:
        """Find the links that lead out of the context, wherever else they lead."""
        targets = {node.path: node.target for node in self.nodes if node.target}
        for path, target in targets.items():
            if _leads_out(path, target, targets):
                self.wrong.append(source_errors.PathEscapes(self._show(path)))

    def _list(self, folder: str, *, most: int) -> list[beneath.Found]:
        try:
            return self._root.listing(folder or ".", most=most)
        except (source_errors.PathMissing, source_errors.NotPlain) as error:  # it was listed a moment ago
            raise source_errors.Moved(self._show(folder)) from error
        except source_errors.PathUnreadable as error:
            self.wrong.append(source_errors.PathUnreadable(self._show(folder), error.words))
            return []

    def _take(self, path: str, found: beneath.Found) -> None:
        mode, wrong = found.stat.st_mode, self._wrong(path, found)
        if wrong is not None:
            self.wrong.append(wrong)
        elif stat.S_ISREG(mode):
            self._bytes += found.stat.st_size
            seen = fingerprint.of_stat(f"{self._where}/{path}", found.stat)
            self.nodes.append(Node(path, _kept_mode(mode), seen))
        elif stat.S_ISDIR(mode):
            self.nodes.append(Node(path, _kept_mode(mode)))
            self._pending.append(path)
        else:
            self.nodes.append(Node(path, _PERMISSIONS, None, found.target))

    def _wrong(self, path: str, found: beneath.Found) -> source_errors.PathError | None:
        """Why a copy of this would not be what it says, or would be more than that."""
        mode = found.stat.st_mode
        if not _is_text(path + found.target):
            return _no_text(self._show(path))
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            kind = source_errors.kind_of(mode)
            return source_errors.NotPlain(self._show(path), kind, wanted="a file, a directory or a link")
        if len(path.encode()) > MAX_PATH_BYTES:
            return source_errors.PathImpossible(self._show(path)[:80], "is too long for a path: shorten it")
        if stat.S_ISDIR(mode) and path.count("/") >= MAX_DEPTH:
            words = f"is more than {MAX_DEPTH} directories deep: an image is not built from that"
            return source_errors.PathImpossible(self._show(path)[:80], words)
        return None

    def _too_much(self, words: str) -> None:
        way_out = "leave there only what the image is built from, or raise images.max_context_bytes"
        self.wrong.append(source_errors.PathError(self._shown, f"holds {words}, too much to build from: {way_out}"))

    def _show(self, path: str) -> str:
        return posixpath.join(self._shown, printable(path)) if path else self._shown


def _with_dockerfile(found: Context, artifact: beneath.Root, max_bytes: int) -> Context:
    """The context with the place of its Dockerfile, which may be a link to another file of it."""
    try:
        status = artifact.stat(f"{found.folder}/{DOCKERFILE}")
    except source_errors.PathMissing as error:
        raise source_errors.Moved(found.show(DOCKERFILE)) from error
    identity = (status.st_dev, status.st_ino)
    for path, seen in found.files:
        if (seen.device, seen.inode) == identity:
            too_large = source_errors.TooLarge(found.show(DOCKERFILE), seen.size, max_bytes)
            wrong = (too_large,) if seen.size > max_bytes else ()
            return Context(found.function, found.shown, found.nodes, path, wrong)
    raise source_errors.Moved(found.show(DOCKERFILE))


def _leads_out(path: str, target: str, links: Mapping[str, str]) -> bool:
    """Whether the link's target is absolute, or climbs above the context on its way.

    Links on the way are links of this context, each judged by itself, so they lead to somewhere inside; but from there
    nobody can say how far a later `..` climbs: that is refused too.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbed = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    if target.startswith("/") or climbed > path.count("/"):
        return True
    if ".." not in parts[climbed:]:
        return False
    where = path.split("/")[: path.count("/") - climbed]
    for part in parts[climbed:]:
        if part != "..":
            where.append(part)
        elif not where or any("/".join(where[:end]) in links for end in range(1, len(where) + 1)):
            return True
        else:
            where.pop()
    return False


def _kept_mode(mode: int) -> int:
    """Permission bits, which Docker keeps. Not set-user-id and its kin: they come by accident (a shared folder), and
    a copy is not to have them. The owner may read, and remove what is in a directory, or a copy would be stuck."""
    return mode & _PERMISSIONS | (0o700 if stat.S_ISDIR(mode) else 0o400)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_text(shown: str) -> source_errors.PathError:
    return source_errors.PathImpossible(shown, "has a name, or a link's target, that is not UTF-8: rename it")
