"""The directory source: which folder and which manifest the settings mean, and the same for single files.

Finds the manifest (`--manifest`, or the only one below the folder, or the one of `--project` and `--env`); reading is
`manifests.checkout`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller import clock, errors, report, settings, settings_sections, settings_sources, translate
from core import grammar, runtime_config, secrets
from core import problems as found
from manifests import checkout, discovery, fingerprint, yaml_builder

if TYPE_CHECKING:
    from manifests import sync_ids


def rules(configured: settings.Settings) -> checkout.Rules:
    """How documents are read."""
    return checkout.Rules(
        require_ids=configured.manifest.require_ids,
        allowed_names=grammar.DEFAULT_NAMES | frozenset(configured.manifest.gateway_env),
        limits=_limits(configured.manifest.max_bytes),
        max_context_bytes=configured.images.max_context_bytes,
    )


def _limits(max_bytes: int) -> yaml_builder.Limits:
    """Whoever allows larger documents allows more values in proportion (docs/adr/0008); fewer bytes need no cap."""
    usual = yaml_builder.DEFAULT_LIMITS
    max_values = max(usual.max_values, usual.max_values * max_bytes // usual.max_bytes)
    return yaml_builder.Limits(max_bytes=max_bytes, max_values=max_values)


def chosen(configured: settings.Settings) -> settings_sources.DirectorySource:
    """The first folder of the settings. Raises `ControllerError` when no source is set."""
    source = configured.source.directory
    if source is None:
        raise errors.ControllerError("SettingsInvalid", "no source is set: pass --source DIR or --git URL")
    return source


def locate(configured: settings.Settings) -> checkout.Source:
    """The folder and the manifest in it. Raises `ControllerError` when no source is set, and what
    `manifests.discovery.select` raises when none or several manifests would do."""
    source = chosen(configured)
    return located(source.path, configured.manifest, allow_outside=source.allow_outside)


def located(root: Path, wanted: settings_sections.Manifest, *, allow_outside: bool) -> checkout.Source:
    """The manifest below a folder. Raises what `locate` raises."""
    manifest = wanted.path or discovery.only(
        root, project=wanted.project, env=wanted.env, limits=_limits(wanted.max_bytes)
    )
    return checkout.Source(root, manifest, allow_outside)


def require_asked(found: checkout.Checkout, wanted: settings_sections.Manifest) -> None:
    """The manifest that was read must be of the project and environment that were asked for, however it was found: a
    manifest that is named, or that changed since it was chosen, is looked at no other way.

    Raises `ControllerError("NoManifest")`.
    """
    pairs = (("project", wanted.project, found.project), ("env", wanted.env, found.env))
    differing = [f"{key} {asked}" for key, asked, actual in pairs if asked not in (None, actual)]
    if differing:
        is_of = f"{os.path.normpath(found.source.manifest)} is project {found.project}, env {found.env}"
        raise errors.ControllerError("NoManifest", f"{is_of}; asked for {', '.join(differing)}")


def refuse_inside(found: checkout.Checkout, folders: Iterable[Path]) -> None:
    """Refuse to write into the artifact: contract.md section 10.5. None of the folders (they need not exist yet) may be
    an artifact root or stand below one, whatever links and mounts lead there. Beside an artifact root, or above it, is
    fine.

    Raises `ControllerError("SettingsInvalid")` that names both.
    """
    roots = {_identity(root): root for root in found.artifact_roots}
    for folder in folders:
        real = Path(os.path.realpath(folder))
        for place in (real, *real.parents):
            identity = _identity(place)
            if identity is not None and identity in roots:
                text = f"{folder} is inside of the artifact root {roots[identity]}, where nothing may be written"
                raise errors.ControllerError("SettingsInvalid", f"{text}: choose another folder")


def _identity(path: Path | str) -> tuple[int, int] | None:
    """By which two names of one folder are told to be the same; None when nothing stands there."""
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


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
    """What `manifest validate` found in one artifact. `contents` counts its items when it is valid; `reason` (a key of
    `errors.MEANINGS`) says what is wrong when it is not; `root` is the folder that the files of `problems` stand in, as
    far as one was read."""

    path: Path
    problems: tuple[found.Problem, ...]
    contents: str
    reason: str = ""
    root: Path | None = None

    @property
    def invalid(self) -> bool:
        """Whether it could not be shown to be valid."""
        return bool(self.reason)


def validate_all(paths: Iterable[Path], reading: checkout.Rules) -> tuple[Validation, ...]:
    """Check every artifact.yml that is named, and every one below the folders that are named. Each is one result: one
    that cannot be read is a result with its reason, and never hides the others (faults.md P11). Never raises."""
    return tuple(result for path in paths for result in _validated(path, reading))


def exit_code(results: Sequence[Validation]) -> int:
    """One code for several artifacts: that of a broken contract as soon as one of them breaks it, else that of the
    first trouble with a source."""
    codes = [errors.MEANINGS[each.reason].exit_code for each in results if each.invalid]
    broken = errors.MEANINGS["ArtifactInvalid"].exit_code
    return broken if broken in codes else next(iter(codes), errors.OK)


def validate(path: Path, reading: checkout.Rules) -> Validation:
    """Check one artifact.yml with every document of every entry; its artifact roots may be anywhere.

    Raises `ControllerError` when there is nothing to check; what breaks the contract is in the result.
    """
    if _is_missing(path):
        raise errors.ControllerError("SourceMissing", f"{path}: no such file or directory")
    return _checked(path, checkout.Source(path.parent, path.name, allow_outside=True), reading)


def validate_source(located: checkout.Source, reading: checkout.Rules) -> Validation:
    """The same for the manifest of a source, whose artifact roots may be where the source says."""
    return _checked(located.root / located.manifest, located, reading)


def _checked(path: Path, source: checkout.Source, reading: checkout.Rules) -> Validation:
    store = fingerprint.MemoryStore()
    try:
        with translate.failures():
            checked = checkout.scan(source, store, now_ns=clock.Clock().now_ns, rules=reading)
            entries = checkout.load_entries(checked, store)
    except errors.ControllerError as error:
        if error.reason != "ArtifactInvalid":
            raise
        return _failed(path, error, root=source.root)
    folded = runtime_config.fold(entries, revision=checked.revision, warnings=checked.warnings)
    return Validation(path, folded.warnings, report.contents(folded.items.values()), root=source.root)


def _validated(path: Path, reading: checkout.Rules) -> Iterator[Validation]:
    try:
        if os.path.isdir(path):
            yield from _below(path, reading)
        else:
            yield validate(path, reading)
    except errors.ControllerError as error:
        yield _failed(path, error)


def _below(folder: Path, reading: checkout.Rules) -> Iterator[Validation]:
    """Every manifest below a folder. When there is just one, the folder's own name will do for it."""
    with translate.failures():
        listed = discovery.required(folder, limits=reading.limits)
    for each in listed:
        path = folder if len(listed) == 1 else folder / each.path
        try:
            if each.unreadable:
                raise errors.ControllerError("SourceUnreadable", f"{folder / each.path}: {each.problem}")
            yield _checked(path, checkout.Source(folder, each.path), reading)
        except errors.ControllerError as error:
            yield _failed(path, error)


def _failed(path: Path, error: errors.ControllerError, *, root: Path | None = None) -> Validation:
    """The failure of one artifact among several, with at least one problem that says why."""
    said = found.Problem(str(path), 0, 0, "", error.message.removeprefix(f"{path}: "))
    return Validation(path, error.problems or (said,), "", error.reason, root)


def _is_missing(path: Path) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # the one who reads it says why
    return False


def discover(folder: Path) -> tuple[discovery.Candidate, ...]:
    """Every artifact.yml below a folder."""
    with translate.failures():
        return discovery.candidates(folder)


def synchronise(file: Path, *, write: bool, require_ids: bool = True) -> tuple["sync_ids.Difference", ...]:
    """The entries whose id is not the computed one; written into the file when `write`. `require_ids` is the setting
    of contract.md section 2."""
    from manifests import sync_ids  # loads the YAML library

    act = sync_ids.sync if write else sync_ids.check
    with translate.failures():
        try:
            return act(file, require_ids=require_ids)
        except OSError as error:
            raise errors.ControllerError("Unwritable", f"{file}: {error.strerror}") from None
