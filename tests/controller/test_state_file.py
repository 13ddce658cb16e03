"""The file of the record: private, written only by writes, and what becomes of it when it is damaged, lost, newer or
out of reach."""

import os
import shutil
import sqlite3
import stat
import string
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller import database, history, state, state_rows
from core import record
from tests.fakes.records import FakeClock, chance, failure, parts, snapshot, success

Reopen = Callable[[], state.State]


@pytest.fixture
def now() -> FakeClock:
    """The time."""
    return FakeClock()


@pytest.fixture
def reopen(tmp_path: Path, now: FakeClock) -> Iterator[Callable[[], state.State]]:
    """Open the same state directory anew, as the next process would."""
    opened: list[state.State] = []

    def again() -> state.State:
        opened.append(state.State(tmp_path / "state", now=now))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


def test_reading_writes_nothing_and_creates_nothing(reopen: Reopen, tmp_path: Path) -> None:
    """F7: a converged pass only loads, and so do `status`, `history` and `diff`."""
    directory = tmp_path / "state"
    reopen().load(with_items=True)
    reopen().release()
    reopen().resume()
    assert not directory.exists()
    writer = reopen()
    writer.record_success(success())
    writer.close()
    before = snapshot(directory)
    reader = reopen()
    for with_items in (False, True):
        reader.load(with_items=with_items)
    reader.applied_sets(), reader.applied_items(1), reader.history(), reader.events()
    reader.record_attempt("sha256:1")
    reader.resume()
    reader.close()
    assert snapshot(directory) == before
    assert list(before) == ["state.db"]


def test_the_file_is_private(reopen: Reopen, tmp_path: Path) -> None:
    reopen().record_attempt("sha256:1")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "state.db").stat().st_mode) == 0o600


def test_b5_a_lost_directory_is_an_empty_record(reopen: Reopen, tmp_path: Path) -> None:
    """B5: a lost state directory is no error, also while it is open."""
    opened = reopen()
    opened.record_success(success())
    shutil.rmtree(tmp_path / "state")
    assert opened.load(with_items=True) == record.Record()
    opened.record_success(success("2"))
    assert [known.revision for known in reopen().applied_sets()] == ["sha256:2"]


def test_l6_a_newer_schema_is_refused_and_not_touched(reopen: Reopen, tmp_path: Path) -> None:
    """L6, B4: an older controller does not touch what a newer one wrote."""
    reopen().record_success(success())
    with closing(sqlite3.connect(tmp_path / "state" / "state.db")) as connection:
        connection.execute(f"PRAGMA user_version={state_rows.VERSION + 1}")
    before = snapshot(tmp_path / "state")
    opened = reopen()
    for use in (
        lambda: opened.load(with_items=False),
        lambda: opened.record_attempt("sha256:2"),
        lambda: opened.record_success(success("2")),
        opened.history,
    ):
        with pytest.raises(
            state.StateNewer,
            match=f"schema version {state_rows.VERSION + 1}; this controller knows {state_rows.VERSION}",
        ):
            use()
    assert snapshot(tmp_path / "state") == before


def cell(statement: str) -> Callable[[Path], None]:
    """A fault made by SQL."""

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    return damage


def bytes_at(offset: int, content: bytes) -> Callable[[Path], None]:
    """A fault made by overwriting bytes."""

    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return damage


def as_directory(path: Path) -> None:
    """A directory where the file should be."""
    path.unlink()
    path.mkdir()


def other_items(path: Path) -> None:
    """The items of another set, well formed, where those of this one should be."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE item_sets SET content = ?", (state_rows.packed(parts("other")),))


DAMAGES = {
    "0 bytes": lambda path: os.truncate(path, 0),
    "truncated": lambda path: os.truncate(path, 5000),
    "not a database": lambda path: path.write_bytes(b"name: edge\n" * 900),
    "a directory": as_directory,
    "header": bytes_at(0, bytes(100)),
    "write format of the future": bytes_at(18, b"\x09"),
    "read format of the future": bytes_at(19, b"\x09"),
    "no version": cell("PRAGMA user_version=0"),
    "no row": cell("DELETE FROM record"),
    "no table": cell("DROP TABLE record"),
    "malformed JSON": cell("UPDATE record SET body = x'7b'"),
    "text for bytes": cell("UPDATE record SET body = 'x'"),
    "a number for bytes": cell("UPDATE record SET body = 1"),
    "NULL checksum": cell("UPDATE record SET checksum = x'00'"),
    "items lost": cell("DELETE FROM item_sets"),
    "items of another set": other_items,
    "items changed": cell("UPDATE item_sets SET content = x'00'"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_b4_a_damaged_file_is_set_aside_by_the_next_write(
    reopen: Reopen, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """B4: nothing is lost but the record, one warning stands until a success, and reading alone moves nothing."""
    first = reopen()
    first.record_success(success())
    first.close()
    path = tmp_path / "state" / "state.db"
    damage(path)
    inode = path.stat().st_ino
    opened = reopen()
    loaded = opened.load(with_items=True)
    if loaded.rebuilt == "":  # only the file's ability to be written is gone
        assert loaded.applied is not None
        assert loaded.applied.items == success().items
    else:
        assert loaded == record.Record(rebuilt=loaded.rebuilt)
        assert opened.load(with_items=False).rebuilt == loaded.rebuilt
        assert str(path) in loaded.rebuilt
    assert path.stat().st_ino == inode
    opened.record_attempt("sha256:2")
    aside = path.with_name("state.db.corrupt-20260220T070404Z")
    assert aside.stat().st_ino == inode
    again = reopen().load(with_items=True)
    assert again == record.Record(attempted_revision="sha256:2", rebuilt=loaded.rebuilt or again.rebuilt)
    assert "set aside" in again.rebuilt
    opened.record_success(success("2"))
    assert reopen().load(with_items=True).rebuilt == ""


def test_b4_well_formed_content_of_a_wrong_shape_is_damage(reopen: Reopen, tmp_path: Path) -> None:
    """B4: a row with a right checksum and a wrong shape."""
    reopen().record_success(success())
    for body in (b"[]", b"{}", b"7", b'{"sets": 1}', b"\xff"):
        with closing(sqlite3.connect(tmp_path / "state" / "state.db")) as connection, connection:
            connection.execute("UPDATE record SET body = ?, checksum = ?", (body, history.seal(body)))
        assert "unknown shape" in reopen().load(with_items=False).rebuilt


@pytest.mark.parametrize("ending", ["-journal", "-wal"])
def test_b4_garbage_beside_the_file_changes_nothing(reopen: Reopen, tmp_path: Path, ending: str) -> None:
    """B4: a journal or WAL left over by something else."""
    first = reopen()
    first.record_success(success())
    first.close()
    (tmp_path / "state" / f"state.db{ending}").write_bytes(chance(1).randbytes(9000))
    loaded = reopen().load(with_items=True)
    assert loaded.rebuilt == ""
    assert loaded.applied is not None
    assert loaded.applied.items == success().items


def test_b4_a_journal_never_meets_another_database(reopen: Reopen, tmp_path: Path) -> None:
    """B4: what belonged to a bad or lost file is moved or removed with it."""
    directory = tmp_path / "state"
    reopen().record_success(success())
    (directory / "state.db").write_bytes(b"garbage")
    (directory / "state.db-journal").write_bytes(b"\0garbage")
    (directory / "state.db.new").write_bytes(b"half created")
    reopen().record_attempt("sha256:2")
    assert sorted(path.name for path in directory.iterdir()) == [
        "state.db",
        "state.db.corrupt-20260220T070404Z",
        "state.db.corrupt-20260220T070404Z-journal",
    ]


def test_b4_only_the_newest_bad_files_are_kept(reopen: Reopen, tmp_path: Path, now: FakeClock) -> None:
    """B4, B6: a disk that keeps going bad does not fill up with bad files."""
    for _ in range(5):
        now.forward(1)
        opened = reopen()
        opened.record_attempt("sha256:1")
        opened.close()
        os.truncate(tmp_path / "state" / "state.db", 10)
    kept = sorted(path.name for path in (tmp_path / "state").glob("*.corrupt-*"))
    assert kept == [f"state.db.corrupt-20260220T07040{second}Z" for second in (7, 8, 9)]


def cut_off(directory: Path, into: Path) -> None:
    """Copy a state directory as a process leaves it that is killed in the middle of a write."""
    with closing(database.connect(directory / "state.db")) as connection:
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE record SET body = x'00'")
        connection.execute("UPDATE item_sets SET content = ?", (chance(1).randbytes(400_000),))
        shutil.copytree(directory, into)
        connection.execute("ROLLBACK")
    assert (into / "state.db-journal").stat().st_size > 0
    assert (into / "state.db").read_bytes() != (directory / "state.db").read_bytes()


def test_b2_a_transaction_that_was_cut_off_is_undone(reopen: Reopen, tmp_path: Path) -> None:
    """B2, P3: killed in the middle of a write, the record is the one before."""
    first = reopen()
    first.record_success(success())
    cut_off(tmp_path / "state", tmp_path / "crashed")
    with closing(state.State(tmp_path / "crashed", now=FakeClock())) as opened:
        assert opened.load(with_items=True) == first.load(with_items=True)


def test_b4_a_journal_without_its_database_is_not_undone_into_a_new_one(reopen: Reopen, tmp_path: Path) -> None:
    """B4, B5: the database was lost, its journal was not."""
    reopen().record_success(success())
    cut_off(tmp_path / "state", tmp_path / "crashed")
    (tmp_path / "crashed" / "state.db").unlink()
    with closing(state.State(tmp_path / "crashed", now=FakeClock())) as opened:
        assert opened.load(with_items=True) == record.Record()
        opened.record_attempt("sha256:2")
        assert opened.load(with_items=True) == record.Record(attempted_revision="sha256:2")
    assert [path.name for path in (tmp_path / "crashed").iterdir()] == ["state.db"]


def test_p15_a_damaged_row_of_the_history_stops_nothing(reopen: Reopen, tmp_path: Path) -> None:
    """P15, B4: it is shown as damaged, the rest stays readable, and passes go on."""
    opened = reopen()
    opened.record_failure(failure("A"))
    opened.record_failure(failure("B"))
    with closing(sqlite3.connect(tmp_path / "state" / "state.db")) as connection, connection:
        connection.execute("UPDATE history SET body = x'00' WHERE id = 2")
    opened.record_failure(failure("B"))
    assert [(row.id, row.result, row.reason) for row in opened.history()] == [
        (3, "failed", "B"),
        (2, "damaged", ""),
        (1, "failed", "A"),
    ]


def test_b4_a_success_mends_the_items_that_it_stores(reopen: Reopen, tmp_path: Path) -> None:
    """B4: publishing again what a damaged row holds makes the row good again."""
    opened = reopen()
    opened.record_success(success())
    cell("UPDATE item_sets SET content = x'00'")(tmp_path / "state" / "state.db")
    opened.record_success(success())
    assert opened.applied_items(2) == success().items


def test_b7_disk_full(reopen: Reopen, tmp_path: Path) -> None:
    """B7: applied but not recorded is an error of its own; the old record stays whole and writing works again later."""
    opened = reopen()
    opened.record_success(success())
    truth = opened.load(with_items=True)
    connection = opened._file._existing()  # the one way to a full disk that needs no root
    assert connection is not None
    connection.execute("PRAGMA max_page_count=1")
    noise = chance(1)
    big = parts(*("".join(noise.choices(string.printable, k=900)) for _ in range(300)))
    with pytest.raises(state.StateUnwritable, match="full") as caught:
        opened.record_success(success("2", items=big))
    assert caught.value.path == tmp_path / "state" / "state.db"
    assert opened.load(with_items=True) == truth
    opened.record_success(success("2", items=big))
    assert opened.applied_items(2) == big


def test_b7_a_place_that_cannot_be_created(tmp_path: Path, now: FakeClock) -> None:
    """B7: without CONFIG_DIR there is nothing to record in, and none is made up."""
    opened = state.State(tmp_path / "missing" / "state", now=now)
    assert opened.load(with_items=False) == record.Record()
    with pytest.raises(state.StateUnwritable, match="No such file"):
        opened.record_failure(failure())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "missing").write_text("a file")
    with pytest.raises(state.StateUnwritable):
        opened.record_failure(failure())
    with pytest.raises(state.StateUnreadable):
        opened.load(with_items=False)


def test_b2_a_writer_that_does_not_end_is_reported(
    reopen: Reopen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2: a record that can't be read now is not a lost one: no fresh start, nothing moved."""
    monkeypatch.setattr(database, "BUSY_S", 0)
    first = reopen()
    first.record_success(success())
    first.close()
    with closing(sqlite3.connect(tmp_path / "state" / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(state.StateUnreadable, match="locked"):
            reopen().load(with_items=False)
        with pytest.raises(state.StateUnwritable, match="locked"):
            reopen().record_attempt("sha256:2")
    assert reopen().load(with_items=True).applied is not None
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["state.db"]


def test_a_set_that_is_not_kept_is_an_error(reopen: Reopen, tmp_path: Path) -> None:
    opened = reopen()
    with pytest.raises(state.StateUnreadable, match="set 1 is not kept"):
        opened.applied_items(1)
    opened.record_success(success())
    cell("DELETE FROM item_sets")(tmp_path / "state" / "state.db")
    with pytest.raises(state.StateDamaged, match="missing"):
        opened.applied_items(1)
