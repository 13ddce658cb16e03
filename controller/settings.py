"""Settings: flags over environment over `controller.yml` over defaults (design.md section 9).

Owns the shape of `controller.yml`, its JSON Schema, and the errors of a wrong one. Nobody else reads the environment
for settings. Only settings that do something exist; an unknown key is an error that names the nearest one.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import pydantic
import pydantic_settings

from controller import errors
from core import policy, problems
from manifests import yaml_text

ENV_PREFIX = "CONTROLLER_"
CONTRACT_NAMES = {"CONFIG_DIR": ("config_dir",)}
"""The contract's own variable names, read with less weight than `CONTROLLER_…` (design.md section 9)."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> object:
    """``30s``, ``5m``, ``2h``, ``500ms`` or a number of seconds, as a number of seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?", value.strip())
    if match is None:
        raise ValueError("write a duration like 30s, 5m or 2h")
    return float(match[1]) * _UNITS[match[2] or "s"]


def _fraction(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", value.strip())):
        return float(match[1]) / 100
    return value


def _number_or(pattern: str, **bounds: float) -> pydantic.WithJsonSchema:
    """The JSON Schema of a number that may also be written as text with its unit."""
    return pydantic.WithJsonSchema({"anyOf": [{"type": "number", **bounds}, {"type": "string", "pattern": pattern}]})


Duration = Annotated[
    float,
    pydantic.BeforeValidator(seconds),
    pydantic.Field(ge=0, le=366 * 86400),
    _number_or(r"^\s*[0-9]+(\.[0-9]+)?(ms|s|m|h|d)?\s*$", minimum=0, maximum=366 * 86400),
]
Fraction = Annotated[
    float,
    pydantic.BeforeValidator(_fraction),
    pydantic.Field(ge=0, le=1),
    _number_or(r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$", minimum=0, maximum=1),
]


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class DirectorySource(_Section):
    """A folder of artifacts."""

    path: Path
    allow_outside: bool = pydantic.Field(default=False, description="let artifact_root leave the source's folder")


class Source(_Section):
    """Where artifacts come from."""

    directory: DirectorySource | None = None


class Manifest(_Section):
    """Which artifact.yml, and how it is read."""

    path: str | None = pydantic.Field(default=None, description="relative to the source; else the only one below it")
    project: str | None = None
    env: str | None = None
    require_ids: bool = True
    max_bytes: int = pydantic.Field(default=8 * 1024 * 1024, gt=0, description="largest document that is read")
    gateway_env: tuple[str, ...] = pydantic.Field(
        default=(), description="further NAMEs that ${NAME} in functions.yml may use"
    )


class Secrets(_Section):
    """Where required secrets are looked for besides the environment."""

    env_file: Path | None = None


class PolicySettings(_Section):
    """What the operator allows; see core.policy."""

    strict: bool = False
    prune: policy.Prune = policy.Prune.OWNED
    self_heal: bool = True
    publish: policy.PublishMode = policy.PublishMode.GENERATION
    max_removed: Fraction = 0.5
    allow_empty: bool = False


class Settings(pydantic_settings.BaseSettings):
    """controller.yml"""

    model_config = pydantic_settings.SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        title="controller.yml",
    )

    name: str = pydantic.Field(default="default", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")
    source: Source = Source()
    manifest: Manifest = Manifest()
    config_dir: Path | None = pydantic.Field(default=None, description="CONFIG_DIR")
    state_dir: Path | None = pydantic.Field(default=None, description="default CONFIG_DIR/.controller")
    secrets: Secrets = Secrets()
    policy: PolicySettings = PolicySettings()
    lock_wait: Duration = pydantic.Field(default=30.0, description="how long to wait for another controller")
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
            pydantic_settings.InitSettingsSource(settings_cls, _from_files(settings_cls)),
            pydantic_settings.InitSettingsSource(settings_cls, _from_contract_names()),
            pydantic_settings.InitSettingsSource(settings_cls, document),
        )


def load(file: Path | None, flags: Mapping[tuple[str, ...], Any]) -> Settings:
    """Read `controller.yml` (None: none), the environment and the flags given as ``{("policy", "strict"): True}``.

    Raises `ControllerError("SettingsInvalid")` with every wrong key, its place and the nearest right one.
    """
    _reject_unknown_variables(Settings)
    document, positions = _read(file)
    try:
        return Settings(flags=_nested(flags), document=document)  # type: ignore[call-arg]  # see settings_customise_sources
    except pydantic.ValidationError as error:
        found = tuple(_problem(detail, file, positions) for detail in error.errors(include_input=False))
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
    return parsed.value, parsed.positions


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


def _from_contract_names() -> dict[str, Any]:
    return _nested({path: os.environ.get(name) or None for name, path in CONTRACT_NAMES.items()})


def _from_files(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """``CONTROLLER_X_FILE`` gives the value of X from a file, for values that should not stand in an environment."""
    given: dict[tuple[str, ...], Any] = {}
    for variable, path in _variables(model).items():
        name = os.environ.get(f"{variable}_FILE")
        if name is not None and f"{variable}_FILE" not in _variables(model):
            try:
                given[path] = Path(name).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                raise errors.ControllerError("SettingsInvalid", f"{variable}_FILE: cannot read {name}") from None
    return _nested(given)


def _variables(model: type[pydantic.BaseModel], above: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Every environment variable that sets something, with the path of its setting."""
    found: dict[str, tuple[str, ...]] = {}
    for name, field in model.model_fields.items():
        path = (*above, name)
        found[ENV_PREFIX + "__".join(path).upper()] = path
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, pydantic.BaseModel):
                found |= _variables(candidate, path)
    return found


def _reject_unknown_variables(model: type[pydantic.BaseModel]) -> None:
    known = _variables(model)
    found = tuple(
        problems.Problem("environment", 0, 0, name, "no such setting" + _nearest(name, known))
        for name in sorted(os.environ)
        if name.startswith(ENV_PREFIX) and name not in known and name.removesuffix("_FILE") not in known
    )
    if found:
        raise errors.ControllerError("SettingsInvalid", _summary(found), found)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _problem(detail: Any, file: Path | None, positions: Mapping[problems.KeyPath, tuple[int, int]]) -> problems.Problem:
    path = tuple(part for part in detail["loc"] if part not in ("flags", "document"))
    line, column = positions.get(path, (0, 0))
    if detail["type"] == "extra_forbidden":
        siblings = [known[-1] for known in _variables(Settings).values() if known[:-1] == path[:-1]]
        message = "no such setting" + _nearest(str(path[-1]), siblings)
    else:
        message = str(detail["msg"]).removeprefix("Value error, ")
    return problems.Problem(str(file) if line else "settings", line, column, problems.format_path(path), message)
