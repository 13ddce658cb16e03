"""The git source: a repository that is followed, read from one resolved commit (design.md section 1).

Owns the order: ask what the ref names, fetch it if it is new, require its signature, require that it does not go back,
take its tree to the disk. An unchanged remote costs one call. The revision is the digest of the content, as for every
source; the commit is kept beside it, so that commits which change nothing below `path` change nothing at all. Targets
may share a clone: each keeps its own floor, the newest commit that it applied.
"""

import contextlib
import re
import shutil
import stat
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from controller import clock, errors, secret_values, settings_sources, translate
from controller.sources import git_command, git_memos, git_mirror, git_signatures, git_tree, shared_fetches
from core import digest, git_refs
from manifests import merge_lock

_PACKED, _LEAST_BYTES = 2, 16 << 20
"""A pack may be so many times as large as the largest checkout, and always so large: a remote that cannot leave out
files sends those beside `path` too (faults.md E6)."""

_PATIENCE_S = 15.0
"""Who waits for another target's fetch waits so much longer than that may take, in seconds, to hear how it ended."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A commit as it lies on the disk: `root` is the folder of artifacts. `left_out` are links and submodules."""

    commit: str
    ref: str
    root: Path
    left_out: tuple[str, ...] = ()
    lease: object = field(default=None, compare=False)
    """The checkout stays for as long as this is kept."""
    at: str = ""
    """When it was found in order, for people: of a checkout that serves while the remote is away."""


class Repository:
    """One remote below `folder`, which is made. `check` raises when the work should end; `counted` hears every git
    command. `floor` is the target's own file for the newest applied commit, `followed` are all repositories that it
    follows: clones of others, which no target uses, are removed. `shared` knows what others in this process heard."""

    def __init__(  # noqa: PLR0913 - what surrounds a remote, by name
        self,
        configured: settings_sources.GitSource,
        folder: Path,
        *,
        deadline_s: float,
        check: Callable[[], None] = lambda: None,
        counted: Callable[[str], object] = str,
        machine: clock.Clock = clock.Clock(),
        floor: Path | None = None,
        followed: tuple[settings_sources.GitSource, ...] = (),
        shared: shared_fetches.Member | None = None,
    ) -> None:
        self._configured = configured
        self._folder = folder.absolute() / _clone_of(configured)
        self._floor = floor or folder.absolute() / "applied"
        self._memos = git_memos.Memos(self._folder, self._floor)
        self._followed = followed or (configured,)
        self._shared = shared or shared_fetches.SharedFetches(machine).member()
        self._deadline_s = deadline_s
        self._check = check
        self._counted = counted
        self._clock = machine

    def fetch(self, highest: str) -> Fetched:
        """What the ref names now, on the disk. `highest` is the newest commit that was applied, "" for none.

        Raises `ControllerError`: "SettingsInvalid", "SourceUnavailable", "RefMissing", "SourceUntrusted",
        "SourceRewound", "SourceRefused", "SourceUnreadable".
        """
        access, ref = self._access(), self._configured.ref
        remote = (access.url, access.username, access.password, access.proxy, access.ca_file, access.ssh_key_file)
        self._prepare()
        try:
            found, asked = self._fetched(access, remote, highest)
        except errors.ControllerError as error:
            self._shared.failed(remote, error)
            if error.reason != "SourceRewound" or not self._shared.doubts(remote, ref):
                raise
            found, asked = self._fetched(access, remote, highest)
        if asked:
            self._shared.answered(remote)
        return found

    def _fetched(self, access: git_command.Access, remote: Hashable, highest: str) -> tuple[Fetched, bool]:
        """What the ref names by what is known of the remote, and whether it was asked for that. Nobody has to wait for
        an answer who needs only the clone."""
        ref, began_s, asked = self._configured.ref, self._clock.monotonic_s(), False

        def ask() -> git_refs.Remote:
            nonlocal began_s, asked
            began_s, asked = self._clock.monotonic_s(), True
            return self._mirror(self._git(access, began_s)).resolve(ref)

        wanted = self._shared.resolve(remote, ref, ask, check=self._check)
        waited_s = self._clock.monotonic_s() - began_s if asked else 0.0
        with self._alone():
            git = self._git(access, self._clock.monotonic_s() - waited_s)
            return self._taken(git, self._mirror(git), wanted, self._floors(highest)), asked

    def last_good(self, highest: str) -> Fetched | None:
        """What was found in order last under the same settings and keys, without asking the remote: made again from
        the clone where it is not on the disk any more. None when there is no such thing."""
        with contextlib.suppress(errors.ControllerError, git_command.GitFailed):
            self._prepare()
            with self._alone():
                return self._last_good(highest)
        return None

    def _last_good(self, highest: str) -> Fetched | None:
        known = self._memos.known(self._rules)
        if known is None:
            return None
        git = self._git(self._access(), self._clock.monotonic_s(), offline=True)
        mirror = self._mirror(git)
        if not git_tree.is_whole(self._checkouts / known.tree) and not mirror.has(known.commit):
            return None
        wanted = git_refs.Remote(known.ref, known.object_id, known.commit)
        return self._taken(git, mirror, wanted, self._floors(highest))

    def _git(self, access: git_command.Access, began_s: float, *, offline: bool = False) -> git_command.Git:
        """Git for what began at this monotonic time: all calls of one look share a deadline."""
        until_s = began_s + self._deadline_s
        most_bytes = max(_PACKED * self._configured.max_bytes, _LEAST_BYTES)
        kind = git_mirror.Offline if offline else git_command.Git
        return kind(
            access, self._folder, self._deadline_s, until_s, self._check, self._counted, self._clock, most_bytes
        )

    def _mirror(self, git: git_command.Git) -> git_mirror.Mirror:
        return git_mirror.Mirror(git, self._folder, limit_bytes=self._configured.max_file_bytes)

    def _taken(
        self, git: git_command.Git, mirror: git_mirror.Mirror, wanted: git_refs.Remote, floors: tuple[str, ...]
    ) -> Fetched:
        """The commit on the disk: as it was found in order before, or found so now."""
        known = self._memos.known(self._rules)
        if known is None or not self._still_holds(known, wanted, floors):
            known = self._take(git, mirror, wanted, floors)
            self._clear_others()
        mirror.tidy(wanted, history=any(floor != known.commit for floor in floors))
        root = self._checkouts / known.tree
        return Fetched(known.commit, wanted.name, root, known.left_out, git_tree.lease(root), known.at)

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
                git_memos.replace(self._floor, f"{commit}\n")

    def _floors(self, highest: str) -> tuple[str, ...]:
        """Every commit that the remote must not go behind."""
        return tuple(sorted({highest, self.highest()} - {""}))

    def last_taken(self) -> tuple[str, str]:
        """Ref and commit that were last found in order; "" for none. Asks nobody."""
        known = self._memos.known(self._rules)
        return (known.ref, known.commit) if known else ("", "")

    def _take(
        self, git: git_command.Git, mirror: git_mirror.Mirror, wanted: git_refs.Remote, floors: tuple[str, ...]
    ) -> git_memos.Known:
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
        before = self._memos.known(self._rules)
        again = before is not None and before.commit == wanted.commit
        seen = " ".join(sorted({*floors, *(before.after.split() if before and again else ())}))
        at = before.at if before and again else clock.iso(self._clock.utc())
        known = git_memos.Known(wanted.commit, wanted.object_id, tree, seen, self._rules, left_out, wanted.name, at)
        self._memos.keep(known)
        self._memos.sweep()
        self._clear(self._memos.trees() | {before.tree if before else tree})
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

    def _still_holds(self, known: git_memos.Known, wanted: git_refs.Remote, floors: tuple[str, ...]) -> bool:
        return (
            known.commit == wanted.commit
            and known.object_id == wanted.object_id
            and known.rules == self._rules
            and set(floors) <= {known.commit, *known.after.split()}
            and git_tree.is_whole(self._checkouts / known.tree)
        )

    @property
    def _rules(self) -> str:
        return _rules_of(self._configured)

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

    def _prepare(self) -> None:
        """Make the folders, and say that this target uses them."""
        try:
            self._floor.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # by which a target is known to live
            self._checkouts.mkdir(mode=0o700, parents=True, exist_ok=True)
            for place in (self._folder.parent, self._folder, self._checkouts, self._folder / "mirror.git"):
                _close_to_others(place)
            self._memos.mark(frozenset(self._used()))
        except OSError as error:
            text = f"{self._folder}: cannot be made: {error.strerror}"
            raise errors.ControllerError("SettingsInvalid", text) from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time below the folder: a look of another command may come between."""
        with self._locked(self._folder, wait_s=self._deadline_s + _PATIENCE_S):
            yield

    def _used(self) -> Iterator[str]:
        """The memos of this target in this clone."""
        for one in self._followed:
            if one.url == self._configured.url:
                with contextlib.suppress(OSError):
                    yield git_memos.name_of(_rules_of(one))

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

    def _clear_others(self) -> None:
        """What is left of addresses that this target followed before, unless another target follows them, or somebody
        still looks there."""
        own = {_clone_of(one) for one in self._followed}
        for place in self._folder.parent.iterdir():
            if place.name not in own and re.fullmatch("[0-9a-f]{16}", place.name):
                if not git_memos.Memos(place, self._floor).leave() or git_tree.in_use(place / "checkouts"):
                    continue
                with contextlib.suppress(errors.ControllerError), self._locked(place, wait_s=0.0):
                    shutil.rmtree(place, ignore_errors=True)

    def _clear(self, keep: frozenset[str]) -> None:
        """The checkout before stays for whoever begins to read it, and one that is read, by a build that takes long,
        until that ends."""
        for place in list(git_tree.others(self._checkouts, keep)):
            if not git_tree.is_leased(place):
                git_tree.drop(place)


def _clone_of(configured: settings_sources.GitSource) -> str:
    """The name of the clone's folder."""
    return digest.of_parts((configured.url,)).rpartition(":")[2][:16]


def _rules_of(configured: settings_sources.GitSource) -> str:
    """The settings, and the keys, that decide whether a commit is taken; and who asks for it, so that nobody is shown
    what another one's credentials brought. A password itself is in no digest."""
    verify = configured.verify
    keys = [file.read_bytes() for file in (verify.allowed_signers_file, verify.keyring_file) if file is not None]
    shown = (configured.ref, configured.path, str(verify.policy), *sorted(configured.accept))
    caps = (configured.max_bytes, configured.max_file_bytes, configured.max_files)
    who = (configured.username, configured.password_file, configured.ssh_key_file, configured.password is not None)
    return digest.of_parts((*shown, *map(str, caps), *map(str, who), *(digest.of_bytes(one) for one in keys)))


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
