"""A repository of artifacts as a team has one: a working copy whose commits are signed, and a remote over http, to
which it is pushed and which can be away for a while. What readers ask of it is counted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.harness import docker
from tests.fakes import git_server, ports

NAME = "artifacts.git"
TRUSTED, STRANGER, NOBODY = "trusted", "stranger", ""
"""By whose key a commit is signed."""


class Repository:
    """The working copy below `folder`, and its remote. The artifacts are in `source`, a folder of the repository;
    beside it there may be anything."""

    def __init__(self, folder: Path) -> None:
        (folder / "remotes").mkdir(parents=True)
        self._folder = folder
        self._author = git_server.Author(folder / "work", folder / "remotes" / NAME)
        self._keys = {TRUSTED: self._author.key, STRANGER: folder / "stranger"}
        docker.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._keys[STRANGER])])
        self._server = git_server.GitServer(folder / "remotes", port=ports.free()[0])
        self._thread = self._serving()
        self._author.git("remote", "set-url", "origin", self.url)

    @property
    def url(self) -> str:
        """The remote."""
        return self._server.url(NAME)

    @property
    def work(self) -> Path:
        """The working copy."""
        return self._author.folder

    @property
    def source(self) -> Path:
        """The folder of artifacts in it."""
        return self.work / "deploy"

    @property
    def signers(self) -> Path:
        """Who is trusted, as ssh-keygen reads it."""
        return self._author.signers

    @property
    def head(self) -> str:
        """The newest commit."""
        return self._author.git("rev-parse", "HEAD").strip()

    def push(self, *, signed_by: str = TRUSTED) -> str:
        """Commit everything that changed, and push it; the commit."""
        self._author.key = self._keys.get(signed_by, self._author.key)
        return self._author.publish(sign=signed_by != NOBODY)

    def rewind(self, commit: str) -> None:
        """Make the remote and the working copy show an older commit, by force."""
        self._author.git("reset", "--quiet", "--hard", commit)
        self._author.push()

    def asked(self) -> tuple[int, int]:
        """What readers did since the last call: how many git commands connected, and how many requests of theirs
        followed. `git ls-remote` is (1, 1), `git fetch` (1, 2)."""
        seen = [line for line in self._server.requests if "git-upload-pack" in line]
        self._server.requests.clear()
        connected = sum(line.startswith("GET ") for line in seen)
        return connected, len(seen) - connected

    def go_away(self) -> None:
        """Connections are refused from now on."""
        self._server.close()
        self._thread.join()

    def come_back(self) -> None:
        """Serve again, under the same address."""
        self._server = git_server.GitServer(self._folder / "remotes", port=self._server.port)
        self._thread = self._serving()

    def _serving(self) -> threading.Thread:
        thread = threading.Thread(target=self._server.serve, daemon=True)
        thread.start()
        return thread


LS_REMOTE, LS_REMOTE_AND_FETCH = (1, 1), (2, 3)


@contextmanager
def serving(folder: Path) -> Iterator[Repository]:
    """A repository whose remote answers while the block runs."""
    repository = Repository(folder)
    try:
        yield repository
    finally:
        repository.go_away()
