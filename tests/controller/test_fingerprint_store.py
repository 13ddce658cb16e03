"""The cache of what was read: it answers right or not at all, writes only what is new, and never stops a pass."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import database, fingerprint_store
from manifests import fingerprint
from tests.fakes.records import chance, snapshot


def stamp(path: str, version: int = 1) -> fingerprint.Fingerprint:
    """A fingerprint of a path."""
    return fingerprint.Fingerprint(path, 10 + version, 1_700_000_000_000_000_000 + version, 2, 3, 4)


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[..., fingerprint_store.FingerprintStore]]:
    """Open the same cache anew, as the next process would."""
    opened: list[fingerprint_store.FingerprintStore] = []

    def again(*, fresh: bool = False) -> fingerprint_store.FingerprintStore:
        opened.append(fingerprint_store.FingerprintStore(tmp_path / "state", fresh=fresh))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


Reopen = Callable[..., fingerprint_store.FingerprintStore]


def filled(store: fingerprint_store.FingerprintStore, count: int = 3) -> None:
    """Put `count` files and contents in, on disk."""
    for number in range(count):
        store.remember(stamp(f"e{number}/functions.yml"), f"sha256:{number}")
        store.put_content(f"key{number}", f"payload {number}".encode() * 50)
    assert store.flush() is None
    store.close()


def test_it_is_a_store(reopen: Reopen) -> None:
    store: fingerprint.Store = reopen()
    assert store.digest_of(stamp("a")) is None
    assert store.content("key") is None


def test_what_was_flushed_comes_back(reopen: Reopen) -> None:
    filled(reopen())
    store = reopen()
    assert store.digest_of(stamp("e1/functions.yml")) == "sha256:1"
    assert store.digest_of(stamp("e1/functions.yml", version=2)) is None
    store.prefetch(["key0", "key2", "nothing"])
    assert store.content("key0") == b"payload 0" * 50
    assert store.content("key1") == b"payload 1" * 50
    assert store.content("nothing") is None


def test_f7_reading_writes_nothing(reopen: Reopen, tmp_path: Path) -> None:
    """F7: a pass over an unchanged source leaves the cache alone, also when it stores again what is there."""
    reopen().digest_of(stamp("a"))
    assert reopen().flush() is None
    assert not (tmp_path / "state").exists()
    filled(reopen())
    before = snapshot(tmp_path / "state")
    store = reopen()
    assert store.digest_of(stamp("e1/functions.yml")) == "sha256:1"
    store.remember(stamp("e1/functions.yml"), "sha256:1")
    payload = store.content("key1")
    assert payload is not None
    store.put_content("key1", payload)
    assert store.flush() is None
    store.close()
    assert snapshot(tmp_path / "state") == before
    assert list(before) == ["cache.db"]


def test_a_path_has_one_fingerprint(reopen: Reopen) -> None:
    filled(reopen())
    store = reopen()
    assert store.digest_of(stamp("e2/functions.yml")) == "sha256:2"
    store.remember(stamp("e1/functions.yml", version=2), "sha256:new")
    assert store.flush() is None
    store = reopen()
    assert store.digest_of(stamp("e1/functions.yml")) is None
    assert store.digest_of(stamp("e1/functions.yml", version=2)) == "sha256:new"
    assert store.digest_of(stamp("e2/functions.yml")) == "sha256:2"


def test_fresh_ignores_what_is_stored_and_replaces_it(reopen: Reopen) -> None:
    filled(reopen())
    store = reopen(fresh=True)
    assert store.digest_of(stamp("e1/functions.yml")) is None
    assert store.content("key1") is None
    store.put_content("key1", b"read anew")
    assert store.flush() is None
    assert (reopen().content("key1"), reopen().content("key2")) == (b"read anew", None)


def test_the_file_is_private(reopen: Reopen, tmp_path: Path) -> None:
    filled(reopen())
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "cache.db").stat().st_mode) == 0o600


def test_b6_the_file_stays_in_proportion_to_the_source(reopen: Reopen, tmp_path: Path) -> None:
    """B6: a source whose files and contents are always new does not make the cache grow."""
    sizes = []
    noise = chance(1)
    for number in range(60):
        store = reopen()
        for part in range(10):
            store.digest_of(stamp(f"{number}/{part}"))
            store.remember(stamp(f"{number}/{part}"), "sha256:x")
            store.put_content(f"key{number}-{part}", noise.randbytes(3000))
        assert store.flush() is None
        store.close()
        sizes.append((tmp_path / "state" / "cache.db").stat().st_size)
    assert max(sizes[30:]) == max(sizes[:30])
    with closing(sqlite3.connect(tmp_path / "state" / "cache.db")) as connection:
        assert connection.execute("SELECT count(*) <= 21 FROM contents").fetchall() == [(1,)]


def test_a_pass_that_read_no_contents_drops_none(reopen: Reopen) -> None:
    """A file that was only touched must not cost reading everything the next time."""
    filled(reopen(), count=20)
    store = reopen()
    for number in range(20):
        store.remember(stamp(f"e{number}/functions.yml", version=2), f"sha256:{number}")
    assert store.flush() is None
    assert all(reopen().content(f"key{number}") is not None for number in range(20))


def no_table(path: Path) -> None:
    """A database without its table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE contents")


def newer(path: Path) -> None:
    """A cache of another version."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "0 bytes": lambda path: os.truncate(path, 0),
    "truncated": lambda path: os.truncate(path, 5000),
    "not a database": lambda path: path.write_bytes(b"hello " * 4000),
    "no table": no_table,
    "another version": newer,
}


@pytest.mark.parametrize("spoil", BAD_FILES.values(), ids=BAD_FILES)
def test_b4_a_bad_file_is_replaced_without_a_word(
    reopen: Reopen, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    """B4: a cache is not worth a warning."""
    filled(reopen())
    spoil(tmp_path / "state" / "cache.db")
    store = reopen()
    assert store.digest_of(stamp("e1/functions.yml")) is None
    assert store.content("key1") is None
    filled(store)
    assert reopen().content("key1") == b"payload 1" * 50
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["cache.db"]


def test_b4_random_bytes_never_make_a_wrong_answer(reopen: Reopen, tmp_path: Path) -> None:
    """B4: whatever is wrong in the file, an answer is the truth or None, and the next flush makes it whole."""
    store = reopen()
    noise = chance(7)
    truth = {f"key{number}": noise.randbytes(2500) for number in range(12)}
    for number, (key, payload) in enumerate(truth.items()):
        store.remember(stamp(f"e{number}"), f"sha256:{number}")
        store.put_content(key, payload)
    assert store.flush() is None
    store.close()
    path = tmp_path / "state" / "cache.db"
    content = path.read_bytes()
    forgotten = 0
    for _ in range(200):
        changed = bytearray(content)
        offset = noise.choice((noise.randrange(len(content)), noise.randrange(200)))
        changed[offset : offset + 4] = noise.randbytes(4)
        path.write_bytes(changed)
        store = reopen()
        for number, (key, payload) in enumerate(truth.items()):
            assert store.digest_of(stamp(f"e{number}")) in (f"sha256:{number}", None)
            found = store.content(key)
            assert found in (payload, None)
            forgotten += found is None
            store.remember(stamp(f"e{number}"), f"sha256:{number}")
            store.put_content(key, payload)
        store.put_content("new", b"new")
        assert store.flush() is None
        store.close()
        assert reopen().content("new") == b"new"
    assert 0 < forgotten < 200 * len(truth)


def test_b7_a_place_that_cannot_be_written_is_one_warning(reopen: Reopen, tmp_path: Path) -> None:
    """B7, P15: the pass goes on without a cache, and the answers of this pass stay."""
    (tmp_path / "state").write_text("a file in the way")
    store = reopen()
    assert store.digest_of(stamp("a")) is None
    store.remember(stamp("a"), "sha256:a")
    store.put_content("key", b"payload")
    warning = store.flush()
    assert warning is not None
    assert warning.startswith(f"{tmp_path / 'state' / 'cache.db'} could not be written")
    assert (store.digest_of(stamp("a")), store.content("key")) == ("sha256:a", b"payload")


def test_b2_a_writer_that_does_not_end_is_one_warning(
    reopen: Reopen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2: another process's lock makes the cache useless for now, and is no reason to delete it."""
    monkeypatch.setattr(database, "BUSY_S", 0)
    filled(reopen())
    before = snapshot(tmp_path / "state")
    with closing(sqlite3.connect(tmp_path / "state" / "cache.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=MEMORY")
        other.execute("BEGIN EXCLUSIVE")
        store = reopen()
        assert store.content("key1") is None
        store.put_content("key9", b"payload")
        assert "locked" in (store.flush() or "")
        store.close()
    assert snapshot(tmp_path / "state") == before


def test_b4_what_is_known_already_survives_the_replacement(reopen: Reopen, tmp_path: Path) -> None:
    """B4: when the file is lost during a pass, the next one still finds everything that this pass knew."""
    filled(reopen())
    store = reopen()
    store.prefetch(["key0", "key1", "key2"])
    assert store.digest_of(stamp("e1/functions.yml")) == "sha256:1"
    store.close()
    (tmp_path / "state" / "cache.db").unlink()
    store.put_content("key3", b"new")
    assert store.flush() is None
    assert all(reopen().content(f"key{number}") is not None for number in range(4))
    assert reopen().digest_of(stamp("e1/functions.yml")) == "sha256:1"


def test_a_lost_cache_is_only_slow(reopen: Reopen, tmp_path: Path) -> None:
    filled(reopen())
    shutil.rmtree(tmp_path / "state")
    assert reopen().content("key1") is None


names = st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("\udc80\udcff"), min_size=1, max_size=8)


@settings(max_examples=40)
@given(
    st.dictionaries(names, st.tuples(st.integers(0, 2**62), st.integers(-(2**62), 2**62)), max_size=6),
    st.dictionaries(st.text("0123456789abcdef:", min_size=1, max_size=8), st.binary(max_size=40), max_size=6),
)
def test_any_name_and_any_bytes_come_back(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, tuple[int, int]], contents: dict[str, bytes]
) -> None:
    """F7: also names that are no UTF-8, as Python shows them."""
    directory = tmp_path_factory.mktemp("cache")
    found = {path: fingerprint.Fingerprint(path, size, time, 2, 3, 4) for path, (size, time) in files.items()}
    with closing(fingerprint_store.FingerprintStore(directory)) as store:
        for one in found.values():
            store.remember(one, f"sha256:{one.size}")
        for key, payload in contents.items():
            store.put_content(key, payload)
        assert store.flush() is None
    with closing(fingerprint_store.FingerprintStore(directory)) as store:
        assert all(store.digest_of(one) == f"sha256:{one.size}" for one in found.values())
        assert {key: store.content(key) for key in contents} == contents
