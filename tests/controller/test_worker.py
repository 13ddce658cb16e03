"""What the loop is told of a source: its identity, whether it is good, and of a git source which commit (C3, E2, P11)."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller import cancellation, pulse, settings, worker
from core import problems
from tests.fakes import command, git_server, tools


def test_c3_a_failure_that_may_pass_is_the_same_one_in_other_words() -> None:
    """Otherwise "after 4394 ms" begins the growing waits anew."""
    for reason in ("SourceUnavailable", "SourceUnstable", "RegistryUnavailable"):
        assert worker.identity(reason, "after 4394 ms", ()) == worker.identity(reason, "after 12 ms", ())
    places = [(problems.Problem(file, line, 1, "", "m"),) for file, line in (("a", 1), ("a", 2), ("b", 1))]
    found = [worker.identity("SourceUnreadable", "", place) for place in places]
    assert found[0] == found[1] != found[2]
    assert worker.identity("SourceUnavailable", "", ()) != worker.identity("SourceUnstable", "", ())


def test_c4_what_is_wrong_with_content_is_another_thing_in_other_words() -> None:
    places = [(problems.Problem("a", line, 1, "", "m"),) for line in (1, 2)]
    found = {worker.identity("ArtifactInvalid", words, place) for words in ("one", "two") for place in places}
    assert len(found) == 4


@dataclass
class Follower:
    """A worker on a repository."""

    folder: Path
    server: git_server.GitServer
    author: git_server.Author
    worker: worker.Worker
    settings: Path

    def about(self, name: str, *more: str) -> command.Ended:
        """A command about the target."""
        return command.run(name, "--config", self.settings, *more)

    def edit(self, old: str, new: str) -> str:
        """A commit that changes a document; its id."""
        command.replace_text(self.author.folder / "orders" / "config" / "functions.yml", old, new)
        self.author.publish()
        return self.author.git("rev-parse", "HEAD").strip()


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    tools.require("git")
    author = git_server.Author(tmp_path / "work", tmp_path / "remote" / "shop.git")
    shutil.copytree(command.SAMPLE, author.folder, dirs_exist_ok=True)
    author.publish()
    with git_server.serving(tmp_path / "remote") as server:
        file = tmp_path / "controller.yml"
        file.write_text(
            f"source: {{git: {{url: '{server.url('shop.git')}'}}}}\n"
            f"config_dir: {tmp_path}/config\nstate_dir: {tmp_path}/state\n"
        )
        configured = settings.load(file, {})
        yield Follower(
            tmp_path, server, author, worker.Worker(configured, pulse.Pulse(), cancellation.Cancellation()), file
        )


def test_p11_a_look_says_whether_new_content_may_take_the_place_of_the_old(follower: Follower) -> None:
    """Broken content has an identity, but is not good; without `whole` nothing is read."""
    assert not follower.worker.converge().report.failed
    assert follower.worker.look(whole=True).subject == follower.worker.subject
    follower.edit("memory_size: 256", "memory_size: 512")
    seen = follower.worker.look(whole=True)
    assert seen.good
    assert seen.subject not in (None, follower.worker.subject)
    follower.edit("memory_size: 512", "memory_size: [")
    seen = follower.worker.look(whole=True)
    assert not seen.good
    assert seen.subject not in (None, follower.worker.subject)


def test_e2_a_look_says_that_the_remote_is_away_and_what_it_asked_for(follower: Follower) -> None:
    follower.server.faults.status, follower.server.faults.retry_after = 429, "600"
    seen = follower.worker.look()
    assert (seen.subject, seen.good, seen.away, seen.retry_after_s) == (None, False, True, 600.0)


def test_ref_and_commit_are_shown_as_applied_and_as_seen(follower: Follower) -> None:
    first = follower.author.git("rev-parse", "HEAD").strip()
    assert not follower.worker.converge().report.failed
    told = follower.about("status", "--output", "json").json["git"]
    applied = {"ref": "refs/heads/main", "commit": first}
    assert told == {"applied": applied, "seen": applied}
    bad = follower.edit("memory_size: 256", "memory_size: [")
    assert follower.worker.converge().report.failed
    told = follower.about("status", "--output", "json").json["git"]
    assert told == {"applied": applied, "seen": {"ref": "refs/heads/main", "commit": bad}}
    text = follower.about("status").out
    assert f"applied     commit {first} of refs/heads/main" in text
    assert f"seen        commit {bad} of refs/heads/main" in text
    rows = follower.about("history", "--output", "json").json["rows"]
    assert [(row["ref"], row["commit"]) for row in rows] == [("refs/heads/main", bad), ("refs/heads/main", first)]
    assert f"(refs/heads/main {bad[:12]})" in follower.about("history").out


def test_a_folder_has_no_commit(tmp_path: Path) -> None:
    shop = command.Shop(tmp_path).published()
    assert shop.about("status", "--output", "json").json["git"] is None
    assert shop.about("history", "--output", "json").json["rows"][0]["commit"] == ""
