"""The folder that build contexts are copied into: one of each target, below the system's temporary directory.

Owns its place, its privacy and its end (faults.md P9): what a killed pass left is removed before the next build, so
that its size never grows beyond one pass. The lock of the target is held by whoever calls this. Knows nothing of
images.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from controller import errors
from core import digest

_PRIVATE = 0o700


def scratch_of(state_dir: Path) -> Path:
    """Where the target with this state directory copies to: the same in every pass, another for every target and user.
    Makes nothing. Raises `ControllerError` (Unwritable) when the machine has no temporary directory."""
    name = digest.of_bytes(os.fsencode(os.path.realpath(state_dir))).removeprefix("sha256:")[:16]
    try:
        below = tempfile.gettempdir()
    except FileNotFoundError:
        raise errors.ControllerError(
            "Unwritable", "there is no temporary directory to copy build contexts to; name one with TMPDIR"
        ) from None
    return Path(below) / f"artifact-controller-{os.geteuid()}-{name}"


def clear(scratch: Path) -> None:
    """Make the folder, for this user alone, or empty it. Raises `ControllerError` (Unwritable): a link, or a folder of
    somebody else, is neither used nor touched."""
    with _translated(scratch):
        _require_ours(scratch)
        for leftover in sorted(scratch.iterdir()):
            _remove(leftover)


@contextlib.contextmanager
def room(scratch: Path) -> Iterator[Path]:
    """An empty folder below it for one build, removed afterwards, whatever happens. Raises `ControllerError`
    (Unwritable) when it cannot be made."""
    with _translated(scratch):
        made = Path(tempfile.mkdtemp(prefix="build-", dir=scratch))
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):  # the next pass tries again, and tells
            _remove(made)


@contextlib.contextmanager
def _translated(scratch: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.ControllerError(
            "Unwritable", f"{error.filename or scratch}: {error.strerror}; name another temporary directory with TMPDIR"
        ) from None


def _require_ours(scratch: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(scratch, _PRIVATE)
    found = os.lstat(scratch)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        what = "is not a folder of this user, and may be a trap"
        raise errors.ControllerError(
            "Unwritable", f"{scratch}: {what}; remove it, or name another temporary directory with TMPDIR"
        )
    if stat.S_IMODE(found.st_mode) != _PRIVATE:
        os.chmod(scratch, _PRIVATE)


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    os.chmod(path, _PRIVATE)
    for folder, folders, _ in os.walk(path):
        for name in folders:
            # A context may hold folders that nobody may write to; only root could remove their files as they are.
            if not os.path.islink(child := os.path.join(folder, name)):
                os.chmod(child, _PRIVATE)
    shutil.rmtree(path)
