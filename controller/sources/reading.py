"""From the settings to a checkout, whatever the source is: a folder, or a commit of a repository, or several in order.

Part of `controller.target`. Owns that a folder is waited for while it is being written, that a clone is kept where no
consumer of CONFIG_DIR sees it, and that the last good checkout of a repository serves while no source answers.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller import clock, errors, retry, settings, settings_sections, settings_sources, translate
from controller.sources import directory, order, settling, shared_fetches, taken, writers
from core import conditions, problems, record
from manifests import checkout, config_dir, fingerprint

if TYPE_CHECKING:
    from controller.sources import git

_RECENTLY_NS = 60_000_000_000
"""A file that was last changed longer ago is not asked about: at the first look of all, every file is new."""

_FORGOTTEN = "which commit was applied last is not known either: whether the remote went back could not be seen"


@dataclass(frozen=True, slots=True)
class Read:
    """A checkout; `commit` is the one that it was taken from and `ref` what named that, "" for a folder. The
    files of a commit stay for as long as `lease` is kept; `at` is when that commit was found in order. `statement` is
    the condition ``SourceReady``; `origin` is the identity of the source; `stood_in` says that others are away. With
    `away`, no source answers, and this is the last good checkout."""

    checkout: checkout.Checkout
    commit: str = ""
    ref: str = ""
    lease: object = None
    at: str = ""
    statement: conditions.Statement = ("True", "Read", "")
    origin: str = ""
    stood_in: bool = False
    away: errors.ControllerError | None = None

    @property
    def revision(self) -> str:
        """The identity of the content."""
        return self.checkout.revision

    @property
    def notes(self) -> tuple[str, ...]:
        """What a pass has to say of the source besides what it did."""
        return (f"{self.statement[1]}: {self.statement[2]}",) if self.stood_in and self.away is None else ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What surrounds the reading of a source: the patience with folders, if there is to be any; `pause` waits and
    `check` asks whether to go on: both may raise to end all this. `shared` is what this process heard of remotes."""

    settle: Mapping[Path, settling.Settling]
    pause: Callable[[float], None]
    check: Callable[[], None]
    machine: clock.Clock
    shared: shared_fetches.Member = field(default_factory=lambda: shared_fetches.SharedFetches().member())


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the source of one target."""

    configured: settings.Settings
    store: fingerprint.Store
    state_dir: Path
    around: Surroundings

    def read(self, rules: checkout.Rules, *, known: Callable[[], record.Record]) -> Read:
        """The first source that answers, or the last good checkout while none does. `known` tells the record. Raises
        `ControllerError`."""
        listed = order.places(self.configured.source)
        if not listed:
            directory.chosen(self.configured)
        try:
            answer = order.first(
                listed,
                lambda place: self._of(place.source, rules, known),
                lambda: self._applied(known()),
                allow_empty=self.configured.policy.allow_empty,
            )
        except order.Away as away:
            return self._last_good(listed, rules, known, away.error)
        stood_in = bool(answer.passed)
        origin = order.identity(answer.place.source)
        return replace(answer.content, statement=answer.statement, origin=origin, stood_in=stood_in)

    def _of(self, source: settings_sources.Source, rules: checkout.Rules, known: Callable[[], record.Record]) -> Read:
        if source.git is not None:
            _refuse_shared_state(self.configured, self.state_dir)
            return self._of_commit(self._repository(source.git).fetch(known().commit), rules)
        assert source.directory is not None  # noqa: S101 - `Sources.each` has one of the two
        return self._of_folder(source.directory, rules)

    def _of_folder(self, source: settings_sources.DirectorySource, rules: checkout.Rules) -> Read:
        settle = self.around.settle.get(source.path)
        if settle is None:
            return Read(self._in_folder(source, rules, self.store))
        noting = writers.Noting(self.store)
        since_ns = max(settle.settled_ns, self.around.machine.now_ns() - _RECENTLY_NS)
        found = settle.settled(
            lambda: self._in_folder(source, rules, noting),
            identity=lambda found: found.revision,
            pause=self.around.pause,
            written=lambda: noting.written(since_ns=since_ns),
        )
        return Read(found)

    def _in_folder(
        self, source: settings_sources.DirectorySource, rules: checkout.Rules, store: fingerprint.Store
    ) -> checkout.Checkout:
        with translate.failures():
            located = directory.located(source.path, self.configured.manifest, allow_outside=source.allow_outside)
            return self._scan(located, rules, store)

    def _of_commit(self, fetched: "git.Fetched", rules: checkout.Rules) -> Read:
        with translate.failures():
            source = directory.located(fetched.root, self.configured.manifest, allow_outside=False)
            found = self._scan(source, rules, self.store)
        left_out = (_left_out(path) for path in fetched.left_out)
        whole = replace(found, warnings=(*found.warnings, *left_out))
        return Read(whole, fetched.commit, fetched.ref, fetched.lease, fetched.at)

    def _last_good(
        self,
        listed: tuple[order.Place, ...],
        rules: checkout.Rules,
        known: Callable[[], record.Record],
        away: errors.ControllerError,
    ) -> Read:
        """The commit that was found in order last, of the first repository that has one which may be used. Of a folder
        nothing is kept. Raises `away` when there is none."""
        for place in listed:
            if place.source.git is None:
                continue
            fetched = self._repository(place.source.git).last_good(known().commit)
            if fetched is None:
                continue
            found = self._of_commit(fetched, rules)
            if not place.stands_in or not order.refusal(place, found, lambda: self._applied(known())):
                serves = f"the last good checkout serves, of commit {fetched.commit} from {fetched.at}"
                statement = ("False", away.reason, f"{away.message}; {serves}")
                return replace(found, statement=statement, origin=order.identity(place.source), away=away)
        raise away

    def _repository(self, configured: settings_sources.GitSource) -> "git.Repository":
        from controller.sources import git

        given = self.configured
        self.around.shared.patience = shared_fetches.Patience(
            min(given.interval, given.rescan) / 2,
            _backoff_of(given.retry),
        )
        return git.Repository(
            configured,
            clones_of(given, self.state_dir),
            deadline_s=given.deadlines.git,
            check=self.around.check,
            machine=self.around.machine,
            floor=self.state_dir / "source" / "applied",
            followed=given.source.gits,
            shared=self.around.shared,
        )

    def applied(self, read: Read | None) -> None:
        """What was read here is applied. None is nobody's."""
        if read is None:
            return
        if read.commit and self.configured.source.git is not None:
            self._repository(self.configured.source.git).applied(read.commit)
        if len(self.configured.source.each) > 1 and read.away is None:
            self._note(read)

    def _note(self, read: Read) -> None:
        """Note where it came from. What stands in and holds the same has brought nothing."""
        noted = taken.read(self.state_dir)
        same = noted.revision == read.revision
        if same and (read.stood_in or (noted.origin, noted.commit) == (read.origin, read.commit)):
            return
        at = clock.iso(self.around.machine.utc())
        taken.write(self.state_dir, taken.Note(read.origin, read.revision, read.commit, at))

    def _applied(self, known: record.Record) -> order.Applied:
        """What is applied here, as far as that is known."""
        note, shown = taken.read(self.state_dir), self.configured.config_dir
        revision = known.applied.revision if known.applied is not None else ""
        anything = bool(revision or note.revision or known.commit or self._floor)
        live = shown is not None and config_dir.observe(shown).generation is not None
        return order.Applied(revision, known.commit or self._floor, note, anything or live)

    @property
    def _floor(self) -> str:
        configured = self.configured.source.git
        return self._repository(configured).highest() if configured is not None else ""

    def completed(self, known: record.Record) -> record.Record:
        """The record; that of a target which has applied something says so when neither it nor the clone tells the
        newest applied commit of a git source any more."""
        shown = self.configured.config_dir
        if self.configured.source.git is None or known.commit or known.applied is not None or self._floor:
            return known
        if not known.rebuilt and (shown is None or config_dir.observe(shown).generation is None):
            return known  # nothing was ever applied here
        return replace(known, rebuilt=f"{known.rebuilt or 'there is no record of this target'}; {_FORGOTTEN}")

    def sources(self) -> list[dict[str, Any]]:
        """The sources in order, for people and programs: see docs/json.md. Asks nobody."""
        noted = taken.read(self.state_dir).origin
        return [
            {
                "kind": place.source.kind,
                "where": order.where(place.source),
                "applied": noted == order.identity(place.source) if noted else None,
            }
            for place in order.places(self.configured.source)
        ]

    def last_taken(self) -> tuple[str, str] | None:
        """Ref and commit of the first git source that were last found in order, without asking the remote: "" for none
        yet. None without a git source."""
        repository = self.configured.source.git
        if repository is None:
            return None
        return self._repository(repository).last_taken()

    def _scan(self, source: checkout.Source, rules: checkout.Rules, store: fingerprint.Store) -> checkout.Checkout:
        return checkout.scan(source, store, now_ns=self.around.machine.now_ns, rules=rules)


def _backoff_of(given: settings_sections.Retry) -> Callable[[int], float]:
    """What counts the waits is loaded only after a failure."""

    def backoff_s(failures: int) -> float:
        return retry.doubling(given.first, given.longest)(failures)

    return backoff_s


def clones_of(configured: settings.Settings, state_dir: Path) -> Path:
    """The folder of clones: the target's own, or one that targets share."""
    return configured.clones_dir or state_dir / "source"


def require_usable(configured: settings.Settings, state_dir: Path) -> None:
    """Look at no source, only at what the settings say of it. Raises `ControllerError("SettingsInvalid")` for what
    `Reader.read` would never take."""
    if not configured.source.each:
        directory.chosen(configured)
    for repository in configured.source.gits:
        from controller.sources import git

        _refuse_shared_state(configured, state_dir)
        deadline_s = configured.deadlines.git
        git.Repository(repository, clones_of(configured, state_dir), deadline_s=deadline_s).require_settings()


def _refuse_shared_state(configured: settings.Settings, state_dir: Path) -> None:
    """The gateway mounts CONFIG_DIR; a clone of a private repository is nothing for it."""
    shown = configured.config_dir
    if shown is None:
        return
    for key, folder in (("state_dir", state_dir), ("clones_dir", configured.clones_dir or state_dir)):
        if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(shown)):
            text = f"{key} must be outside of CONFIG_DIR with a git source: its consumers must not see the clone"
            raise errors.ControllerError("SettingsInvalid", text)


def _left_out(path: str) -> problems.Problem:
    message = "is a link or a submodule: it is left out of what is read from a repository"
    return problems.Problem(path, 0, 0, "", message, problems.Severity.WARNING)
