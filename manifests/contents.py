"""The bytes of a source's files: digests from the store where the file is unchanged, read once where it is not.

Used by `manifests.checkout` during one scan. Owns which fingerprints may be remembered, and what of the bytes is kept
for later. Knows no document.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping

from core import digest
from manifests import fingerprint, source_errors, survey

HELD_BYTES = 32 * 1024 * 1024
"""So much of what a scan has read is kept for reading the documents; the rest is read again then."""


class ChangedMeanwhile(Exception):
    """What was looked at is not what was read: the scan starts over."""


class Sum:
    """The digest of bytes that come block by block: the same as `core.digest.of_bytes` of all of them."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, block: bytes) -> None:
        """The next bytes."""
        self._hash.update(block)

    @property
    def digest(self) -> str:
        """``sha256:<64 hex>`` of what was added so far."""
        return "sha256:" + self._hash.hexdigest()


_Reader = Callable[[survey.Address, fingerprint.Fingerprint], tuple[str, fingerprint.Fingerprint]]


class Contents:
    """The files of one open tree during one scan. `now_ns` is the wall clock in nanoseconds."""

    def __init__(
        self, tree: survey.Tree, store: fingerprint.Store, *, now_ns: Callable[[], int], max_bytes: int
    ) -> None:
        self._tree = tree
        self._store = store
        self._now_ns = now_ns
        self._max_bytes = max_bytes
        self._held: dict[str, bytes] = {}
        self._held_bytes = 0
        self._racy: list[tuple[_Reader, survey.Address, fingerprint.Fingerprint, str]] = []

    @property
    def held(self) -> Mapping[str, bytes]:
        """The bytes that were read, by digest, as far as they were kept."""
        return self._held

    def digest(self, address: survey.Address, seen: fingerprint.Fingerprint) -> str:
        """The digest of the file that was `seen` there.

        Raises `ChangedMeanwhile` when another one stands there by now, and `PathUnreadable`.
        """
        return self._digest(address, seen, self._read_whole)

    def digest_in_blocks(self, address: survey.Address, seen: fingerprint.Fingerprint) -> str:
        """As `digest`, for files of any size: nothing of them is kept."""
        return self._digest(address, seen, self._read_blocks)

    def bytes_of(self, address: survey.Address, wanted: str) -> bytes:
        """The file's bytes, which have the digest `wanted`. Raises what `digest` does."""
        held = self._held.get(wanted)
        if held is not None:
            return held
        return reread(self._tree, address, wanted, store=self._store, max_bytes=self._max_bytes)

    def confirm(self) -> None:
        """Read again what could have changed without showing it in its fingerprint. Raises `ChangedMeanwhile`."""
        for read, address, seen, value in self._racy:
            if read(address, seen)[0] != value:
                raise ChangedMeanwhile

    def _digest(self, address: survey.Address, seen: fingerprint.Fingerprint, read: _Reader) -> str:
        known = self._store.digest_of(seen)
        if known is not None:
            return known
        read_at_ns = self._now_ns()
        value, found = read(address, seen)
        if found != seen:
            raise ChangedMeanwhile
        if fingerprint.is_trustworthy(seen, read_at_ns=read_at_ns):
            self._store.remember(seen, value)
        else:
            self._racy.append((read, address, seen, value))
        return value

    def _read_whole(
        self, address: survey.Address, _seen: fingerprint.Fingerprint
    ) -> tuple[str, fingerprint.Fingerprint]:
        with _as_it_was_looked_at():
            content, found = self._tree.read(address, max_bytes=self._max_bytes)
        value = digest.of_bytes(content)
        self._hold(value, content)
        return value, found

    def _read_blocks(
        self, address: survey.Address, seen: fingerprint.Fingerprint
    ) -> tuple[str, fingerprint.Fingerprint]:
        read = Sum()
        with _as_it_was_looked_at():
            found = self._tree.read_blocks(address, read.add, max_bytes=seen.size)
        return read.digest, found

    def _hold(self, value: str, content: bytes) -> None:
        if value in self._held:
            return
        self._held_bytes += len(content)
        if self._held_bytes <= HELD_BYTES:
            self._held[value] = content


@contextlib.contextmanager
def _as_it_was_looked_at() -> Iterator[None]:
    try:
        yield
    except source_errors.PathUnreadable:
        raise
    except source_errors.PathError as error:  # it was all right when it was looked at
        raise ChangedMeanwhile from error


def reread(
    tree: survey.Tree, address: survey.Address, wanted: str, *, store: fingerprint.Store, max_bytes: int
) -> bytes:
    """The bytes of a file whose digest is known already. Raises `ChangedMeanwhile` when they have another one.

    When it is the store that was wrong, it is put right, so that the next scan gets it right.
    """
    try:
        content, found = tree.read(address, max_bytes=max_bytes)
    except source_errors.PathError as error:
        raise ChangedMeanwhile from error
    actual = digest.of_bytes(content)
    if actual == wanted:
        return content
    put_right(store, found, actual)
    raise ChangedMeanwhile


def put_right(store: fingerprint.Store, found: fingerprint.Fingerprint, actual: str) -> None:
    """Correct the store where it holds another digest of this file than the `actual` one (faults.md B4)."""
    if store.digest_of(found) not in (None, actual):
        store.remember(found, actual)
