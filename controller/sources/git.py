"""The git source: a repository that is followed, read from one resolved commit (design.md section 1).

Owns the order: ask what the ref names, fetch it if it is new, require its signature, require that it does not go back,
take its tree to the disk. An unchanged remote costs one call. The revision is the digest of the content, as for every
source; the commit is kept beside it, so that commits which change nothing below `path` change nothing at all.
"""

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from controller import clock, errors, secret_values, settings_sections, translate
from controller.sources import git_command, git_mirror, git_signatures, git_tree
from core import digest, git_refs
from manifests import merge_lock

_PACKED, _LEAST_BYTES = 2, 16 << 20
"""A pack may be so many times as large as the largest checkout, and always so large: a remote that cannot leave out
files sends those beside `path` too (faults.md E6)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A commit as it lies on the disk: `root` is the folder of artifacts. `left_out` are links and submodules."""

    commit: str
    ref: str
    root: Path
    left_out: tuple[str, ...] = ()
    lease: object = field(default=None, compare=False)
    """The checkout stays for as long as this is kept."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found in order the last time, kept beside the clone. `rules` covers the settings that it depends on."""

    commit: str
    object_id: str
    tree: str
    after: str
    rules: str
    left_out: tuple[str, ...]
    ref: str = ""


class Repository:
    """One remote below `folder`, which is made. `check` raises when the work should end; `counted` hears every git
    command."""

    def __init__(  # noqa: PLR0913 - what surrounds a remote, by name
        self,
        configured: settings_sections.GitSource,
        folder: Path,
        *,
        deadline_s: float,
        check: Callable[[], None] = lambda: None,
        counted: Callable[[str], object] = str,
        machine: clock.Clock = clock.Clock(),
    ) -> None:
        self._configured = configured
        self._folder = folder.absolute() / digest.of_parts((configured.url,)).rpartition(":")[2][:16]
        self._deadline_s = deadline_s
        self._check = check
        self._counted = counted
        self._clock = machine

    def fetch(self, highest: str) -> Fetched:
        """What the ref names now, on the disk. `highest` is the newest commit that was applied, "" for none.

        Raises `ControllerError`: "SettingsInvalid", "SourceUnavailable", "RefMissing", "SourceUntrusted",
        "SourceRewound", "SourceRefused", "SourceUnreadable".
        """
        access = self._access()
        with self._alone():
            until_s = self._clock.monotonic_s() + self._deadline_s
            most_bytes = max(_PACKED * self._configured.max_bytes, _LEAST_BYTES)
            git = git_command.Git(
                access, self._folder, self._deadline_s, until_s, self._check, self._counted, self._clock, most_bytes
            )
            mirror = git_mirror.Mirror(git, self._folder, limit_bytes=self._configured.max_file_bytes)
            wanted = mirror.resolve(self._configured.ref)
            known = self._known()
            floors = self._floors(highest)
            if known is None or not self._still_holds(known, wanted, floors):
                known = self._take(git, mirror, wanted, floors)
                self._clear_others()
            mirror.tidy(wanted, history=any(floor != known.commit for floor in floors))
            root = self._checkouts / known.tree
            return Fetched(known.commit, wanted.name, root, known.left_out, git_tree.lease(root))

    def highest(self) -> str:
        """The newest applied commit as it is kept here, beside the record of the target; "" for none."""
        try:
            found = self._floor.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""
        return found if git_refs.is_commit(found) else ""

    def applied(self, commit: str) -> None:
        """Keep the newest applied commit here too: a record that is lost or damaged must not let the remote go back.
        Writes only when it moved; where it cannot be written, the record has it."""
        if commit and commit != self.highest():
            with contextlib.suppress(OSError):
                _replace(self._floor, f"{commit}\n")

    def _floors(self, highest: str) -> tuple[str, ...]:
        """Every commit that the remote must not go behind."""
        return tuple(sorted({highest, self.highest()} - {""}))

    def last_taken(self) -> tuple[str, str]:
        """Ref and commit that were last found in order; "" for none. Asks nobody."""
        known = self._known()
        return (known.ref, known.commit) if known else ("", "")

    def _take(
        self, git: git_command.Git, mirror: git_mirror.Mirror, wanted: git_refs.Remote, floors: tuple[str, ...]
    ) -> _Known:
        """Everything about a commit that is new, or that has to be looked at again."""
        mirror.sweep()
        if not mirror.has(wanted.object_id):
            mirror.fetch(wanted, since=floors[0] if floors else "")
        wanted = mirror.whole(wanted, lambda place: _peeled(git, place, wanted))
        try:
            git_signatures.require(git, mirror.place, wanted, self._configured.verify)
        except git_command.GitFailed as failed:
            raise git_mirror.unavailable(failed) from None
        for floor in floors:
            self._require_forward(mirror, wanted, floor)
        tree, left_out = mirror.whole(wanted, lambda _: self._checkout(git, mirror, wanted))
        before = self._known()
        known = _Known(wanted.commit, wanted.object_id, tree, " ".join(floors), self._rules, left_out, wanted.name)
        _replace(self._memo, json.dumps(asdict(known)))
        self._clear(frozenset({tree, before.tree if before else tree}))
        return known

    def _checkout(
        self, git: git_command.Git, mirror: git_mirror.Mirror, wanted: git_refs.Remote
    ) -> tuple[str, tuple[str, ...]]:
        """The tree at `path`, on the disk; its id and what was left out of it."""
        place = mirror.place
        path = git_refs.folder(self._configured.path)
        words = f"{wanted.commit}:{path}" if path else f"{wanted.commit}^{{tree}}"
        _require_tree(git, place, wanted, path)
        tree = git.answer("rev-parse", "--verify", "--end-of-options", words, repository=place).decode("ascii").strip()
        found = self._listing(git, mirror, wanted, tree)
        folder = self._checkouts / tree
        if not git_tree.is_whole(folder):
            git_tree.drop(folder)
            git_tree.extracted(git, place, found, folder)
        return tree, found.left_out

    def _listing(
        self, git: git_command.Git, mirror: git_mirror.Mirror, wanted: git_refs.Remote, tree: str
    ) -> git_tree.Listing:
        """What is in the tree. A file that the remote was asked to leave out is named, once it is sure that not the
        clone has lost it."""
        most = self._configured.max_file_bytes
        caps = git_tree.Caps(self._configured.max_files, self._configured.max_bytes, most)
        try:
            return git_tree.listing(git, mirror.place, tree, caps)
        except git_command.GitFailed as failed:
            if failed.late or not mirror.is_made_for(wanted):
                raise
            path = git_tree.withheld(git, mirror.place, tree)
            if not path:
                raise
        text = f"{path} is larger than source.git.max_file_bytes ({most} bytes)"
        raise errors.ControllerError("SourceRefused", text)

    def _require_forward(self, mirror: git_mirror.Mirror, wanted: git_refs.Remote, highest: str) -> None:
        """A remote that goes back, by force or because somebody answers in its place, is not followed."""
        if wanted.commit in self._configured.accept:
            return
        if not mirror.whole(wanted, lambda _: mirror.descends(wanted, highest)):
            text = f"commit {wanted.commit} ({wanted.name}) is no descendant of {highest}, which was applied last"
            raise errors.ControllerError("SourceRewound", text)

    def _still_holds(self, known: _Known, wanted: git_refs.Remote, floors: tuple[str, ...]) -> bool:
        return (
            known.commit == wanted.commit
            and known.object_id == wanted.object_id
            and known.rules == self._rules
            and set(floors) <= {known.commit, *known.after.split()}
            and git_tree.is_whole(self._checkouts / known.tree)
        )

    @property
    def _rules(self) -> str:
        """The settings, and the keys, that decide whether a commit is taken."""
        verify = self._configured.verify
        keys = [file.read_bytes() for file in (verify.allowed_signers_file, verify.keyring_file) if file is not None]
        shown = (self._configured.ref, self._configured.path, str(verify.policy), *sorted(self._configured.accept))
        caps = (self._configured.max_bytes, self._configured.max_file_bytes, self._configured.max_files)
        return digest.of_parts((*shown, *map(str, caps), *(digest.of_bytes(one) for one in keys)))

    def require_settings(self) -> None:
        """Ask nobody: raises `ControllerError("SettingsInvalid")` for what `fetch` would never take."""
        self._access()

    def _access(self) -> git_command.Access:
        """The address and the credentials. Raises `ControllerError("SettingsInvalid")`."""
        given = self._configured
        password = secret_values.read(given.password, given.password_file, "source.git.password") or ""
        scheme = git_refs.scheme(given.url)
        problems = (
            ("url", git_refs.url_problem(given.url, credentials=bool(password))),
            ("ref", git_refs.ref_problem(given.ref)),
            ("path", git_refs.path_problem(given.path)),
            ("known_hosts_file", "" if scheme != "ssh" or given.known_hosts_file else "is required with ssh"),
            ("password", "is for http and https" if password and scheme not in ("http", "https") else ""),
            ("verify", git_signatures.problem(given.verify)),
        )
        for key, wrong in problems:
            if wrong:
                raise errors.ControllerError("SettingsInvalid", f"source.git.{key}: {wrong}")
        return git_command.Access(
            url=given.url,
            scheme=scheme,
            username=given.username or "",
            password=password,
            ca_file=_absolute(given.ca_file),
            proxy=given.proxy or "",
            ssh_key_file=_absolute(given.ssh_key_file),
            known_hosts_file=_absolute(given.known_hosts_file),
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time below the folder: a look of another command may come between."""
        try:
            self._checkouts.mkdir(mode=0o700, parents=True, exist_ok=True)
            for place in (self._folder.parent, self._folder, self._checkouts, self._folder / "mirror.git"):
                _close_to_others(place)
        except OSError as error:
            text = f"{self._folder}: cannot be made: {error.strerror}"
            raise errors.ControllerError("SettingsInvalid", text) from None
        with self._locked(self._folder, wait_s=self._deadline_s):
            yield

    @contextlib.contextmanager
    def _locked(self, folder: Path, *, wait_s: float) -> Iterator[None]:
        def pause(seconds: float) -> None:
            self._check()
            self._clock.sleep(seconds)

        lock = merge_lock.DirectoryLock(folder, wait_s=wait_s, monotonic=self._clock.monotonic_s, sleep=pause)
        with translate.failures():
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @property
    def _checkouts(self) -> Path:
        return self._folder / "checkouts"

    @property
    def _floor(self) -> Path:
        """Of the target, whatever address it follows."""
        return self._folder.parent / "applied"

    @property
    def _memo(self) -> Path:
        return self._folder / "known.json"

    def _known(self) -> _Known | None:
        """What is remembered; a memo that cannot be read is none."""
        try:
            found = json.loads(self._memo.read_bytes())
            known = _Known(**{**found, "left_out": tuple(found["left_out"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return known if re.fullmatch("[0-9a-f]{40,64}", known.tree) else None

    def _clear_others(self) -> None:
        """What is left of addresses that this target followed before, unless somebody still looks there."""
        for place in self._folder.parent.iterdir():
            if place != self._folder and re.fullmatch("[0-9a-f]{16}", place.name):
                if git_tree.in_use(place / "checkouts"):
                    continue
                with contextlib.suppress(errors.ControllerError), self._locked(place, wait_s=0.0):
                    shutil.rmtree(place, ignore_errors=True)

    def _clear(self, keep: frozenset[str]) -> None:
        """The checkout before stays for whoever begins to read it, and one that is read, by a build that takes long,
        until that ends."""
        for place in list(git_tree.others(self._checkouts, keep)):
            if not git_tree.is_leased(place):
                git_tree.drop(place)


def _peeled(git: git_command.Git, place: Path, wanted: git_refs.Remote) -> git_refs.Remote:
    """The commit as the clone has it: a name may stand for a tag of a tag."""
    words = ("rev-parse", "--verify", "--end-of-options", f"{wanted.object_id}^{{commit}}")
    commit = git.answer(*words, repository=place).decode("ascii").strip()
    return git_refs.Remote(wanted.name, wanted.object_id, commit)


def _require_tree(git: git_command.Git, place: Path, wanted: git_refs.Remote, path: str) -> None:
    if path:
        words = ("ls-tree", "-z", "--full-tree", "-d", wanted.commit, "--", path)
        if not git.answer(*words, repository=place):
            text = f"source.git.path {path}: there is no such folder in commit {wanted.commit}"
            raise errors.ControllerError("SourceMissing", text)


def _close_to_others(place: Path) -> None:
    """A private repository is nothing for other users of the machine; folders from before may be open to them."""
    if place.is_dir() and stat.S_IMODE(place.stat().st_mode) != 0o700:
        place.chmod(0o700)


def _absolute(path: Path | None) -> Path | None:
    """Git runs in a folder of its own."""
    return None if path is None else path.absolute()


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
