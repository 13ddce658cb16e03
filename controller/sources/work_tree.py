"""A folder of a local git work tree as it was at some commit, in a private folder of its own.

For comparing revisions offline: nothing is fetched, nothing is written into the repository, whose file system may be
read-only. The repository is named to git by its exact place, so that neither its owner nor a configuration of the
machine matters; what its own configuration would start is overruled (`git_command`, faults.md E5).
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from controller import clock, errors
from controller.sources import git_command, git_tree

_CAPS = git_tree.Caps(max_files=200_000, max_bytes=1 << 30, max_file_bytes=256 << 20)
_LONGEST_MARK = 4096


@dataclass(frozen=True, slots=True)
class Taken:
    """The folder at a commit. `root` is None when the commit does not have the folder. `left_out` are links and
    submodules, which are not taken."""

    commit: str
    root: Path | None
    left_out: tuple[str, ...] = ()


@contextlib.contextmanager
def taken(folder: Path, revision: str, *, deadline_s: float) -> Iterator[Taken]:
    """The folder as this revision has it, for as long as the block runs. `folder` need not exist any more.

    Raises `ControllerError`: "RevisionMissing" when there is no repository around the folder or no such commit in it,
    "SourceRefused" for what no source may hold, "Unwritable" without a temporary directory.
    """
    repository, inside = _repository(folder)
    with _private() as home:
        machine = clock.Clock()
        access = git_command.Access(url="", scheme="none")
        git = git_command.Git(access, home, deadline_s, machine.monotonic_s() + deadline_s, machine=machine)
        try:
            yield _extracted(git, repository, _commit(git, repository, folder, revision), inside)
        except git_command.GitFailed as failed:
            text = f"{folder}: git cannot read {revision}: {failed.said}"
            raise errors.ControllerError("RevisionMissing", text) from None


def _commit(git: git_command.Git, repository: Path, folder: Path, revision: str) -> str:
    try:
        return _resolved(git, repository, f"{revision}^{{commit}}")
    except git_command.GitFailed as failed:
        if failed.late:
            raise
        text = f"{revision}: no such commit in the repository around {folder}"
        raise errors.ControllerError("RevisionMissing", text) from None


def _extracted(git: git_command.Git, repository: Path, commit: str, inside: str) -> Taken:
    if inside and not git.answer("ls-tree", "-z", "-d", "--full-tree", commit, "--", inside, repository=repository):
        return Taken(commit, None)
    tree = _resolved(git, repository, f"{commit}:{inside}")
    found = git_tree.listing(git, repository, tree, _CAPS)
    root = git.home / "tree"
    git_tree.extracted(git, repository, found, root)
    return Taken(commit, root, found.left_out)


def _resolved(git: git_command.Git, repository: Path, words: str) -> str:
    answer = git.answer("rev-parse", "--verify", "--quiet", "--end-of-options", words, repository=repository)
    return answer.decode("ascii", "replace").strip()


@contextlib.contextmanager
def _private() -> Iterator[Path]:
    """An empty folder for this user alone, removed afterwards."""
    try:
        made = Path(tempfile.mkdtemp(prefix="artifact-controller-"))
    except OSError as error:
        text = f"there is no temporary directory: {error.strerror}; name one with TMPDIR"
        raise errors.ControllerError("Unwritable", text) from None
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _repository(folder: Path) -> tuple[Path, str]:
    """The repository around a folder, and the folder's path in it with slashes, "" for the top."""
    real = Path(os.path.realpath(folder))
    for top in (real, *real.parents):
        place = _git_dir(top)
        if place is not None:
            inside = real.relative_to(top).as_posix()
            return place, "" if inside == "." else inside
    raise errors.ControllerError("RevisionMissing", f"{folder}: is in no work tree of git")


def _git_dir(top: Path) -> Path | None:
    """The git folder of a work tree; of a linked one and of a submodule, what its `.git` file names."""
    mark = top / ".git"
    if mark.is_dir():
        return mark
    try:
        with mark.open("rb") as file:
            said = file.read(_LONGEST_MARK)
    except OSError:
        return None
    word, _, path = os.fsdecode(said).strip().partition(": ")
    return top / path if word == "gitdir" and path else None
