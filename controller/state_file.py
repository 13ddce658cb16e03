"""The file that the record is kept in: opened late, created at the first write, set aside when damaged.

Owns the path, the connection and the errors of ``state.db``; `controller.state` says what is read and written. Reading
writes nothing: a damaged file is moved away by the next write, so that `diff` and `status` leave it where it is
(faults.md B4).
"""

import datetime
import os
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, TypeVar

from controller import database, remembered, state_rows
from core import record

_Found = TypeVar("_Found")

Change = Callable[[sqlite3.Connection, remembered.Stored], remembered.Stored]


class StateError(Exception):
    """The state database cannot be used. `path` is the file, `reason` says why, without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class StateNewer(StateError):
    """A newer controller wrote it (faults.md L6). Nothing was touched."""


class StateUnreadable(StateError):
    """It can't be read now, and yet may be fine: permissions, a failing disk, a writer that does not end. It must not
    count as lost, because holds and a suspension would be lost with it."""


class StateDamaged(StateError):
    """Something was asked of it by name, and it is damaged. The next pass sets it aside and starts anew."""


class StateUnwritable(StateError):
    """It could not be written. What was applied stays applied; the next pass repairs the record (faults.md B7)."""


class StateFile:
    """One state database. `now` gives the time in UTC, for the name of a file that is set aside."""

    def __init__(self, path: Path, *, now: Callable[[], datetime.datetime], durable: bool) -> None:
        self.path = path
        self._now = now
        self._durable = durable
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._damage = ""

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def rebuilt(self, damage: str) -> str:
        """The sentence that tells a person about a damaged file."""
        return f"{self.path} is damaged and set aside: {damage}; the record is rebuilt from what is seen"

    def read(self, look: Callable[[sqlite3.Connection], _Found], *, absent: _Found) -> _Found:
        """What `look` finds, in one view of the database; `absent` when there is none. Raises `Damaged` and
        `StateError`."""
        known = self._damage
        try:
            return self._read_once(look, absent)
        except database.Damaged:
            if known:
                raise
            # A disk that failed to read once makes SQLite say the same as of a damaged file: look again, anew.
            self._forget()
            return self._read_once(look, absent)

    def _forget(self) -> None:
        self.close()
        self._identity, self._damage = None, ""

    def _read_once(self, look: Callable[[sqlite3.Connection], _Found], absent: _Found) -> _Found:
        try:
            connection = self._existing()
            if connection is None:
                return absent
            with database.transaction(connection, "DEFERRED"):
                return look(connection)
        except database.Damaged as damage:
            self._damage = str(damage)
            raise
        except (sqlite3.DatabaseError, UnicodeDecodeError, OSError) as error:
            self._judge(error, StateUnreadable)

    def write(self, change: Change) -> None:
        """Replace what is stored by its change, in one transaction. Damage found on the way sets the file aside and
        starts from nothing, once. Raises `StateError`."""
        try:
            self._write_once(change)
        except database.Damaged as damage:
            self._damage = str(damage)
            try:
                self._write_once(change)
            except database.Damaged as again:
                raise StateUnwritable(self.path, str(again)) from again

    def _write_once(self, change: Change) -> None:
        try:
            connection = self._writable()
            with database.transaction(connection):
                before = state_rows.read(connection)
                after = change(connection, before)
                if after != before:
                    state_rows.write(connection, after)
        except (sqlite3.DatabaseError, UnicodeDecodeError, OSError) as error:
            self._judge(error, StateUnwritable)

    def _judge(self, error: Exception, out_of_reach: type[StateError]) -> NoReturn:
        """Turn an error into `Damaged`, or into a `StateError` when the file is only out of reach."""
        if isinstance(error, sqlite3.ProgrammingError):
            raise error
        self.close()
        if database.means_damage(error, self.path):
            self._damage = f"SQLite says: {error}"
            raise database.Damaged(self._damage) from error
        raise out_of_reach(self.path, str(error)) from error

    def _writable(self) -> sqlite3.Connection:
        """The database, after setting a damaged one aside and creating a missing one."""
        rebuilt = ""
        try:
            connection = self._existing()
            if connection is not None:
                return connection
        except database.Damaged as damage:
            rebuilt = self.rebuilt(str(damage))
            self.close()
            database.set_aside(self.path, self._now().astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ"))
        database.private_directory(self.path.parent)
        database.create(self.path, lambda fresh: _fill(fresh, rebuilt), durable=self._durable)
        created = self._existing()
        if created is None:
            raise FileNotFoundError(f"{self.path} was removed while it was created")
        return created

    def _existing(self) -> sqlite3.Connection | None:
        """The opened database, None when there is none. One that was replaced meanwhile is opened anew."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            self.close()
            self._identity, self._damage = None, ""
            return None
        if self._identity != (found.st_dev, found.st_ino):
            self.close()
            self._identity, self._damage = (found.st_dev, found.st_ino), ""
        if self._damage:
            raise database.Damaged(self._damage)
        if self._connection is None:
            self._connection = self._open(found)
        return self._connection

    def _open(self, found: os.stat_result) -> sqlite3.Connection:
        if not stat.S_ISREG(found.st_mode):
            raise database.Damaged("it is not a file")
        if found.st_size == 0:
            raise database.Damaged("it is empty")
        connection = database.connect(self.path, durable=self._durable)
        try:
            version = database.version_of(connection)
            if version > state_rows.VERSION:
                known = state_rows.VERSION
                raise StateNewer(self.path, f"has schema version {version}; this controller knows {known}")
            if version < state_rows.OLDEST:
                raise database.Damaged(f"it has no schema version of this controller ({version})")
        except BaseException:
            connection.close()
            raise
        return connection


def _fill(fresh: sqlite3.Connection, rebuilt: str) -> None:
    for statement in state_rows.SCHEMA:
        fresh.execute(statement)
    state_rows.write(fresh, remembered.Stored(replace(record.Record(), rebuilt=rebuilt)))
