"""A repository behind a real sshd (faults.md E2, E5, P13): a key lets in, and the host's key must be known."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller import errors, settings_sources
from controller.sources import git
from tests.fakes import git_server, ssh_server, tools


@dataclass(frozen=True)
class Place:
    """A remote behind sshd, its author, and the files that the settings name."""

    folder: Path
    server: ssh_server.SshServer
    author: git_server.Author

    def fetch(self, **more: Any) -> git.Fetched:
        """One look with the right key at a host that is known, unless `more` says otherwise."""
        given = {
            "url": self.server.url(self.author.bare),
            "ssh_key_file": self.server.key,
            "known_hosts_file": self.server.known_hosts(self.folder / "known hosts"),
            **more,
        }
        configured = settings_sources.GitSource.model_validate(given)
        return git.Repository(configured, self.folder / "state", deadline_s=60.0).fetch("")

    def refused(self, **more: Any) -> str:
        """What a look that fails says."""
        with pytest.raises(errors.ControllerError) as failed:
            self.fetch(**more)
        assert failed.value.reason == "SourceUnavailable"
        return failed.value.message


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A repository with one commit."""
    tools.require("git", "ssh", "ssh-keygen")
    author = git_server.Author(tmp_path / "work", tmp_path / "shop.git")
    (author.folder / "a.txt").write_text("one\n", encoding="utf-8")
    author.publish()
    with ssh_server.serving(tmp_path / "ssh") as server:
        yield Place(tmp_path, server, author)


def test_a_push_is_fetched_over_ssh(place: Place) -> None:
    first = place.fetch()
    assert (first.root / "a.txt").read_text(encoding="utf-8") == "one\n"
    (place.author.folder / "a.txt").write_text("two\n", encoding="utf-8")
    commit = place.author.publish()
    second = place.fetch()
    assert second.commit == commit
    assert (second.root / "a.txt").read_text(encoding="utf-8") == "two\n"


def test_e2_a_host_that_nobody_knows_is_not_talked_to(place: Place) -> None:
    unknown = place.folder / "nobody"
    unknown.touch()
    assert "Host key verification failed" in place.refused(known_hosts_file=unknown)
    assert "Accepted publickey" not in place.server.said()


def test_e2_a_host_with_another_key_than_before_is_not_talked_to(place: Place) -> None:
    """Somebody sits between us and the host that we knew."""
    place.fetch()
    before = place.server.said().count("Accepted publickey")
    changed = place.server.known_hosts(place.folder / "changed", of="other")
    assert "Host key verification failed" in place.refused(known_hosts_file=changed)
    assert place.server.said().count("Accepted publickey") == before == 2  # ls-remote, fetch


def test_e2_a_key_that_is_not_welcome_is_told_without_a_question(place: Place) -> None:
    stranger = place.folder / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)], check=True)
    assert "Permission denied (publickey)" in place.refused(ssh_key_file=stranger)


def test_p13_a_key_with_a_passphrase_asks_nobody(place: Place) -> None:
    """Counter-check: the same key without one lets in."""
    key = str(place.server.key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "canary-passphrase", "-f", key], check=True)
    assert "Permission denied (publickey)" in place.refused()
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "canary-passphrase", "-N", "", "-f", key], check=True)
    assert place.fetch().ref == "refs/heads/main"


def test_a_repository_that_is_not_there_is_told_in_the_remotes_words(place: Place) -> None:
    assert "does not appear to be a git repository" in place.refused(url=place.server.url(place.folder / "none.git"))
