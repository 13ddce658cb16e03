"""Settings: flags over environment over `controller.yml` over defaults (design.md section 9).

Owns the shape of `controller.yml`, its JSON Schema, and the errors of a wrong one. Nobody else reads the environment
for settings. Only settings that do something exist; an unknown key is an error that names the nearest one. A relative
path in `controller.yml` begins at the folder of that file; one in a flag or a variable begins where the command runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import pydantic_settings

from controller import errors, settings_environment, settings_errors, settings_sections
from core import problems
from manifests import yaml_text

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
    ("secrets", "env_file"),
    ("stack", "compose_files"),
    ("stack", "env_file"),
    ("stack", "project_directory"),
)
"""Settings that are paths of this machine, or lists of them."""


class Settings(pydantic_settings.BaseSettings):
    """controller.yml"""

    model_config = pydantic_settings.SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=settings_environment.ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        enable_decoding=False,  # a variable holds a value, not JSON
        title="controller.yml",
    )

    name: settings_sections.Name = "default"
    source: settings_sections.Source = settings_sections.Source()
    manifest: settings_sections.Manifest = settings_sections.Manifest()
    config_dir: settings_sections.Place | None = pydantic.Field(
        default=None, description="CONFIG_DIR; a relative path begins at the folder of controller.yml"
    )
    state_dir: settings_sections.Place | None = pydantic.Field(
        default=None,
        description="default CONFIG_DIR/.controller; a relative path begins at the folder of controller.yml",
    )
    secrets: settings_sections.Secrets = settings_sections.Secrets()
    stack: settings_sections.Stack = settings_sections.Stack()
    registry: settings_sections.RegistrySettings = settings_sections.RegistrySettings()
    images: settings_sections.Images = settings_sections.Images()
    docker: settings_sections.Docker = settings_sections.Docker()
    deadlines: settings_sections.Deadlines = settings_sections.Deadlines()
    policy: settings_sections.PolicySettings = settings_sections.PolicySettings()
    interval: settings_sections.Period = pydantic.Field(
        default=30.0, description="between two looks at everything; at least 100ms"
    )
    rescan: settings_sections.Period = pydantic.Field(
        default=30.0, description="between two looks at the source; at least 100ms"
    )
    retry: settings_sections.Retry = settings_sections.Retry()
    stall: settings_sections.Stall = settings_sections.Stall()
    drain: settings_sections.Duration = pydantic.Field(
        default=10.0, description="how long a provisioner that runs is waited for when the controller is told to end"
    )
    http: settings_sections.Http = settings_sections.Http()
    log: settings_sections.Log = settings_sections.Log()
    notify: settings_sections.Notify = settings_sections.Notify()
    lock_wait: settings_sections.Duration = pydantic.Field(
        default=30.0, description="how long to wait for another controller"
    )
    keep_applied: int = pydantic.Field(default=10, ge=1, le=1000, description="document sets kept for rollback")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[pydantic_settings.BaseSettings],
        init_settings: pydantic_settings.PydanticBaseSettingsSource,
        env_settings: pydantic_settings.PydanticBaseSettingsSource,
        dotenv_settings: pydantic_settings.PydanticBaseSettingsSource,
        file_secret_settings: pydantic_settings.PydanticBaseSettingsSource,
    ) -> tuple[pydantic_settings.PydanticBaseSettingsSource, ...]:
        """Only `load` builds settings; it hands in flags and file, and the library reads the environment between."""
        del dotenv_settings, file_secret_settings
        flags, document = init_settings.init_kwargs["flags"], init_settings.init_kwargs["document"]  # type: ignore[attr-defined]  # the library types it as the base class
        return (
            pydantic_settings.InitSettingsSource(settings_cls, flags),
            env_settings,
            pydantic_settings.InitSettingsSource(settings_cls, _nested(settings_environment.from_files(_variables()))),
            pydantic_settings.InitSettingsSource(settings_cls, _nested(settings_environment.from_contract_names())),
            pydantic_settings.InitSettingsSource(settings_cls, document),
        )


def load(file: Path | None, flags: Mapping[tuple[str, ...], Any]) -> Settings:
    """Read `controller.yml` (None: none), the environment and the flags given as ``{("policy", "strict"): True}``.

    Raises `ControllerError("SettingsInvalid")` with every wrong key, its place and the nearest right one.
    """
    unknown = settings_environment.unknown(_variables())
    if unknown:
        raise errors.ControllerError("SettingsInvalid", _summary(unknown), unknown)
    document, positions = _read(file)
    given = _Given(flags, file, positions)
    try:
        return Settings(flags=_nested(flags), document=document)  # type: ignore[call-arg]  # see settings_customise_sources
    except pydantic.ValidationError as error:
        found = tuple(_problem(detail, given) for detail in error.errors(include_input=False))
        raise errors.ControllerError("SettingsInvalid", _summary(found), found) from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `controller.yml`, as published in docs/schema."""
    schema = Settings.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _summary(found: tuple[problems.Problem, ...]) -> str:
    return f"{len(found)} problem{'s' if len(found) > 1 else ''} in the settings"


def _read(file: Path | None) -> tuple[dict[str, Any], Mapping[problems.KeyPath, tuple[int, int]]]:
    if file is None:
        return {}, {}
    try:
        content = file.read_bytes()
    except OSError as error:
        raise errors.ControllerError("SettingsInvalid", f"{file}: {error.strerror}") from None
    parsed = yaml_text.parse(content, file=str(file), positions_depth=None)
    if parsed.problems:
        raise errors.ControllerError("SettingsInvalid", _summary(parsed.problems), parsed.problems)
    if parsed.value is None:
        return {}, {}
    if not isinstance(parsed.value, dict):
        raise errors.ControllerError("SettingsInvalid", f"{file}: must be a mapping")
    return _from_its_folder(parsed.value, file.parent), parsed.positions


def _from_its_folder(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The document with its relative paths made to begin at the folder that it stands in."""
    for *sections, last in _PATHS:
        branch: Any = document
        for part in sections:
            branch = branch.get(part) if isinstance(branch, dict) else None
        if not isinstance(branch, dict):
            continue
        given = branch.get(last)
        if isinstance(given, str) and given:
            branch[last] = str(folder / given)
        elif isinstance(given, list):
            branch[last] = [str(folder / one) if isinstance(one, str) and one else one for one in given]
    return document


def _variables(
    model: type[pydantic.BaseModel] | None = None, above: tuple[str, ...] = ()
) -> dict[str, tuple[str, ...]]:
    """Every environment variable that sets something, with the path of its setting. Sections have none."""
    found: dict[str, tuple[str, ...]] = {}
    for name, field in (model or Settings).model_fields.items():
        path = (*above, name)
        candidates = (field.annotation, *getattr(field.annotation, "__args__", ()))
        sections = [one for one in candidates if isinstance(one, type) and issubclass(one, pydantic.BaseModel)]
        if not sections:
            found[settings_environment.ENV_PREFIX + "__".join(path).upper()] = path
        for section in sections:
            found |= _variables(section, path)
    return found


def _nested(flat: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        if value is None:
            continue
        branch = tree
        for part in path[:-1]:
            branch = branch.setdefault(part, {})
        branch[path[-1]] = value
    return tree


@dataclass(frozen=True, slots=True)
class _Given:
    """Where values came from: the flags, and the file with the places of its keys."""

    flags: Mapping[tuple[str, ...], Any]
    file: Path | None
    positions: Mapping[problems.KeyPath, tuple[int, int]]


def _problem(detail: Any, given: _Given) -> problems.Problem:
    """One wrong setting, at the place where the value that counts stands: a flag, a variable, a line of the file."""
    path = tuple(part for part in detail["loc"] if part not in ("flags", "document"))
    message = settings_errors.sentence(detail)
    if detail["type"] == "extra_forbidden":
        message = "no such setting" + settings_environment.nearest(str(path[-1]), _keys_of(path[:-1]))
    key = problems.format_path(path)
    parts = [path[:end] for end in range(len(path), 0, -1)]
    if any(given.flags.get(part) is not None for part in parts):
        return problems.Problem("settings", 0, 0, key, message)
    variable = settings_environment.setting(_variables(), path)
    if variable is not None:
        return problems.Problem("environment", 0, 0, variable, message)
    line, column = next((given.positions[part] for part in parts if part in given.positions), (0, 0))
    return problems.Problem(str(given.file) if line else "settings", line, column, key, message)


def _keys_of(section: problems.KeyPath) -> list[str]:
    """The keys that a section may have, sections among them."""
    paths = _variables().values()
    depth = len(section)
    return list(dict.fromkeys(path[depth] for path in paths if path[:depth] == section and len(path) > depth))
