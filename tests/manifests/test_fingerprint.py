"""Which fingerprints may be trusted, and payloads that survive a damaged store."""

import os
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from manifests import fingerprint

S = 1_000_000_000
MS = 1_000_000


def _changed_at(ctime_ns: int, *, mtime_ns: int) -> fingerprint.Fingerprint:
    return fingerprint.Fingerprint("/source/file", 1, mtime_ns, ctime_ns, 2, 3)


@pytest.mark.parametrize(
    ("ctime_ns", "mtime_ns", "read_at_ns", "trusted"),
    [
        (100 * S, 100 * S + 1, 100 * S + 51 * MS, True),
        (100 * S, 100 * S + 1, 100 * S + 50 * MS, False),
        (100 * S, 100 * S + 1, 100 * S, False),
        (100 * S, 100 * S, 100 * S + 51 * MS, False),  # times in whole seconds: a coarse file system
        (100 * S, 100 * S, 102 * S, False),
        (100 * S, 100 * S, 102 * S + 1, True),
        (200 * S, 100 * S + 1, 100 * S + 51 * MS, False),  # the clock was set back
        (100 * S, 900 * S + 1, 101 * S, True),  # a modification time of the future, which anybody can set
    ],
)
def test_a_file_changed_just_now_is_not_trusted(ctime_ns: int, mtime_ns: int, read_at_ns: int, trusted: bool) -> None:
    """C6: a second change within the same tick of the file system's clock would not show."""
    seen = _changed_at(ctime_ns, mtime_ns=mtime_ns)
    assert fingerprint.is_trustworthy(seen, read_at_ns=read_at_ns) is trusted


def test_a_fingerprint_tells_a_replaced_file_of_the_same_size_and_time(tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_bytes(b"one")
    other.write_bytes(b"two")
    os.utime(file, ns=(S, S))
    os.utime(other, ns=(S, S))
    before = fingerprint.of_stat(str(file), file.stat())
    assert fingerprint.of_stat(str(file), file.stat()) == before
    other.rename(file)
    assert fingerprint.of_stat(str(file), file.stat()) != before


@pytest.mark.parametrize("field", ["path", "size", "mtime_ns", "ctime_ns", "inode", "device"])
def test_a_store_answers_for_the_very_same_fingerprint_only(field: str) -> None:
    store = fingerprint.MemoryStore()
    seen = fingerprint.Fingerprint("/file", 1, 2, 3, 4, 5)
    store.remember(seen, "sha256:a")
    assert store.digest_of(seen) == "sha256:a"
    changed = fingerprint.Fingerprint(**{**seen._asdict(), field: "/other" if field == "path" else 9})
    assert store.digest_of(changed) is None
    store.remember(changed, "sha256:b")
    assert store.digest_of(changed) == "sha256:b"


def test_a_store_keeps_contents() -> None:
    store = fingerprint.MemoryStore()
    store.prefetch(["key"])
    assert store.content("key") is None
    store.put_content("key", b"payload")
    assert store.content("key") == b"payload"


_JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=8,
)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(value=_JSON, position=strategies.integers(0, 10**6), bit=strategies.integers(0, 7))
def test_b4_a_damaged_payload_is_no_payload(value: object, position: int, bit: int) -> None:
    """B4: the store is a cache, whatever happened to it: a wrong answer would be published."""
    sealed = fingerprint.seal(value)
    assert fingerprint.unseal(sealed) == value
    damaged = bytearray(sealed)
    damaged[position % len(sealed)] ^= 1 << bit
    assert fingerprint.unseal(bytes(damaged)) is None
    assert fingerprint.unseal(sealed[: position % len(sealed)]) is None


def test_nothing_stored_is_no_payload() -> None:
    assert fingerprint.unseal(None) is None
    assert fingerprint.unseal(b"") is None
