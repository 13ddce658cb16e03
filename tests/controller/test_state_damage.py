"""Bytes of the record's file changed at random, one by one, and cut off (faults.md B4): never an exception, never a lie."""

import string
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller import state
from core import record
from tests.fakes.records import FakeClock, chance, failure, parts, success


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, record.Record]:
    """A database with some content, and what it says."""
    directory = tmp_path_factory.mktemp("intact")
    with closing(state.State(directory, now=FakeClock(), durable=False)) as opened:
        for mark in "12345":
            names = ["".join(chance(f"{mark}{n}").choices(string.ascii_letters, k=60)) for n in range(60)]
            opened.record_success(success(mark, items=parts(*names, mark=mark)))
            opened.record_failure(failure())
        opened.suspend(record.Suspension("me", "why not", "2026-02-20T07:04:04Z"))
        return directory / "state.db", opened.load(with_items=True)


def outcomes_of_damage(
    intact: tuple[Path, record.Record], directory: Path, changes: Iterator[Callable[[bytearray], None]]
) -> set[str]:
    """Load, tell and write after each change; every answer is the truth, or empty with a reason, or a refusal."""
    original, truth = intact
    content = original.read_bytes()
    path = directory / "state.db"
    seen = set()
    for change in changes:
        changed = bytearray(content)
        change(changed)
        for old in directory.iterdir():
            old.unlink()
        path.write_bytes(changed)
        with closing(state.State(directory, now=FakeClock(), durable=False)) as opened:
            try:
                loaded = opened.load(with_items=True)
            except state.StateNewer:
                assert path.read_bytes() == changed
                seen.add("newer")
                continue
            assert loaded in (truth, record.Record(rebuilt=loaded.rebuilt))
            try:
                opened.history(), opened.events(), opened.applied_sets()
            except (state.StateUnreadable, state.StateDamaged):
                seen.add("unreadable")
            opened.record_success(success("7", events=()))
            after = opened.load(with_items=True)
            assert (after.rebuilt, after.applied and after.applied.revision) == ("", "sha256:7")
            seen.add("truth" if loaded == truth else "rebuilt")
    return seen


def test_b4_random_bytes_at_200_offsets(intact: tuple[Path, record.Record], tmp_path: Path) -> None:
    """B4: 1 to 32 random bytes anywhere, and single flipped bits; the seed is fixed."""
    luck = chance(20260220)

    def overwritten(content: bytearray) -> None:
        offset, count = luck.randrange(len(content)), luck.choice((1, 1, 4, 32))
        content[offset : offset + count] = luck.randbytes(min(count, len(content) - offset))

    def flipped(content: bytearray) -> None:
        content[luck.randrange(len(content))] ^= 1 << luck.randrange(8)

    changes = [luck.choice((overwritten, flipped)) for _ in range(200)]
    assert outcomes_of_damage(intact, tmp_path, iter(changes)) >= {"truth", "rebuilt"}


def test_b4_every_byte_of_the_header(intact: tuple[Path, record.Record], tmp_path: Path) -> None:
    """B4: SQLite trusts its header most, so each of its bytes is changed."""

    def setting(offset: int, value: int) -> Callable[[bytearray], None]:
        return lambda content: content.__setitem__(offset, value)

    changes = (setting(offset, value) for offset in range(112) for value in (0, 2, 255))
    assert outcomes_of_damage(intact, tmp_path, changes) >= {"truth", "rebuilt", "newer"}


def test_b4_truncation(intact: tuple[Path, record.Record], tmp_path: Path) -> None:
    """B4: cut short at page ends, within pages and to nothing."""

    def cut(length: int) -> Callable[[bytearray], None]:
        return lambda content: content.__delitem__(slice(length, None))

    size = intact[0].stat().st_size
    lengths = sorted({0, 1, 99, 100, 512, size - 1, *range(0, size, 4096), *range(1000, size, 4096)})
    assert "rebuilt" in outcomes_of_damage(intact, tmp_path, (cut(length) for length in lengths if length < size))
