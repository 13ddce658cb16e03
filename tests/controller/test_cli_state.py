"""The record at the level of commands: lost, damaged, newer, in a full place, out of reach."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core import items, ownership, publishing
from manifests import config_dir
from tests.fakes import command
from tests.fakes.command import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path).published()


def test_b5_a_lost_state_directory_is_no_change(shop: Shop) -> None:
    """B5: a fresh runner: the first pass adopts what is there, the second has nothing to do; nothing is published."""
    before = command.visible(shop.config)
    shutil.rmtree(shop.state.parent)
    ended = shop.reconcile("--detailed-exitcode")
    assert (ended.code, "RecordOnly" in ended.out) == (0, True), ended.text
    ended = shop.reconcile("--detailed-exitcode")
    assert (ended.code, ended.out.startswith("nothing to do (InSync)")) == (0, True)
    assert command.visible(shop.config) == before
    assert "applied     sha256:" in shop.about("status").out


def test_b5_without_a_record_nothing_is_pruned(shop: Shop) -> None:
    """What nobody remembers applying is foreign: kept."""
    shutil.rmtree(shop.state.parent)
    text = shop.document("orders", "routing.yml").read_text()
    shop.document("orders", "routing.yml").write_text(text[: text.index('  - path: "/orders/{id}')])
    ended = shop.reconcile("--output", "json")
    assert ended.json["plan"]["foreign"] == [{"kind": "route", "name": "/orders/{id}/report:GET"}]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "text": lambda content: b"not a database, but long enough to be looked at as one " * 100,
    "zeros": lambda content: bytes(len(content)),
    "record": lambda content: content.replace(b'"pass_digest": "sha256:', b'"pass_digest": "sha255:'),
    "head": lambda content: b"SQLite format 4\0" + content[16:],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_b4_a_damaged_record_is_set_aside_and_rebuilt(shop: Shop, name: str) -> None:
    """B4: one warning, the bad file kept beside, nothing published, and the second run has nothing to do."""
    damaged = DAMAGE[name](shop.state.read_bytes())
    shop.state.write_bytes(damaged)
    before = command.visible(shop.config)
    ended = shop.reconcile("--detailed-exitcode")
    assert ended.code == 0, ended.text
    assert ended.err.count("RecordRebuilt: ") == 1, ended.err
    aside = [path for path in shop.state.parent.iterdir() if ".corrupt-" in path.name]
    assert [path.read_bytes() for path in aside] == [damaged]
    again = shop.reconcile("--detailed-exitcode")
    assert (again.code, again.out.startswith("nothing to do (InSync)")) == (0, True)
    assert "RecordRebuilt" not in again.err
    assert command.visible(shop.config) == before


def test_b4_looking_leaves_a_damaged_record_where_it_is(shop: Shop) -> None:
    shop.state.write_bytes(b"")
    before = command.snapshot(shop.folder)
    assert shop.diff().code == 0
    status = shop.about("status")
    assert status.code == 0
    assert f"record      {shop.state} is damaged" in status.out
    assert str(shop.state) in shop.about("status", "--output", "json").json["record"]
    assert command.snapshot(shop.folder) == before
    assert "next pass sets it aside" in shop.about("doctor").out
    assert shop.state.read_bytes() == b""
    assert shop.reconcile().code == 0
    assert "record " not in shop.about("status").out
    assert shop.about("status", "--output", "json").json["record"] == ""


@pytest.mark.parametrize("name", ["history", "events", "rollback"])
def test_b4_what_is_asked_of_a_damaged_record_names_the_way_out(shop: Shop, name: str) -> None:
    """`StateDamaged`: permission is not the trouble, and the command that the hint names mends it."""
    shop.state.write_bytes(b"not a database, but long enough to be looked at as one " * 100)
    before = command.visible(shop.config)
    ended = shop.about(name)
    assert (ended.code, "failed (StateDamaged): " in ended.err) == (1, True), ended.text
    assert "hint: run `controller reconcile --once`" in ended.err
    assert command.visible(shop.config) == before
    assert shop.reconcile().code == 0
    assert shop.about("history").code == 0


def test_b4_any_flipped_byte_ends_in_the_same_world(shop: Shop) -> None:
    """B4: at random places; whatever SQLite makes of it, the documents stay and the run ends well."""
    chance = random.Random(4)
    good = shop.state.read_bytes()
    before = command.visible(shop.config)
    for _ in range(30):
        content = bytearray(good)
        at = chance.randrange(len(content))
        content[at] ^= 1 << chance.randrange(8)
        shop.state.write_bytes(content)
        ended = shop.reconcile()
        assert ended.code in (0, 78), (at, ended.text)
        assert command.visible(shop.config) == before, at
        if ended.code == 78:
            assert "failed (StateNewer)" in ended.err, (at, ended.text)
            assert shop.state.read_bytes() == content


def test_l6_a_newer_record_is_refused_and_not_touched(shop: Shop) -> None:
    """L6, B4: 78 for every command that would need it."""
    with closing(sqlite3.connect(shop.state)) as connection:
        connection.execute("PRAGMA user_version=99")
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    before = command.snapshot(shop.folder)
    for arguments in (
        ("reconcile", "--once", *shop.target),
        ("diff", *shop.target),
        *((name, "--config-dir", str(shop.config)) for name in ("status", "history", "events", "rollback", "resume")),
        ("suspend", "--reason", "x", "--config-dir", str(shop.config)),
    ):
        ended = shop.run(*arguments)
        assert (ended.code, "failed (StateNewer): " in ended.err) == (78, True), (arguments, ended.text)
        assert command.snapshot(shop.folder) == before, arguments


def test_b7_a_full_state_directory_does_not_stop_a_publish(tmp_path: Path) -> None:
    """B7, P15: the new set is live, exit 1 says "applied, not recorded", the next run repairs the record."""
    command.require_root()
    shop = Shop(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    with command.mounted(state, "size=128k"):
        assert shop.reconcile("--state-dir", state).code == 0
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
        command.fill(state / "filler")
        ended = shop.reconcile("--state-dir", state, "--output", "json")
        assert (ended.code, ended.json["reason"]) == (1, "AppliedNotRecorded"), ended.text
        assert ended.json["changed"]
        assert "applied, not recorded" in ended.err
        assert b"timeout: 25" in (shop.documents()["functions.yml"] or b"")
        live = command.visible(shop.config)
        (state / "filler").unlink()
        repaired = shop.reconcile("--state-dir", state, "--output", "json")
        assert (repaired.code, repaired.json["reason"]) == (0, "RecordOnly")
        assert shop.reconcile("--state-dir", state).out.startswith("nothing to do (InSync)")
        assert command.visible(shop.config) == live


def test_b7_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """B7: the first publish of all, with nowhere to record it: nobody may make a directory in /proc."""
    shop = Shop(tmp_path)
    ended = shop.reconcile("--state-dir", "/proc/state")
    assert (ended.code, "failed (AppliedNotRecorded): " in ended.err) == (1, True), ended.text
    assert shop.documents()["functions.yml"] is not None


@pytest.mark.parametrize("place", ["nowhere/state", "file"])
def test_78_a_state_directory_that_is_a_typing_error(tmp_path: Path, place: str) -> None:
    """Told before anything is published: the next pass would know nothing of it."""
    shop = Shop(tmp_path)
    (tmp_path / "file").write_text("x")
    before = command.snapshot(tmp_path)
    ended = shop.reconcile("--state-dir", tmp_path / place)
    assert (ended.code, f"state_dir {tmp_path / place}: " in ended.err) == (78, True), ended.text
    assert command.snapshot(tmp_path) == before


def test_a_state_directory_that_cannot_be_written_stops_a_suspension(shop: Shop) -> None:
    """`StateUnwritable`: what a person asked to be remembered is not, so that is a failure."""
    ended = shop.about("suspend", "--reason", "x", "--state-dir", "/proc/state")
    assert (ended.code, "failed (StateUnwritable): " in ended.err) == (1, True), ended.text


def test_a_record_out_of_reach_is_not_taken_for_lost(shop: Shop) -> None:
    """`StateUnreadable`: holds and suspensions in it would be lost; nothing is changed."""
    command.require_root()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    command.give_away(shop.config)
    os.chown(shop.state.parent, 0, 0)
    before = command.visible(shop.config)
    ended = command.as_nobody(shop, "reconcile", "--once", *shop.target)
    assert (ended.code, "failed (StateUnreadable): " in ended.err) == (1, True), ended.text
    assert command.visible(shop.config) == before


def test_a6_a_link_in_the_place_of_the_record_leads_no_write_elsewhere(shop: Shop, tmp_path: Path) -> None:
    """The folder is in CONFIG_DIR, where consumers may write. What is set with `state_dir` may be a link."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(shop.state.parent)
    shop.state.parent.symlink_to(elsewhere)
    for ended in (shop.reconcile(), shop.about("status"), shop.about("suspend", "--reason", "why")):
        assert (ended.code, f"{shop.state.parent}: a link" in ended.err) == (73, True), ended.text
    assert list(elsewhere.iterdir()) == []
    assert shop.reconcile("--state-dir", str(shop.state.parent)).code == 0
    assert (elsewhere / "state.db").is_file()


WRITTEN = (
    "functions.yml",
    publishing.document_temp(items.Document.FUNCTIONS),
    publishing.SWITCH,
    publishing.SWITCH_TEMP,
    publishing.OWNER_TEMP,
    ownership.NAME,
    config_dir.LOCK_NAME,
)


@pytest.mark.parametrize("name", WRITTEN)
def test_a6_no_link_in_config_dir_leads_a_write_elsewhere(shop: Shop, tmp_path: Path, name: str) -> None:
    """Whoever may write to CONFIG_DIR puts a link in the place of each name that a pass writes."""
    aims = tmp_path / "folder", tmp_path / "file"
    for number, to in enumerate(aims):
        to.mkdir() if name == publishing.SWITCH else to.write_text("theirs")
        shop.edit("catalog", "functions.yml", f"timeout: {10 + number}", f"timeout: {11 + number}")
        (shop.config / name).unlink(missing_ok=True)
        (shop.config / name).symlink_to(to)
        assert shop.reconcile("--take-over").code == (73 if name == config_dir.LOCK_NAME else 0)
        assert (list(to.iterdir()) if name == publishing.SWITCH else to.read_text()) in ([], "theirs")
