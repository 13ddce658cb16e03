"""SQLite files as this controller keeps them: private, never half created, and set aside when damaged.

Owns opening, creating and setting aside, and the verdict whether an error means damage or only that the file is out of
reach. Knows no table: `controller.state` and `controller.fingerprint_store` bring theirs. Never opens a database file
by other means than SQLite: closing such a descriptor would drop SQLite's locks of the whole process.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BUSY_S = 5.0
"""How long a reader without the CONFIG_DIR lock waits for a writer that is committing, and the other way round."""
COMPANIONS = ("-journal", "-wal", "-shm")
"""What SQLite may keep beside a database, by the end of the name."""
KEEP_SET_ASIDE = 3

_OUT_OF_REACH = frozenset(
    {
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class Damaged(Exception):
    """The content of a database cannot be trusted. The message says what is wrong, without the path."""


def connect(path: Path, *, durable: bool = True) -> sqlite3.Connection:
    """Open an existing database; writes nothing, unless a writer was cut off and SQLite has to undo its work.

    Text comes back as bytes, so that a flipped byte never becomes a decoding error. Without `durable` nothing is ever
    synced: for caches and for tests.
    """
    address = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None)
    connection.text_factory = bytes
    try:
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        if not durable:
            connection.execute("PRAGMA journal_mode=MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version; 0 for a database that was never given one."""
    rows = connection.execute("PRAGMA user_version").fetchall()
    return int(rows[0][0])


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Everything inside, or nothing. ``DEFERRED`` gives reads that belong together the same view."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error, UnicodeDecodeError):
                connection.execute("ROLLBACK")
        raise


def means_damage(error: Exception, path: Path) -> bool:
    """Whether the error says that the content is wrong, not that it can't be had now (faults.md B4, B7).

    A UnicodeDecodeError is damage too: SQLite quotes what it found in its message, and that need not be text.
    """
    if isinstance(error, OSError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code == sqlite3.SQLITE_READONLY:
        # A file that may be written, and yet SQLite will not: its header claims a format of the future.
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return code & 0xFF not in _OUT_OF_REACH


def private_directory(directory: Path) -> None:
    """Create the directory's last part for this user alone. Raises OSError; a missing parent stays missing."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        return
    sync_directory(directory.parent)


def create(path: Path, fill: Callable[[sqlite3.Connection], None], *, durable: bool = True) -> None:
    """Put a new database with mode 0600 and what `fill` writes in place, whole: a crash leaves none or all of it.

    Raises OSError and sqlite3.Error. There must be no database at `path`; what an older one left beside it is removed,
    because SQLite would take it for the new one's.
    """
    fresh = path.with_name(f"{path.name}.new")
    for leftover in (fresh, *companions(fresh), *companions(path)):
        leftover.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    connection = connect(fresh, durable=durable)
    try:
        connection.execute("PRAGMA auto_vacuum=FULL")
        with transaction(connection):
            fill(connection)
    finally:
        connection.close()
    os.rename(fresh, path)
    if durable:
        sync_directory(path.parent)


def set_aside(path: Path, stamp: str) -> None:
    """Rename a damaged database to ``<name>.corrupt-<stamp>`` and keep only the newest few of those. Raises OSError.

    Its journal goes first: one that stayed would be rolled back into the next database of this name.
    """
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    for ending in (*COMPANIONS, ""):
        with suppress(FileNotFoundError):
            os.rename(f"{path}{ending}", f"{target}{ending}")
    bad = sorted(path.parent.glob(f"{path.name}.corrupt-*"))
    old = sorted({_stamp_of(one) for one in bad})[:-KEEP_SET_ASIDE]
    for one in bad:
        if _stamp_of(one) in old:
            with suppress(OSError):
                one.unlink()


def _stamp_of(aside: Path) -> str:
    return aside.name.rpartition(".corrupt-")[2].partition("-")[0]


def companions(path: Path) -> tuple[Path, ...]:
    """The files that SQLite may keep beside this database."""
    return tuple(path.with_name(path.name + ending) for ending in COMPANIONS)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
