"""`controller trace FUNCTION`: from the image back to the line and the pass, from the record alone."""

import datetime
import shutil
import sqlite3
from pathlib import Path

import pytest

from controller import state
from tests.fakes import command, git_server
from tests.fakes.command import Shop

STATES = Path(__file__).parent.parent / "cases" / "state"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path).published()


def line_of(path: Path, text: str) -> int:
    """The number of the only line that begins so."""
    found = [number for number, line in enumerate(path.read_text().splitlines(), 1) if line.startswith(text)]
    assert len(found) == 1
    return found[0]


def test_the_whole_way(shop: Shop) -> None:
    told = shop.about("trace", "catalog-list", "--output", "json").json
    place = "catalog/config/functions.yml"
    assert told["schema"] == "artifact-controller/trace/v1"
    assert told["artifact"] == {"file": place, "line": line_of(shop.source / place, "  catalog-list:")}
    assert told["entry"] == "catalog-3a84c634"
    assert told["foreign"] is False
    status = shop.about("status", "--output", "json").json
    assert told["revision"] == status["applied_revision"]
    assert (told["applied"]["at"], told["applied"]["generation"]) == (status["applied_at"], 1)
    assert told["applied"]["outcome"] == "FirstPublish"
    assert (told["changed"]["reason"], told["changed"]["revision"]) == ("NewInSource", told["revision"])
    assert told["image"]["reference"].endswith("catalog-list:v1")
    assert (told["git"], told["held"]) == (None, None)
    text = shop.about("trace", "catalog-list").out
    assert f"artifact    {place}:{told['artifact']['line']}\n" in text
    assert "applied     " in text


def test_it_needs_no_source_and_changes_nothing(shop: Shop) -> None:
    shutil.rmtree(shop.source)
    before = command.snapshot(shop.config)
    assert shop.about("trace", "orders-create").code == 0
    assert command.snapshot(shop.config) == before


def test_a_later_change_of_another_function_is_not_its_own(shop: Shop) -> None:
    """The set is that of the last pass; what happened to this function happened before."""
    first = shop.about("trace", "orders-create", "--output", "json").json
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    assert shop.reconcile().code == 0
    then = shop.about("trace", "orders-create", "--output", "json").json
    assert then["revision"] != first["revision"]
    assert then["applied"]["outcome"] == "SourceChanged"
    assert then["changed"] == first["changed"]


@pytest.mark.parametrize(
    ("name", "hint"), [("catalog-lst", "; did you mean catalog-list?"), ("x" * 80, ""), ("\x1b[31m", "")]
)
def test_an_unknown_function(shop: Shop, name: str, hint: str) -> None:
    ended = shop.about("trace", name)
    assert ended.code == 64
    assert "failed (Usage): no function" in ended.err
    assert hint in ended.err
    assert "\x1b" not in ended.err


def test_nothing_applied_yet(tmp_path: Path) -> None:
    ended = command.run("trace", "a", "--config-dir", tmp_path)
    assert (ended.code, "nothing was applied yet" in ended.err) == (64, True)


def test_a_foreign_function_says_so(shop: Shop) -> None:
    """What was there before us has no entry, and no place in the artifact."""
    functions = shop.config / "functions.yml"
    text = functions.read_text()
    functions.unlink()
    functions.write_text(f"{text}  legacy:\n    image: legacy:v1\n")
    assert shop.reconcile().code == 0
    told = shop.about("trace", "legacy", "--output", "json").json
    assert (told["foreign"], told["entry"], told["artifact"]) == (True, None, None)
    assert "entry       none: it is not ours" in shop.about("trace", "legacy").out


def test_a_rolled_back_set_keeps_its_places(shop: Shop) -> None:
    before = shop.about("trace", "catalog-list", "--output", "json").json
    shop.edit("catalog", "functions.yml", "  catalog-list:", "  # moved down\n  catalog-list:")
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    assert shop.reconcile().code == 0
    moved = shop.about("trace", "catalog-list", "--output", "json").json
    assert moved["artifact"]["line"] == before["artifact"]["line"] + 1
    assert shop.about("rollback").code == 0
    after = shop.about("trace", "catalog-list", "--output", "json").json
    assert (after["artifact"], after["revision"]) == (before["artifact"], before["revision"])
    assert after["applied"]["outcome"] == "RolledBack"


def test_a_held_revision_says_so(shop: Shop) -> None:
    """What is live may be held: a rollback that failed half-way held it before (consumers.md GW3)."""
    revision = shop.about("status", "--output", "json").json["applied_revision"]
    store = state.State(shop.state.parent, now=lambda: datetime.datetime(2026, 2, 20, tzinfo=datetime.UTC))
    store.hold(revision, "too slow")
    store.close()
    told = shop.about("trace", "catalog-list", "--output", "json").json
    assert told["held"] == {"reason": "too slow", "since": "2026-02-20T00:00:00Z"}
    assert "held        since 2026-02-20T00:00:00Z: too slow\n" in shop.about("trace", "catalog-list").out


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_l6_a_record_of_an_older_controller(tmp_path: Path, version: int) -> None:
    """L6: what it did not write down is told as not recorded."""
    place = tmp_path / ".controller"
    place.mkdir()
    shutil.copy(STATES / f"version-{version}.db", place / "state.db")
    ended = command.run("trace", "catalog-list", "--config-dir", tmp_path)
    assert ended.code == 0, ended.text
    assert "artifact    not recorded" in ended.out


def test_a_damaged_record_is_told(shop: Shop) -> None:
    with sqlite3.connect(shop.state) as connection:
        connection.execute("UPDATE item_sets SET content = x'00'")
    ended = shop.about("trace", "catalog-list")
    assert ended.code != 0
    assert "Traceback" not in ended.err


def test_the_commit_of_a_followed_repository(tmp_path: Path) -> None:
    """After a rollback it is the commit that brought the revision."""
    shop = Shop(tmp_path)
    author = git_server.Author(tmp_path / "author", tmp_path / "shop.git")
    given = ("--git", f"file://{author.bare}", "--config-dir", shop.config, "--state-dir", tmp_path / "state")

    def pushed() -> str:
        shutil.copytree(shop.source, author.folder, dirs_exist_ok=True)
        commit = author.commit()
        author.git("push", "--quiet", "origin", "main")
        assert shop.run("reconcile", "--once", *given).code == 0
        return commit

    def traced() -> object:
        return shop.run("trace", "catalog-list", *given[2:], "--output", "json").json["git"]

    first = pushed()
    assert traced() == {"ref": "refs/heads/main", "commit": first}
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    second = pushed()
    assert traced() == {"ref": "refs/heads/main", "commit": second}
    assert shop.run("rollback", *given[2:]).code == 0
    assert traced() == {"ref": "refs/heads/main", "commit": first}
