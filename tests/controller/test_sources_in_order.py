"""Sources in order, and the last good checkout that serves while none answers (faults.md C1, E2, E3, P6, P13)."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import checks_host, settings
from tests.fakes import command, git_server, jobs, tools

PASSWORD = "correct-horse-battery"
FIRST, SECOND, THIRD = "memory_size: 256", "memory_size: 512", "memory_size: 1024"


@dataclass
class Shop:
    """A target that follows a repository, and a copy of it in a folder."""

    folder: Path
    server: git_server.GitServer
    author: git_server.Author
    git: dict[str, Any] = field(default_factory=dict)
    copy_more: dict[str, Any] = field(default_factory=dict)
    before: tuple[dict[str, Any], ...] = ()

    @property
    def copy(self) -> Path:
        """The folder that stands in."""
        return self.folder / "copy"

    @property
    def settings(self) -> Path:
        """controller.yml, as it is to be now."""
        (self.folder / "password").write_text(PASSWORD)
        git = {"url": self.server.url("shop.git"), "username": "user", "password_file": "password", **self.git}
        sources = [*self.before, {"git": git}, {"directory": {"path": "copy"}, **self.copy_more}]
        file = self.folder / "controller.yml"
        file.write_text(yaml.safe_dump({"source": sources, "config_dir": "config", "state_dir": "state"}))
        return file

    def edit(self, folder: Path, old: str, new: str) -> None:
        """Change a document of the artifact in a folder."""
        command.replace_text(folder / "orders" / "config" / "functions.yml", old, new)

    def push(self, old: str, new: str) -> str:
        """The same in the repository; the commit."""
        self.edit(self.author.folder, old, new)
        return self.author.publish()

    def go_away(self, away: bool = True) -> None:
        """The remote says 500, or answers again."""
        self.server.faults.status = 500 if away else None

    def reconcile(self) -> command.Ended:
        """One pass; no password in what it says."""
        ended = command.run("reconcile", "--once", "--config", self.settings, "--output", "json")
        assert PASSWORD not in ended.text
        return ended

    @property
    def source_ready(self) -> dict[str, Any]:
        """The condition."""
        told = command.run("status", "--config", self.settings, "--output", "json").json
        assert PASSWORD not in json.dumps(told)
        return next(one for one in told["conditions"] if one["type"] == "SourceReady")

    @property
    def shown(self) -> str:
        """What consumers see."""
        return (self.folder / "config" / "functions.yml").read_text()

    def drift(self) -> None:
        """Somebody edits what is live."""
        file = self.folder / "config" / "functions.yml"
        file.write_text(file.read_text() + "# edited\n" + "defaults: {}\n")

    @property
    def asked(self) -> int:
        """How often the remote was asked for something; it forgets."""
        count = len(self.server.requests)
        self.server.requests.clear()
        return count

    def applied(self) -> "Shop":
        """The same shop, after its first publish."""
        ended = self.reconcile()
        assert ended.code == 0, ended.text
        return self


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    tools.require("git", "ssh-keygen")
    shutil.copytree(command.SAMPLE, tmp_path / "copy")
    with git_server.published(tmp_path, command.SAMPLE, user="user", password=PASSWORD) as (server, author):
        yield Shop(tmp_path, server, author)


def test_the_first_that_answers_is_read_and_takes_over_again(shop: Shop) -> None:
    """C1: at the very first pass nothing can be taken back, so the folder is as good as the repository."""
    shop.go_away()
    shop.edit(shop.copy, FIRST, SECOND)
    ended = shop.reconcile()
    assert ended.code == 0, ended.text
    assert SECOND in shop.shown
    ready = shop.source_ready
    assert (ready["status"], ready["reason"]) == ("True", "StandIn")
    assert "source 2 of 2 (directory " in ready["message"]
    assert "is away: SourceUnavailable" in ready["message"]
    shop.go_away(False)
    assert shop.reconcile().code == 0
    assert FIRST in shop.shown
    assert shop.source_ready["reason"] == "Read"
    told = command.run("status", "--config", shop.settings, "--output", "json").json["sources"]
    assert [(one["kind"], one["where"], one["applied"]) for one in told] == [
        ("git", shop.server.url("shop.git"), True),
        ("directory", str(shop.copy), False),
    ]


@pytest.mark.parametrize("gone", ["missing", "empty", "only lost+found"])
def test_c1_a_folder_that_is_not_mounted_is_away(shop: Shop, gone: str) -> None:
    place = shop.folder / "mount"
    if gone != "missing":
        place.mkdir()
    if gone.startswith("only"):
        (place / "lost+found").mkdir()
    shop.before = ({"directory": {"path": "mount"}},)
    ended = shop.reconcile()
    assert ended.code == 0, ended.text
    assert "source 2 of 3 (git " in shop.source_ready["message"]


def _untrusted(shop: Shop) -> None:
    signers = {"policy": "head", "allowed_signers_file": str(shop.author.signers)}
    shop.git["verify"] = signers


def _invalid(shop: Shop) -> None:
    shop.push(FIRST, "memory_size: [")


def _refless(shop: Shop) -> None:
    shop.git["ref"] = "gone"


def _emptied(shop: Shop) -> None:
    shop.git["path"] = "nowhere"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_untrusted, "SourceUntrusted"),
        (_invalid, "ArtifactInvalid"),
        (_refless, "RefMissing"),
        (_emptied, "SourceMissing"),
    ],
)
def test_what_is_wrong_with_an_answer_is_never_passed_over(shop: Shop, spoil: Any, reason: str) -> None:
    """E3, P11: the folder behind it would undo the verification, or hide the error."""
    spoil(shop)
    ended = shop.reconcile()
    assert reason in ended.out
    assert ended.code != 0
    assert not (shop.folder / "config" / "functions.yml").exists()


def test_what_is_wrong_stands_in_the_files_of_the_first_source(shop: Shop) -> None:
    """A job's annotation must not point into the copy, which is in order."""
    shop.push(FIRST, "memory_size: [")
    ended = command.run("reconcile", "--once", "--config", shop.settings, "--output", "github")
    (found,) = jobs.annotations(ended.out)
    assert found.properties["title"] == "ArtifactInvalid"
    assert found.properties["file"].endswith("orders/config/functions.yml")
    assert "copy" not in found.properties["file"]


def test_e3_a_copy_that_is_behind_takes_nothing_back_and_the_last_good_checkout_serves(shop: Shop) -> None:
    commit = shop.push(FIRST, SECOND)
    before = shop.applied().shown
    shop.go_away()
    shop.drift()
    ended = shop.reconcile()
    assert ended.code == 69, ended.text
    assert ended.json["reason"] == "SourceUnavailable"
    assert "healed drift" in ended.json["message"]
    assert shop.shown == before
    ready = shop.source_ready
    assert (ready["status"], ready["reason"]) == ("False", "SourceUnavailable")
    for words in ("source 1 of 2 (git http://127.0.0.1", "source 2 of 2 (directory ", "is not taken", commit):
        assert words in ready["message"]


def test_a_copy_of_what_is_applied_stands_in_and_only_as_long_as_it_is_one(shop: Shop) -> None:
    shop.applied().go_away()
    ended = shop.reconcile()
    assert (ended.code, shop.source_ready["reason"]) == (0, "StandIn")
    assert any(note.startswith("StandIn: source 2 of 2") for note in ended.json["notes"])
    shop.edit(shop.copy, FIRST, THIRD)
    assert shop.reconcile().code == 69
    assert THIRD not in shop.shown


def test_a_copy_takes_over_when_that_is_told(shop: Shop) -> None:
    shop.copy_more = {"takes_over": True}
    shop.push(FIRST, SECOND)
    shop.applied().go_away()
    shop.edit(shop.copy, FIRST, THIRD)
    assert shop.reconcile().code == 0
    assert THIRD in shop.shown
    shop.edit(shop.copy, THIRD, FIRST)
    assert shop.reconcile().code == 0
    assert FIRST in shop.shown
    shop.go_away(False)
    assert shop.reconcile().code == 0
    assert SECOND in shop.shown


def test_what_came_from_a_folder_that_stands_in_goes_on_from_there(shop: Shop) -> None:
    """Nothing of the repository was ever applied, so nothing of it can be lost."""
    shop.go_away()
    shop.applied()
    shop.edit(shop.copy, FIRST, SECOND)
    assert shop.reconcile().code == 0
    assert SECOND in shop.shown


def test_e3_a_mirror_that_is_behind_is_not_taken(shop: Shop) -> None:
    mirror = git_server.Author(shop.folder / "old-work", shop.folder / "mirrors" / "shop.git")
    shutil.copytree(shop.author.bare, mirror.bare, dirs_exist_ok=True)
    shop.push(FIRST, SECOND)
    before = shop.applied().shown
    shop.before = ({"git": {**shop.git, "url": "http://127.0.0.1:9/shop.git"}},)
    shop.git = {"url": f"file://{mirror.bare}", "username": None, "password_file": None}
    shop.go_away()
    ended = shop.reconcile()
    assert ended.code == 69, ended.text
    assert "is not taken" in ended.json["message"]
    assert shop.shown == before


@dataclass
class Alone:
    """A target that follows only the repository."""

    shop: Shop

    @property
    def settings(self) -> Path:
        file = self.shop.settings
        document = yaml.safe_load(file.read_text())
        document["source"] = document["source"][0]
        file.write_text(yaml.safe_dump(document))
        return file

    def reconcile(self) -> command.Ended:
        return command.run("reconcile", "--once", "--config", self.settings, "--output", "json")

    def status(self) -> dict[str, Any]:
        told = command.run("status", "--config", self.settings, "--output", "json").json
        return {one["type"]: one for one in told["conditions"]}


@pytest.fixture
def alone(shop: Shop) -> Alone:
    found = Alone(shop)
    assert found.reconcile().code == 0
    return found


def test_e2_the_last_good_checkout_heals_drift_while_the_remote_is_away(alone: Alone) -> None:
    before = alone.shop.shown
    commit = alone.shop.author.git("rev-parse", "HEAD").strip()
    alone.shop.go_away()
    alone.shop.drift()
    ended = alone.reconcile()
    assert (ended.code, ended.json["reason"], ended.json["changed"]) == (69, "SourceUnavailable", True)
    assert alone.shop.shown == before
    told = alone.status()
    assert (told["Ready"]["status"], told["SourceReady"]["status"]) == ("True", "False")
    assert f"the last good checkout serves, of commit {commit} from 20" in told["SourceReady"]["message"]
    alone.shop.go_away(False)
    assert alone.reconcile().code == 0
    assert alone.status()["SourceReady"]["status"] == "True"


def test_e2_an_outage_is_one_row_of_the_history_and_idle_passes_write_nothing(alone: Alone) -> None:
    alone.shop.go_away()
    assert alone.reconcile().code == 69
    before = (alone.shop.folder / "state" / "state.db").read_bytes()
    assert alone.reconcile().code == 69
    assert (alone.shop.folder / "state" / "state.db").read_bytes() == before
    rows = command.run("history", "--config", alone.settings, "--output", "json").json["rows"]
    assert [row["reason"] for row in rows].count("SourceUnavailable") == 1


def test_a_checkout_from_before_a_reboot_is_made_again_from_the_clone(alone: Alone) -> None:
    """E1: the marks of checkouts are those of another boot; the remote is not needed for it."""
    for mark in (alone.shop.folder / "state" / "source").glob("*/checkouts/*.whole"):
        mark.write_text("another boot")
    before = alone.shop.shown
    alone.shop.go_away()
    alone.shop.drift()
    ended = alone.reconcile()
    assert (ended.code, alone.shop.shown) == (69, before)


def test_nothing_serves_that_the_settings_of_now_do_not_trust(alone: Alone) -> None:
    alone.shop.go_away()
    _untrusted(alone.shop)
    alone.shop.drift()
    before = alone.shop.shown
    ended = alone.reconcile()
    assert (ended.code, ended.json["reason"], alone.shop.shown) == (69, "SourceUnavailable", before)


def test_e3_nothing_serves_that_is_behind_what_was_applied(alone: Alone) -> None:
    (alone.shop.folder / "state" / "source" / "applied").write_text("f" * 40 + "\n")
    alone.shop.go_away()
    before = alone.shop.shown
    alone.shop.drift()
    assert alone.reconcile().code == 69
    assert alone.shop.shown != before


def test_a_diff_says_that_the_source_is_away(alone: Alone) -> None:
    """It is about what the source asks for, and nobody knows that now."""
    alone.shop.go_away()
    assert command.run("diff", "--config", alone.settings).code == 69


def test_the_doctor_looks_at_the_sources_in_their_order(shop: Shop) -> None:
    """Which commit, who stands in as in a pass, or why none answers."""

    def seen() -> tuple[str, str]:
        told = command.run("doctor", "--config", shop.settings, "--output", "json").json["checks"]
        line = [one for one in told if one["name"] == "source"][-1]
        return line["status"], line["detail"]

    commit = shop.author.git("rev-parse", "HEAD").strip()
    shop.applied()
    status, words = seen()
    assert (status, commit[:12] in words) == ("ok", True)
    shop.go_away()
    status, words = seen()
    assert (status, words.startswith("StandIn: source 2 of 2")) == ("warn", True)
    (shop.folder / "state" / "source" / "taken.json").unlink()
    assert seen() == (status, words), "the record knows the revision too"
    shutil.rmtree(shop.copy)
    status, words = seen()
    assert (status, "source 1 of 2" in words, "source 2 of 2" in words) == ("FAIL", True, True)


def test_the_doctor_asks_for_the_programs_of_every_repository(tmp_path: Path) -> None:
    file = tmp_path / "controller.yml"
    urls = ("https://git.example/shop.git", "ssh://git@copy.example/shop.git")
    file.write_text(yaml.safe_dump({"source": [{"git": {"url": url}} for url in urls]}))
    assert [one.name for one in checks_host.programs(settings.load(file, {}))] == ["git", "ssh"]
