"""Telling an unchanged file without opening it, and what is remembered about it.

Owns the fingerprint, the rule when one may be trusted, and the shape of the store of what was read earlier. The store
is a cache: deleting it changes nothing but time. Reads no clock: time is an argument.
"""

import json
import os
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

GRANULARITY_NS = 50_000_000
"""What a file system's clock may lag behind the real one: 50 ms, several of the kernel's ticks."""
COARSE_GRANULARITY_NS = 2_000_000_000
"""The same where times have whole seconds only (the coarsest file system in use counts in steps of two)."""


class Fingerprint(NamedTuple):
    """What `stat` tells of a regular file. `path` is the path that it was found under; times count nanoseconds."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


class Store(Protocol):
    """What earlier passes found out. Every answer may be None at any time; a store that forgets is a correct store.

    Keys of contents are digests that cover everything the content depends on, so an entry never goes stale.
    """

    def digest_of(self, fingerprint: Fingerprint) -> str | None:
        """The content digest of the file that had exactly this fingerprint."""

    def remember(self, fingerprint: Fingerprint, digest: str) -> None:
        """From now on `digest_of` this fingerprint is `digest`. Called for trustworthy fingerprints only."""

    def content(self, key: str) -> bytes | None:
        """What was put under the key."""

    def put_content(self, key: str, payload: bytes) -> None:
        """Keep the payload under the key."""

    def prefetch(self, keys: Sequence[str]) -> None:
        """These contents will be asked for next: a store on disk may fetch them in one go."""


class MemoryStore:
    """A store that lives as long as the process: for a single look, and for tests."""

    def __init__(self) -> None:
        self._digests: dict[str, tuple[Fingerprint, str]] = {}
        self._contents: dict[str, bytes] = {}

    def digest_of(self, fingerprint: Fingerprint) -> str | None:
        """See `Store`."""
        known = self._digests.get(fingerprint.path)
        return known[1] if known is not None and known[0] == fingerprint else None

    def remember(self, fingerprint: Fingerprint, digest: str) -> None:
        """See `Store`. One path has one fingerprint: an older one is forgotten."""
        self._digests[fingerprint.path] = (fingerprint, digest)

    def content(self, key: str) -> bytes | None:
        """See `Store`."""
        return self._contents.get(key)

    def put_content(self, key: str, payload: bytes) -> None:
        """See `Store`."""
        self._contents[key] = payload

    def prefetch(self, keys: Sequence[str]) -> None:
        """See `Store`. Everything is in memory already."""


def of_stat(path: str, found: os.stat_result) -> Fingerprint:
    """The fingerprint of the file with this stat."""
    return Fingerprint(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def is_trustworthy(fingerprint: Fingerprint, *, read_at_ns: int) -> bool:
    """Whether the same fingerprint will mean the same content later.

    No, when the file's last change (ctime, which nobody can set) is so close to the moment before it was read that a
    later change could fall into the same tick of the file system's clock, or lies in the future. Such a file is read
    again next time.
    """
    whole_seconds = fingerprint.mtime_ns % 1_000_000_000 == 0
    granularity = COARSE_GRANULARITY_NS if whole_seconds else GRANULARITY_NS
    return read_at_ns - fingerprint.ctime_ns > granularity


def seal(value: object) -> bytes:
    """A JSON value as a payload for the store, with a checksum in front."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x" % zlib.crc32(body) + body


def unseal(payload: bytes | None) -> Any:
    """The value of a sealed payload; None when there is none, or when it is damaged: then it is made again."""
    if payload is None or payload[:8] != b"%08x" % zlib.crc32(memoryview(payload)[8:]):
        return None
    return json.loads(payload[8:])
