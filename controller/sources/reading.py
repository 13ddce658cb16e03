"""From the settings to a checkout, whatever the source is: a folder, or a commit of a repository.

Part of `controller.target`. Owns that a folder is waited for while it is being written, and that a clone is kept where
no consumer of CONFIG_DIR sees it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from controller import clock, errors, settings, settings_sections, translate
from controller.sources import directory, settling
from core import problems
from manifests import checkout, fingerprint


@dataclass(frozen=True, slots=True)
class Read:
    """A checkout; `commit` is the one that it was taken from, "" for a folder."""

    checkout: checkout.Checkout
    commit: str = ""


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
            return Read(self._of_folder(rules))
        found = self.settle.settled(
            lambda: self._of_folder(rules), identity=lambda found: found.revision, pause=self.pause
        )
        return Read(found)

    def _of_folder(self, rules: checkout.Rules) -> checkout.Checkout:
        with translate.failures():
            return self._scan(directory.locate(self.configured), rules)

    def _of_commit(self, configured: settings_sections.GitSource, rules: checkout.Rules, highest: str) -> Read:
        from controller.sources import git

        self._refuse_shared_state()
        repository = git.Repository(
            configured,
            self.state_dir / "source",
            deadline_s=self.configured.deadlines.git,
            check=self.check,
            machine=self.machine,
        )
        fetched = repository.fetch(highest)
        with translate.failures():
            source = directory.located(fetched.root, self.configured.manifest, allow_outside=False)
            found = self._scan(source, rules)
        left_out = (_left_out(path) for path in fetched.left_out)
        return Read(replace(found, warnings=(*found.warnings, *left_out)), fetched.commit)

    def _scan(self, source: checkout.Source, rules: checkout.Rules) -> checkout.Checkout:
        return checkout.scan(source, self.store, now_ns=self.machine.now_ns, rules=rules)

    def _refuse_shared_state(self) -> None:
        """The gateway mounts CONFIG_DIR; a clone of a private repository is nothing for it."""
        shown = self.configured.config_dir
        if shown is not None and Path(os.path.realpath(self.state_dir)).is_relative_to(os.path.realpath(shown)):
            text = "state_dir must be outside of CONFIG_DIR with a git source: its consumers must not see the clone"
            raise errors.ControllerError("SettingsInvalid", text)


def _left_out(path: str) -> problems.Problem:
    message = "is a link or a submodule: it is left out of what is read from a repository"
    return problems.Problem(path, 0, 0, "", message, problems.Severity.WARNING)
