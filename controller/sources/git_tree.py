"""From one tree of a commit to a folder on the disk (faults.md E4, E6, C6).

Owns what may be in such a tree, and its caps, which are checked before anything is written. Links and submodules are
left out and told; names that mean something to git, or that two systems read differently, are refused. A folder is
written beside and renamed, named by its tree, and never changed afterwards.
"""

import fcntl
import os
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from controller import errors, output
from controller.sources import git_command

_PROGRAM, _LINK, _SUBMODULE = "100755", "120000", "160000"
_CHUNK = 1 << 20
_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_POINTER = 1024
_WHOLE = ".whole"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Caps:
    """The largest checkout that is taken."""

    max_files: int
    max_bytes: int
    max_file_bytes: int


@dataclass(frozen=True, slots=True)
class File:
    """One file of a tree."""

    path: str
    object_id: str
    executable: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a tree, and the paths that are left out of it."""

    files: tuple[File, ...]
    left_out: tuple[str, ...]


def listing(git: git_command.Git, repository: Path, tree: str, caps: Caps) -> Listing:
    """What is in a tree. Raises `ControllerError("SourceRefused")` that names the path."""
    files: list[File] = []
    left_out: list[str] = []
    names: dict[str, str] = {}
    total = 0
    words = ("ls-tree", "-r", "-l", "-z", "--full-tree", tree)
    with git.stream(*words, repository=repository) as answer:
        for record in _records(answer):
            facts, _, raw = record.partition(b"\t")
            mode, _, object_id, size = facts.decode("ascii").split()
            path = _checked(raw)
            _require_no_twin(path, names)
            if mode in (_LINK, _SUBMODULE):
                left_out.append(path)
                continue
            total += int(size)
            _require_small(path, int(size), total, caps)
            if len(files) >= caps.max_files:
                raise _refused(path, f"is one more than source.git.max_files ({caps.max_files})")
            files.append(File(path, object_id, mode == _PROGRAM))
    return Listing(tuple(files), tuple(left_out))


def withheld(git: git_command.Git, repository: Path, tree: str) -> str:
    """The path of the first file whose content the clone does not hold, "" for none: in a new clone it is larger than
    what was asked for. Raises `GitFailed`."""
    words = ("rev-list", "--objects", "--missing=print", "--no-object-names", tree)
    with git.stream(*words, repository=repository) as answer:
        missing = {line[1:].strip() for line in answer if line.startswith(b"?")}
    with git.stream("ls-tree", "-r", "-z", "--full-tree", tree, repository=repository) as answer:
        found = [
            raw for facts, _, raw in (one.partition(b"\t") for one in _records(answer)) if _id_of(facts) in missing
        ]
    return _checked(found[0]) if found else ""


def _id_of(facts: bytes) -> bytes:
    """``mode type id``: the last of them."""
    return facts.rpartition(b" ")[2]


def _records(answer: IO[bytes]) -> Iterator[bytes]:
    """What stands between NULs, as it comes: a tree may have a million files."""
    rest = b""
    while chunk := answer.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole


def _require_no_twin(path: str, names: dict[str, str]) -> None:
    """Folders have twins too. `names` is what was seen, by its lower case."""
    place = path
    while place and names.setdefault(place.casefold(), place) == place:
        place = place.rpartition("/")[0]
    if place:
        twin = output.clean(names[place.casefold()])
        raise _refused(path, f"differs from {twin} only by upper and lower case")


def _require_small(path: str, size: int, total: int, caps: Caps) -> None:
    if size > caps.max_file_bytes:
        raise _refused(path, f"is larger than source.git.max_file_bytes ({caps.max_file_bytes} bytes)")
    if total > caps.max_bytes:
        raise _refused(path, f"and what comes before it is more than source.git.max_bytes ({caps.max_bytes} bytes)")


def _checked(raw: bytes) -> str:
    """A path as text, when every part of it is a plain name."""
    try:
        path = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(raw.decode("utf-8", "backslashreplace"), "is no UTF-8") from None
    for part in path.split("/"):
        # As file systems that ignore case, invisible letters, or what follows a colon would read it.
        seen = "".join(letter for letter in part if unicodedata.category(letter) != "Cf")
        lower = seen.casefold().partition(":")[0].rstrip(". ")
        if part in ("", ".", "..") or lower == ".git" or lower.startswith("git~"):
            raise _refused(path, "has a name that git keeps for itself")
        if any(ord(character) < 32 or ord(character) == 127 for character in part):
            raise _refused(path, "has a control character in its name")
    return path


def _refused(path: str, why: str) -> errors.ControllerError:
    return errors.ControllerError("SourceRefused", f"{output.clean(path)} {why}")


def extracted(git: git_command.Git, repository: Path, found: Listing, into: Path) -> None:
    """Write the files into the folder `into`, which appears all at once. Raises `GitFailed` when the repository does
    not hold them, `ControllerError("SourceUnreadable")` when they cannot be written."""
    beside = into.with_name(f".new-{secrets.token_hex(8)}")
    try:
        beside.mkdir(parents=True)
        given = "".join(f"{file.object_id}\n" for file in found.files).encode()
        with git.stream("cat-file", "--batch", repository=repository, given=given) as answer:
            for file in found.files:
                git.check()
                _write(answer, file, beside)
        _mark(into).write_text(_boot(), encoding="ascii")
        beside.rename(into)
    except OSError as error:
        raise errors.ControllerError("SourceUnreadable", f"{into}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write(answer: IO[bytes], file: File, folder: Path) -> None:
    """One object of the stream into its file."""
    head = answer.readline().split()
    if len(head) != 3 or head[0].decode() != file.object_id or head[1] != b"blob":
        raise git_command.GitFailed(-1, f"the object of {output.clean(file.path)} is missing")
    place = folder / file.path
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        left = int(head[2])
        while left:
            chunk = answer.read(min(left, _CHUNK))
            if not chunk:
                raise git_command.GitFailed(-1, f"the object of {output.clean(file.path)} ends early")
            if left <= _LONGEST_POINTER and chunk.startswith(_POINTER):
                raise _refused(file.path, "is a pointer of git-lfs; its content is not in the repository")
            target.write(chunk)
            left -= len(chunk)
        os.fchmod(target.fileno(), 0o755 if file.executable else 0o644)
    answer.read(1)


def is_whole(folder: Path) -> bool:
    """Whether a folder was written to its end since the machine started: after a power cut the names may be on the disk
    and the content not."""
    try:
        return folder.is_dir() and _mark(folder).read_text(encoding="ascii") == _boot()
    except OSError:
        return False


class Lease:
    """While one is kept, by whatever process, its checkout is not dropped. It ends with the last reference to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)


def lease(folder: Path) -> Lease | None:
    """Keep a checkout; None where it is not there. To be asked for where nobody drops any."""
    try:
        descriptor = os.open(_mark(folder), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return Lease(descriptor)


def is_leased(place: Path) -> bool:
    """Whether somebody keeps this checkout; `place` may be its mark as well."""
    try:
        descriptor = os.open(_mark(place.with_name(place.name.removesuffix(_WHOLE))), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def in_use(folder: Path) -> bool:
    """Whether any of the checkouts in a folder is kept."""
    return any(is_leased(mark) for mark in folder.glob(f"*{_WHOLE}"))


def drop(folder: Path) -> None:
    """Remove a checkout."""
    _mark(folder).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def others(folder: Path, keep: frozenset[str]) -> Iterator[Path]:
    """The checkouts beside those to keep, and what a killed process left."""
    for place in folder.iterdir():
        if place.name.removesuffix(_WHOLE) not in keep:
            yield place


def _mark(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_WHOLE}")


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
