"""What earlier passes found in the source's files, on disk: ``cache.db`` beside the record.

Implements `manifests.fingerprint.Store`. A pure cache: deleting it changes nothing but time, so nothing is ever synced,
and a damaged file is replaced without a word. Every value carries a checksum that covers its key, because a wrong
answer would be published. Reading writes nothing; `flush` is the only method that does.
"""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from controller import database
from manifests import fingerprint

NAME = "cache.db"
VERSION = 1

_SCHEMA = (
    f"PRAGMA user_version={VERSION}",
    "CREATE TABLE contents (key TEXT PRIMARY KEY, payload BLOB NOT NULL, checksum BLOB NOT NULL)",
)
_FINGERPRINTS = "fingerprints"
"""The key of the one row that holds all fingerprints: read in one piece, because every scan asks for nearly all."""
_BATCH = 500
"""Keys in one query; SQLite takes at least 999 parameters."""
_FAILURES = (sqlite3.DatabaseError, UnicodeDecodeError, OSError)
"""What using the file may raise: SQLite quotes damaged names in its messages, and they need not be text."""

_Known = Mapping[str, tuple[fingerprint.Fingerprint, str]]


class FingerprintStore:
    """The cache of one target. `fresh` ignores what is stored, and `flush` then replaces it.

    No method raises for a file that is damaged or out of reach: the answer is then None, as for anything unknown.
    """

    def __init__(self, directory: Path, *, fresh: bool = False) -> None:
        self.path = directory / NAME
        self._fresh = fresh
        self._connection: sqlite3.Connection | None = None
        self._unusable = fresh
        self._digests: dict[str, tuple[fingerprint.Fingerprint, str]] | None = None
        self._asked_paths: set[str] = set()
        self._contents: dict[str, bytes | None] = {}
        self._new_keys: set[str] = set()
        self._digests_changed = False

    def close(self) -> None:
        """Close the file; what was not flushed is forgotten by the disk, not by this object."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def digest_of(self, found: fingerprint.Fingerprint) -> str | None:
        """The content digest of the file that had exactly this fingerprint."""
        self._asked_paths.add(found.path)
        known = self._loaded().get(found.path)
        return known[1] if known is not None and known[0] == found else None

    def remember(self, found: fingerprint.Fingerprint, digest: str) -> None:
        """From now on `digest_of` this fingerprint is `digest`; what was known of the path before is forgotten."""
        self._asked_paths.add(found.path)
        digests = self._loaded()
        if digests.get(found.path) != (found, digest):
            digests[found.path] = (found, digest)
            self._digests_changed = True

    def content(self, key: str) -> bytes | None:
        """What was put under the key."""
        if key not in self._contents:
            self.prefetch((key,))
        return self._contents[key]

    def put_content(self, key: str, payload: bytes) -> None:
        """Keep the payload under the key."""
        if self._contents.get(key) != payload:
            self._contents[key] = payload
            self._new_keys.add(key)

    def prefetch(self, keys: Sequence[str]) -> None:
        """Fetch what is stored under these keys, in as few queries as possible."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._contents]
        self._contents.update(dict.fromkeys(missing))
        for start in range(0, len(missing), _BATCH):
            self._contents.update(self._stored(missing[start : start + _BATCH]))

    def flush(self) -> str | None:
        """Write what is new, in one transaction; nothing at all when nothing is. Returns one warning when that fails,
        and never raises for it.

        What nobody asked for is dropped once it outnumbers what somebody did, so the file stays in proportion to the
        source.
        """
        if not (self._new_keys or self._digests_changed):
            return None
        try:
            self._save_once_more_if_damaged()
        except _FAILURES as error:
            self.close()
            return f"{self.path} could not be written, so the next pass reads the source anew: {error}"
        self._new_keys.clear()
        self._digests_changed = False
        return None

    def _loaded(self) -> dict[str, tuple[fingerprint.Fingerprint, str]]:
        if self._digests is None:
            payload = self._stored([_FINGERPRINTS]).get(_FINGERPRINTS)
            self._digests = _rows_to_digests(payload) if payload is not None else {}
        return self._digests

    def _stored(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Payloads by key; keys that are unknown or whose row is damaged are left out."""
        try:
            connection = self._existing()
            if connection is None:
                return {}
            marks = ",".join("?" * len(keys))
            query = f"SELECT key, payload, checksum FROM contents WHERE key IN ({marks})"
            return _opened_rows(connection.execute(query, keys).fetchall())
        except _FAILURES as error:
            self._notice(error)
            return {}

    def _notice(self, error: Exception) -> None:
        self.close()
        self._unusable = database.means_damage(error, self.path)

    def _existing(self) -> sqlite3.Connection | None:
        """The opened file, or None when there is none that can be used. Raises `_FAILURES`."""
        if self._unusable or self._connection is not None:
            return self._connection
        if not self.path.exists():
            return None
        connection = database.connect(self.path, durable=False)
        try:
            self._unusable = database.version_of(connection) != VERSION
        except BaseException:
            connection.close()
            raise
        if self._unusable:
            connection.close()
            return None
        self._connection = connection
        return connection

    def _save_once_more_if_damaged(self) -> None:
        try:
            self._save()
        except _FAILURES as error:
            self._notice(error)
            if not self._unusable:
                raise
            self._save()

    def _save(self) -> None:
        connection = self._existing()
        keys, digests_changed = self._new_keys, self._digests_changed
        if connection is None:
            connection = self._replaced()
            keys, digests_changed = set(self._contents), True
        with database.transaction(connection):
            known = ((key, self._contents[key]) for key in sorted(keys))
            rows = [(key, payload) for key, payload in known if payload is not None]
            if digests_changed:
                rows.append((_FINGERPRINTS, _digests_to_rows(self._wanted_digests())))
            connection.executemany(
                "INSERT OR REPLACE INTO contents (key, payload, checksum) VALUES (?, ?, ?)",
                (_sealed_row(key, payload) for key, payload in rows),
            )
            self._drop_unused(connection)

    def _wanted_digests(self) -> _Known:
        digests = self._loaded()
        asked = {path: known for path, known in digests.items() if path in self._asked_paths}
        return asked if len(digests) > 2 * len(asked) else digests

    def _drop_unused(self, connection: sqlite3.Connection) -> None:
        used = {key.encode() for key, payload in self._contents.items() if payload is not None}
        rows = connection.execute("SELECT rowid, key FROM contents").fetchall()
        unused = [(row_id,) for row_id, key in rows if key not in used and key != _FINGERPRINTS.encode()]
        if used and len(unused) > len(used):
            connection.executemany("DELETE FROM contents WHERE rowid = ?", unused)

    def _replaced(self) -> sqlite3.Connection:
        """A new file in the place of one that can't be used, or of none. Raises `_FAILURES`."""
        database.private_directory(self.path.parent)
        self.path.unlink(missing_ok=True)
        database.create(self.path, _fill, durable=False)
        self._unusable = False
        self._connection = database.connect(self.path, durable=False)
        return self._connection


def _fill(fresh: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        fresh.execute(statement)


def _checksum(key: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16, key=hashlib.blake2b(key).digest()).digest()


def _sealed_row(key: str, payload: bytes) -> tuple[str, bytes, bytes]:
    packed = zlib.compress(payload, level=1)
    return key, packed, _checksum(key.encode(), packed)


def _opened_rows(rows: Iterable[tuple[Any, Any, Any]]) -> dict[str, bytes]:
    return {
        key.decode(): zlib.decompress(packed)
        for key, packed, checksum in rows
        if isinstance(key, bytes) and isinstance(packed, bytes) and _checksum(key, packed) == checksum
    }


def _digests_to_rows(known: _Known) -> bytes:
    return json.dumps([(*found, digest) for found, digest in known.values()]).encode()


def _rows_to_digests(payload: bytes) -> dict[str, tuple[fingerprint.Fingerprint, str]]:
    return {row[0]: (fingerprint.Fingerprint(*row[:6]), row[6]) for row in json.loads(payload)}
