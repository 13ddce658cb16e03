"""From the settings to a checkout, whatever the source is: a folder, or a commit of a repository.

Part of `controller.target`. Owns that a folder is waited for while it is being written, and that a clone is kept where
no consumer of CONFIG_DIR sees it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from controller import clock, errors, settings, settings_sections, translate
from controller.sources import directory, settling, writers
from core import problems, record
from manifests import checkout, config_dir, fingerprint

if TYPE_CHECKING:
    from controller.sources import git

_RECENTLY_NS = 60_000_000_000
"""A file that was last changed longer ago is not asked about: at the first look of all, every file is new."""

_FORGOTTEN = "which commit was applied last is not known either: whether the remote went back could not be seen"


@dataclass(frozen=True, slots=True)
class Read:
    """A checkout; `commit` is the one that it was taken from and `ref` what named that, "" for a folder. The
    files of a commit stay for as long as `lease` is kept."""

    checkout: checkout.Checkout
    commit: str = ""
    ref: str = ""
    lease: object = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the source of one target. `settle` is the patience with a folder, if there is to be any; `pause` waits and
    `check` asks whether to go on: both may raise to end all this."""

    configured: settings.Settings
    store: fingerprint.Store
    state_dir: Path
    settle: settling.Settling | None
    pause: Callable[[float], None]
    check: Callable[[], None]
    machine: clock.Clock

    def read(self, rules: checkout.Rules, *, highest: Callable[[], str]) -> Read:
        """Resolve the source. `highest` tells the newest commit that was applied. Raises `ControllerError`."""
        repository = self.configured.source.git
        if repository is not None:
            return self._of_commit(repository, rules, highest())
        if self.settle is None:
            return Read(self._of_folder(rules, self.store))
        noting = writers.Noting(self.store)
        since_ns = max(self.settle.settled_ns, self.machine.now_ns() - _RECENTLY_NS)
        found = self.settle.settled(
            lambda: self._of_folder(rules, noting),
            identity=lambda found: found.revision,
            pause=self.pause,
            written=lambda: noting.written(since_ns=since_ns),
        )
        return Read(found)

    def _of_folder(self, rules: checkout.Rules, store: fingerprint.Store) -> checkout.Checkout:
        with translate.failures():
            return self._scan(directory.locate(self.configured), rules, store)

    def _of_commit(self, configured: settings_sections.GitSource, rules: checkout.Rules, highest: str) -> Read:
        _refuse_shared_state(self.configured, self.state_dir)
        fetched = self._repository(configured).fetch(highest)
        with translate.failures():
            source = directory.located(fetched.root, self.configured.manifest, allow_outside=False)
            found = self._scan(source, rules, self.store)
        left_out = (_left_out(path) for path in fetched.left_out)
        return Read(replace(found, warnings=(*found.warnings, *left_out)), fetched.commit, fetched.ref, fetched.lease)

    def _repository(self, configured: settings_sections.GitSource) -> "git.Repository":
        from controller.sources import git

        return git.Repository(
            configured,
            self.state_dir / "source",
            deadline_s=self.configured.deadlines.git,
            check=self.check,
            machine=self.machine,
        )

    def applied(self, commit: str) -> None:
        """What was taken from this commit is applied. "" is a folder's, or nobody's."""
        if commit and self.configured.source.git is not None:
            self._repository(self.configured.source.git).applied(commit)

    def completed(self, known: record.Record) -> record.Record:
        """The record; that of a target which has applied something says so when neither it nor the clone tells the
        newest applied commit of a git source any more."""
        configured, shown = self.configured.source.git, self.configured.config_dir
        if configured is None or known.commit or known.applied is not None or self._repository(configured).highest():
            return known
        if not known.rebuilt and (shown is None or config_dir.observe(shown).generation is None):
            return known  # nothing was ever applied here
        return replace(known, rebuilt=f"{known.rebuilt or 'there is no record of this target'}; {_FORGOTTEN}")

    def last_taken(self) -> tuple[str, str] | None:
        """Ref and commit of a git source that were last found in order, without asking the remote: "" for none yet.
        None for other sources."""
        repository = self.configured.source.git
        if repository is None:
            return None
        return self._repository(repository).last_taken()

    def _scan(self, source: checkout.Source, rules: checkout.Rules, store: fingerprint.Store) -> checkout.Checkout:
        return checkout.scan(source, store, now_ns=self.machine.now_ns, rules=rules)


def require_usable(configured: settings.Settings, state_dir: Path) -> None:
    """Look at no source, only at what the settings say of it. Raises `ControllerError("SettingsInvalid")` for what
    `Reader.read` would never take."""
    repository = configured.source.git
    if repository is None:
        directory.chosen(configured)
        return
    from controller.sources import git

    _refuse_shared_state(configured, state_dir)
    git.Repository(repository, state_dir / "source", deadline_s=configured.deadlines.git).require_settings()


def _refuse_shared_state(configured: settings.Settings, state_dir: Path) -> None:
    """The gateway mounts CONFIG_DIR; a clone of a private repository is nothing for it."""
    shown = configured.config_dir
    if shown is not None and Path(os.path.realpath(state_dir)).is_relative_to(os.path.realpath(shown)):
        text = "state_dir must be outside of CONFIG_DIR with a git source: its consumers must not see the clone"
        raise errors.ControllerError("SettingsInvalid", text)


def _left_out(path: str) -> problems.Problem:
    message = "is a link or a submodule: it is left out of what is read from a repository"
    return problems.Problem(path, 0, 0, "", message, problems.Severity.WARNING)
