"""The directory source: which folder and which manifest the settings mean, and the same for single files.

Finds the manifest (`--manifest`, or the only one below the folder, or the one of `--project` and `--env`); reading is
`manifests.checkout`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from controller import clock, errors, report, settings, translate
from core import grammar, runtime_config, secrets
from core import problems as found
from manifests import checkout, discovery, fingerprint, sync_ids, yaml_builder


def rules(configured: settings.Settings) -> checkout.Rules:
    """How documents are read."""
    return checkout.Rules(
        require_ids=configured.manifest.require_ids,
        allowed_names=grammar.DEFAULT_NAMES | frozenset(configured.manifest.gateway_env),
        limits=yaml_builder.Limits(max_bytes=configured.manifest.max_bytes),
    )


def locate(configured: settings.Settings) -> checkout.Source:
    """The folder and the manifest in it. Raises `ControllerError` when no source is set, and what
    `manifests.discovery.select` raises when none or several manifests would do."""
    source = configured.source.directory
    if source is None:
        raise errors.ControllerError("SettingsInvalid", "no source is set: pass --source DIR")
    wanted = configured.manifest
    manifest = wanted.path or discovery.only(source.path, project=wanted.project, env=wanted.env)
    return checkout.Source(source.path, manifest, source.allow_outside)


def secret_names(configured: settings.Settings) -> frozenset[str]:
    """Names (never values) that the environment and the secret file set: contract.md section 7."""
    present = frozenset(os.environ)
    file = configured.secrets.env_file
    if file is None:
        return present
    try:
        return present | secrets.names_in(file.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise errors.ControllerError("SettingsInvalid", f"{file}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Validation:
    """What `manifest validate` found in one artifact. `contents` counts its items when it is valid."""

    path: Path
    problems: tuple[found.Problem, ...]
    contents: str

    @property
    def invalid(self) -> bool:
        """Whether one of the problems is an error."""
        return any(problem.severity is found.Severity.ERROR for problem in self.problems)


def validate(path: Path, reading: checkout.Rules) -> Validation:
    """Check one artifact.yml, or the only one below a folder, with every document of every entry.

    Raises `ControllerError` when there is nothing to check; what breaks the contract is in the result.
    """
    store = fingerprint.MemoryStore()
    try:
        with translate.failures():
            folder = path if path.is_dir() else path.parent
            name = discovery.only(path) if path.is_dir() else path.name
            source = checkout.Source(folder, name, allow_outside=not path.is_dir())
            checked = checkout.scan(source, store, now_ns=clock.Clock().now_ns, rules=reading)
            entries = checkout.load_entries(checked, store)
    except errors.ControllerError as error:
        if error.reason != "ArtifactInvalid":
            raise
        return Validation(path, error.problems, "")
    folded = runtime_config.fold(entries, revision=checked.revision, warnings=checked.warnings)
    return Validation(path, folded.warnings, report.contents(folded.items.values()))


def discover(folder: Path) -> tuple[discovery.Candidate, ...]:
    """Every artifact.yml below a folder."""
    with translate.failures():
        return discovery.candidates(folder)


def synchronise(file: Path, *, write: bool) -> tuple[sync_ids.Difference, ...]:
    """The entries whose id is not the computed one; written into the file when `write`."""
    with translate.failures():
        try:
            return sync_ids.sync(file) if write else sync_ids.check(file)
        except OSError as error:
            raise errors.ControllerError("Unwritable", f"{file}: {error.strerror}") from None
