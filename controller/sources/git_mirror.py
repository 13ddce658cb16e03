"""Our own bare copy of a remote: asked first, fetched shallow, replaced when it is damaged (faults.md E1-E4, E8, P9).

Owns the clone's folder. A damaged clone is never repaired: another one is fetched beside it and takes its place, and
litter goes with the old one. Knows nothing of signatures and checkouts.
"""

import contextlib
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from controller import errors
from controller.sources import git_command
from core import git_refs

_HEAD = "refs/controller/head"
_MOST_PACKS = 24
"""A fetch brings one each. With more than these a new clone, which is one pack, is made as soon as what is shown is
applied; with twice as many there is no waiting for that."""
_SMALL_BYTES = 64 << 20
"""Packs that are no larger together are not worth the same for their size."""
_HISTORY = 16
"""History may be so many times as large as one commit."""
_LITTER = ("objects/pack/tmp_*", "objects/tmp_*", "objects/incoming-*")
"""What a killed fetch leaves in the clone."""

_Result = TypeVar("_Result")

_CAUSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"Host key verification failed|No .* host key is known"), "its host key is not in known_hosts_file"),
    (
        re.compile(r"Permission denied \(|Authentication failed|could not read (Username|Password)|\b40[13]\b"),
        "it refuses the credentials",
    ),
    (
        re.compile(r"not found|does not appear to be a git repository|\b404\b"),
        "there is no such repository, or no right to see it",
    ),
    (re.compile(r"Could not resolve host|Name or service not known"), "its name cannot be resolved"),
    (re.compile(r"redirect|\b30[1278]\b"), "it redirects elsewhere: name the final address"),
    (re.compile(r"\b429\b"), "it asks for fewer requests"),
    (re.compile(r"certificate|SSL|TLS"), "its certificate is not trusted"),
)


class Offline(git_command.Git):
    """Git that asks no remote: what the clone does not hold cannot be had."""

    def answer(
        self,
        *words: str,
        repository: Path | None = None,
        network: bool = False,
        options: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """As `Git.answer`, from what is here."""
        if network:
            raise git_command.GitFailed(-1, "the remote is not asked", late=True)
        return git_command.Git.answer(self, *words, repository=repository, options=options, environment=environment)


class Mirror:
    """The clone below `folder`. `limit_bytes` is the largest file that is fetched, where the remote can leave out
    larger ones."""

    def __init__(self, git: git_command.Git, folder: Path, *, limit_bytes: int) -> None:
        self._git = git
        self._folder = folder
        self._limit_bytes = limit_bytes

    @property
    def place(self) -> Path:
        """The repository."""
        return self._folder / "mirror.git"

    def resolve(self, ref: str) -> git_refs.Remote:
        """What the ref names at the remote now: one call. Raises `ControllerError`: SourceUnavailable, RefMissing."""
        found: tuple[git_refs.Remote, ...] = ()
        if not git_refs.is_commit(ref):
            words = ("ls-remote", "--quiet", "--", self._git.access.url, *git_refs.patterns(ref))
            try:
                found = git_refs.listed(self._git.answer(*words, network=True).decode("utf-8", "replace"))
            except git_command.GitFailed as failed:
                raise unavailable(failed) from None
        chosen = git_refs.chosen(ref, found)
        if chosen is None:
            raise errors.ControllerError("RefMissing", f"source.git.ref {ref}: the remote has no such branch or tag")
        return chosen

    def has(self, commit: str) -> bool:
        """Whether the clone holds this commit."""
        try:
            self._git.answer("cat-file", "-e", f"{commit}^{{commit}}", repository=self.place)
        except git_command.GitFailed:
            return False
        return True

    def fetch(self, wanted: git_refs.Remote, *, since: str) -> None:
        """Fetch what the ref names. With `since`, a commit, the ones between are fetched as well, so that `descends`
        can answer. Raises `ControllerError("SourceUnavailable")`; a damaged clone is replaced on the way."""
        if self.place.is_dir():
            try:
                self._fetch(self.place, wanted, since=since if since and self.has(since) else "", deep=False)
                return
            except git_command.GitFailed as failed:
                if failed.late or failed.too_large:
                    raise unavailable(failed) from None
            finally:
                self.sweep()
        self.renew(wanted)

    def renew(self, wanted: git_refs.Remote) -> None:
        """A new clone in the place of the old one."""
        beside = self._folder / f".new-{secrets.token_hex(8)}"
        try:
            self._git.answer("init", "--bare", "--quiet", "--template=", "--", str(beside))
            beside.chmod(0o700)
            self._git.answer("config", "remote.origin.url", self._git.access.url, repository=beside)
            self._fetch(beside, wanted, since="", deep=False)
            (beside / "made-for").write_text(self._purpose(wanted), encoding="ascii")
            old = self._folder / f".old-{secrets.token_hex(8)}"
            if self.place.exists():
                self.place.rename(old)
            beside.rename(self.place)
        except git_command.GitFailed as failed:
            raise unavailable(failed) from None
        except OSError as error:
            raise errors.ControllerError("SourceUnreadable", f"{self.place}: {error.strerror}") from None
        finally:
            self.sweep()

    def is_made_for(self, wanted: git_refs.Remote) -> bool:
        """Whether the clone was made for just this commit: what it lacks, the remote did not send."""
        try:
            return (self.place / "made-for").read_text(encoding="ascii") == self._purpose(wanted)
        except (OSError, UnicodeDecodeError):
            return False

    def _purpose(self, wanted: git_refs.Remote) -> str:
        return f"{wanted.commit} {self._limit_bytes}"

    def sweep(self) -> None:
        """Remove what killed processes left in the clone and beside it."""
        litter = [place for pattern in _LITTER for place in self.place.glob(pattern)]
        for place in (*self._folder.glob(".*-*"), *litter):
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)

    def descends(self, wanted: git_refs.Remote, ancestor: str) -> bool:
        """Whether the commit is `ancestor` or comes after it. Fetches history when the clone's does not reach back far
        enough."""
        if wanted.commit == ancestor:
            return True
        if not self.has(ancestor):
            try:
                self._fetch(self.place, wanted, since="", deep=True)
            except git_command.GitFailed as failed:
                raise unavailable(failed) from None
        if not self.has(ancestor):
            return False
        try:
            self._git.answer("merge-base", "--is-ancestor", ancestor, wanted.commit, repository=self.place)
        except git_command.GitFailed as failed:
            if failed.code == 1:
                return False
            raise
        return True

    def whole(self, wanted: git_refs.Remote, act: Callable[[Path], _Result]) -> _Result:
        """What `act` makes of the clone; with a new clone when the old one is damaged (faults.md E1)."""
        try:
            return act(self.place)
        except git_command.GitFailed as failed:
            if failed.late:
                raise unavailable(failed) from None
            self.renew(wanted)
        try:
            return act(self.place)
        except git_command.GitFailed as failed:
            if failed.late:
                raise unavailable(failed) from None
            raise errors.ControllerError("SourceRefused", f"git cannot read the commit: {failed.said}") from None

    def _fetch(self, repository: Path, wanted: git_refs.Remote, *, since: str, deep: bool) -> None:
        """Shallow, unless the history between is needed. What the name stands for may have moved since it was asked:
        the commit itself is wanted then (faults.md E4)."""
        depth = [] if since else ["--depth=1"]
        if deep:
            depth = ["--unshallow"] if (repository / "shallow").exists() else []
        usual = ["fetch", "--quiet", "--no-tags", "--force", "--no-write-fetch-head", "--no-recurse-submodules"]
        size = [] if since or deep else [f"--filter=blob:limit={self._limit_bytes + 1}"]
        names = [wanted.object_id] if git_refs.is_commit(wanted.name) else [wanted.name, wanted.object_id]
        failure: git_command.GitFailed | None = None
        git = self._git if size else replace(self._git, most_bytes=self._git.most_bytes * _HISTORY)
        for name in names:
            try:
                words = (*usual, *depth, *size, "origin", f"+{name}:{_HEAD}")
                git.answer(*words, repository=repository, network=True)
            except git_command.GitFailed as failed:
                if failed.late:
                    raise
                failure = failed
                continue
            if self._holds(repository, wanted.object_id):
                return
        raise failure or git_command.GitFailed(-1, "the remote did not send the commit that it named")

    def _holds(self, repository: Path, commit: str) -> bool:
        try:
            self._git.answer("cat-file", "-e", f"{commit}^{{commit}}", repository=repository)
        except git_command.GitFailed:
            return False
        return True

    def tidy(self, wanted: git_refs.Remote, *, history: bool) -> None:
        """Make a new clone, of one commit, when the old one has grown (faults.md E8). Fetches bring the history
        between, and git never drops anything from a clone that leaves out large files: repacking would free nothing.
        To be put off while there is `history` that may be asked for again, and not for ever. A remote that is away then
        is no failure: the old clone stays."""
        most = 2 * _MOST_PACKS if history else _MOST_PACKS
        try:
            sizes = [pack.stat().st_size for pack in (self.place / "objects" / "pack").glob("*.pack")]
        except OSError:
            return
        if len(sizes) > most or sum(sizes) > 2 * max(sizes, default=0) + _SMALL_BYTES:
            with contextlib.suppress(errors.ControllerError):
                self.renew(wanted)


def unavailable(failed: git_command.GitFailed) -> errors.ControllerError:
    """Why the remote could not be had, with a way out where there is one: SourceUnavailable, or SourceRefused when it
    sent too much."""
    if failed.too_large:
        text = "source.git.url: it sent more than source.git.max_bytes allows, and does not leave out large files"
        return errors.ControllerError("SourceRefused", text)
    cause = next((words for pattern, words in _CAUSES if pattern.search(failed.said)), "it cannot be reached")
    later = f"; it asks for {failed.retry_after_s:g} s of patience" if failed.retry_after_s else ""
    error = errors.ControllerError("SourceUnavailable", f"source.git.url: {cause} ({failed.said}){later}")
    error.retry_after_s = failed.retry_after_s
    return error
