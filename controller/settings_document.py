"""`controller.yml` as it was written: its value, where each key stands, and where its relative paths begin.

Reads the file for `controller.settings` and `controller.targets`. Knows which settings are paths, and nothing else of
what they mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller import errors
from core import problems

_PATHS = (
    ("source", "directory", "path"),
    ("source", "git", "password_file"),
    ("source", "git", "ca_file"),
    ("source", "git", "ssh_key_file"),
    ("source", "git", "known_hosts_file"),
    ("source", "git", "verify", "allowed_signers_file"),
    ("source", "git", "verify", "keyring_file"),
    ("http", "webhook_secret_file"),
    ("notify", "url_file"),
    ("config_dir",),
    ("state_dir",),
    ("clones_dir",),
    ("secrets", "env_file"),
    ("stack", "compose_files"),
    ("stack", "env_file"),
    ("stack", "project_directory"),
)
"""Settings that are paths of this machine, or lists of them."""


@dataclass(frozen=True, slots=True)
class Document:
    """What the file says for one `Settings`.

    `value` is as it was written; `positions` has line and column of its keys. `target` is the one of `targets` that all
    this is for, "" for none: then `written` has the paths under which the keys stand in the file.
    """

    file: Path | None = None
    value: dict[str, Any] = field(default_factory=dict)
    positions: Mapping[problems.KeyPath, tuple[int, int]] = field(default_factory=dict)
    written: Mapping[problems.KeyPath, problems.KeyPath] = field(default_factory=dict)
    target: str = ""

    def problem(self, path: problems.KeyPath, message: str) -> problems.Problem:
        """What is wrong at this path, at the nearest place that the file has for it."""
        parts = [path[:end] for end in range(len(path), 0, -1)]
        nearest = next((part for part in parts if part in self.positions), ())
        line, column = self.positions.get(nearest, (0, 0)) if nearest or self.target else (0, 0)
        key = problems.format_path(self.written.get(nearest, nearest) + path[len(nearest) :])
        return problems.Problem(str(self.file) if line else "settings", line, column, key, message)


def invalid(*found: problems.Problem) -> errors.ControllerError:
    """The refusal of settings, with everything that is wrong in them; what is told twice is told once."""
    once = tuple(dict.fromkeys(found))
    summary = f"{len(once)} problem{'s' if len(once) > 1 else ''} in the settings"
    return errors.ControllerError("SettingsInvalid", summary, once)


def read(file: Path | None) -> Document:
    """The document of a file, of None an empty one. Relative paths in it begin at its folder.

    Raises `ControllerError("SettingsInvalid")` when it cannot be read, or is no mapping.
    """
    if file is None:
        return Document()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise errors.ControllerError("SettingsInvalid", f"{file}: {error.strerror}") from None
    # Not at the top: a command without a file must not pay for loading the YAML library.
    from manifests import yaml_text

    parsed = yaml_text.parse(content, file=str(file), positions_depth=None)
    if parsed.problems:
        raise invalid(*parsed.problems)
    if parsed.value is None:
        return Document(file)
    if not isinstance(parsed.value, dict):
        raise errors.ControllerError("SettingsInvalid", f"{file}: must be a mapping")
    return Document(file, from_folder(parsed.value, file.parent), parsed.positions)


def from_folder(section: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same settings with their relative paths made to begin at this folder. What was written may stand in several
    places (an alias of YAML), so it is never changed itself."""
    for path in _PATHS:
        section = _moved(section, path, folder)
    return section


def _moved(value: Any, path: tuple[str, ...], folder: Path) -> Any:
    if path:
        if isinstance(value, list):
            return [_moved(one, path, folder) for one in value]
        if not isinstance(value, dict) or path[0] not in value:
            return value
        return {**value, path[0]: _moved(value[path[0]], path[1:], folder)}
    if isinstance(value, list):
        return [_moved(one, (), folder) for one in value]
    return str(folder / value) if isinstance(value, str) and value else value
