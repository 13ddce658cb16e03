"""From one tree of a commit to a folder on the disk (faults.md E4, E6, C6).

Owns what may be in such a tree, and its caps, which are checked before anything is written. Links and submodules are
left out and told; names that mean something to git, or that two systems read differently, are refused. A folder is
written beside and renamed, named by its tree, and never changed afterwards.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from controller import errors, output
from controller.sources import git_command

_PLAIN, _PROGRAM, _LINK, _SUBMODULE = "100644", "100755", "120000", "160000"
_OLD_PLAIN = "100664"
_CHUNK = 1 << 20
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
    answer = git.answer("ls-tree", "-r", "-l", "-z", "--full-tree", tree, repository=repository)
    files: list[File] = []
    left_out: list[str] = []
    names: dict[str, str] = {}
    total = 0
    for record in answer.split(b"\0")[:-1]:
        facts, _, raw = record.partition(b"\t")
        mode, _, object_id, size = facts.decode("ascii").split()
        path = _checked(raw)
        if mode in (_LINK, _SUBMODULE):
            left_out.append(path)
            continue
        twin = names.setdefault(path.casefold(), path)
        if twin != path:
            raise _refused(path, f"differs from {output.clean(twin)} only by upper and lower case")
        total += int(size)
        if int(size) > caps.max_file_bytes:
            raise _refused(path, f"is larger than source.git.max_file_bytes ({caps.max_file_bytes} bytes)")
        if total > caps.max_bytes:
            raise _refused(path, f"and what comes before it is more than source.git.max_bytes ({caps.max_bytes} bytes)")
        if len(files) >= caps.max_files:
            raise _refused(path, f"is one more than source.git.max_files ({caps.max_files})")
        files.append(File(path, object_id, mode == _PROGRAM))
    return Listing(tuple(files), tuple(left_out))


def _checked(raw: bytes) -> str:
    """A path as text, when every part of it is a plain name."""
    try:
        path = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(raw.decode("utf-8", "backslashreplace"), "is no UTF-8") from None
    for part in path.split("/"):
        lower = part.lower().rstrip(". ")
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


def drop(folder: Path) -> None:
    """Remove a checkout."""
    _mark(folder).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def others(folder: Path, keep: frozenset[str]) -> Iterator[Path]:
    """The checkouts beside those to keep, and what a killed process left."""
    for place in folder.iterdir():
        if place.name.removesuffix(".whole") not in keep:
            yield place


def _mark(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.whole")


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
