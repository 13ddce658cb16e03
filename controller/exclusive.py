"""One controller at a time: CONFIG_DIR made if need be, and its kernel lock (faults.md A9, A10, B1, B2).

Part of `controller.target`. The lock goes with the process, however it ends. Reads and writes nothing inside.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from controller import clock, database, errors, translate
from manifests import merge_lock

if TYPE_CHECKING:
    from controller import settings


@contextmanager
def held(config_dir: Path, *, wait_s: float, pause: Callable[[float], None], machine: clock.Clock) -> Iterator[bool]:
    """Hold the lock, waiting up to `wait_s` for it with `pause`; only the last part of a missing path is made, and a
    directory that was made for nothing goes again. Yields whether it was made.

    Raises `ControllerError`: `LockBusy`, `ConfigDirUnusable`."""
    made = _ensured(config_dir)
    lock = merge_lock.DirectoryLock(config_dir, wait_s=wait_s, monotonic=machine.monotonic_s, sleep=pause)
    try:
        with translate.failures():
            lock.acquire()
        yield made
    finally:
        if made:
            with suppress(OSError):  # a pass that failed leaves no directory behind that was not there before
                os.rmdir(config_dir)
        lock.release()


def require(config_dir: Path) -> None:
    """For commands that only look, or that steer: a name that does not exist is a typing error."""
    if not config_dir.is_dir():
        raise errors.ControllerError("ConfigDirUnusable", f"{config_dir}: no such directory")


def state_dir_in(config_dir: Path) -> Path:
    """Where the record is when nobody says where: in CONFIG_DIR, where others may write too. A link in its place would
    lead our writes elsewhere, and is refused (faults.md A6)."""
    state_dir = config_dir / ".controller"
    if os.path.islink(state_dir):  # also where nobody may look: that is told by whoever has to
        text = f"{state_dir}: a link, which may lead anywhere; remove it, or set state_dir to where it leads"
        raise errors.ControllerError("PathObstructed", text)
    return state_dir


def require_state_dir(configured: "settings.Settings", config_dir: Path) -> None:
    """A state directory that can never be made is a typing error, and is told before anything is published. One that is
    common to several targets has a folder for each, and is made for them: only its last part, like any other."""
    state_dir = configured.state_dir
    if state_dir is None or state_dir.is_dir():
        return
    above = state_dir.parent
    if above_can_be_made(configured):
        with suppress(OSError):  # a parent that could not be made is missing
            database.private_directory(above)
    if state_dir.exists() or not (above.is_dir() or above == config_dir):
        what = "not a directory" if state_dir.exists() else "its parent directory does not exist"
        raise errors.ControllerError("SettingsInvalid", f"state_dir {state_dir}: {what}")


def above_can_be_made(configured: "settings.Settings") -> bool:
    """Whether the state directory is a folder in a missing one that is common to several targets, and can be made."""
    state_dir = configured.state_dir
    if state_dir is None or configured.clones_dir is None or state_dir.name != configured.name:
        return False
    return not state_dir.parent.exists() and state_dir.parent.parent.is_dir()


def _ensured(config_dir: Path) -> bool:
    """Whether it had to be made. A missing parent is more likely a typing error, or a volume that is not mounted, than
    a wish (A9)."""
    try:
        if config_dir.is_dir():
            return False
        os.mkdir(config_dir)
        # The gateway must get in, whatever the umask (faults.md A10).
        os.chmod(config_dir, 0o755)  # noqa: S103 - what is in there is for others to read
    except FileExistsError:
        raise errors.ControllerError("ConfigDirUnusable", f"{config_dir}: not a directory") from None
    except OSError as error:
        text = f"{config_dir}: {error.strerror} (errno {error.errno})"
        raise errors.ControllerError("ConfigDirUnusable", text) from None
    return True
