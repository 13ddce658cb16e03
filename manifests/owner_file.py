"""The file in CONFIG_DIR that names its owner: read as it is, replaced as a whole (faults.md B8).

What it says and means is `core.ownership`. Writes only under the kernel lock, which the caller holds. No consumer of
CONFIG_DIR reads it, and an older applier that clears the folder takes it along.
"""

import contextlib
from pathlib import Path

from core import ownership, publishing
from manifests import atomic, config_dir, errors

_MOST_BYTES = 1 << 16


def read(path: Path) -> ownership.Owner | str | None:
    """The owner of a CONFIG_DIR; None without a file, or a folder. A text says what is wrong with the file.

    Raises `errors.ConfigDirError` when the folder, or what is in the file, cannot be told now."""
    try:
        with atomic.opened(path) as dir_fd:
            content = atomic.read_regular(dir_fd, ownership.NAME, limit_bytes=_MOST_BYTES).content
    except atomic.NotRegularError as error:
        return f"it {error.strerror}"
    except OSError as error:
        if config_dir.is_nothing(error):
            return None
        raise errors.ConfigDirError(path / ownership.NAME, error) from error
    return ownership.decoded(content)


def write(path: Path, owner: ownership.Owner, *, now_ns: int) -> None:
    """Make `owner` the owner, durably, or leave everything as it was. Raises `errors.ConfigDirError`."""
    wanted = atomic.File(ownership.encoded(owner), now_ns)
    try:
        with atomic.opened(path) as dir_fd:
            atomic.remove(dir_fd, publishing.OWNER_TEMP)
            try:
                atomic.write_file(dir_fd, publishing.OWNER_TEMP, wanted)
                atomic.rename(dir_fd, publishing.OWNER_TEMP, ownership.NAME)
            except BaseException:
                with contextlib.suppress(OSError):
                    atomic.remove(dir_fd, publishing.OWNER_TEMP)
                raise
            atomic.sync_directory(dir_fd)
    except OSError as error:
        raise errors.ConfigDirError(path / ownership.NAME, error) from error
