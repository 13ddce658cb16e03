"""Settings: flags over environment over `controller.yml` over defaults (design.md section 9).

Owns the shape of `controller.yml` for one target, and the errors of a wrong one; `controller.targets` makes several of
one file. Nobody else reads the environment for settings. Only settings that do something exist; an unknown key is an
error that names the nearest one. A relative path in `controller.yml` begins at the folder of that file; one in a flag
or a variable begins where the command runs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
import pydantic_settings

from controller import settings_document, settings_environment, settings_errors, settings_sections, settings_sources
from core import problems

OF_PROCESS = ("name", "drain", "http", "log", "notify")
"""Settings of a controller and not of one of its `targets`; the name of a target is its key there."""

AMONG_SEVERAL = frozenset({("after",), ("source", "takes_over")})
"""Settings of one of several `targets`, or of several sources, that mean nothing where there is one."""


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

    name: settings_sections.Name = pydantic.Field(
        default="default", description="how logs and metrics call this target"
    )
    source: settings_sources.Sources = settings_sources.Sources()
    manifest: settings_sections.Manifest = settings_sections.Manifest()
    config_dir: settings_sections.Place | None = pydantic.Field(
        default=None, description="CONFIG_DIR; a relative path begins at the folder of controller.yml"
    )
    state_dir: settings_sections.Place | None = pydantic.Field(
        default=None,
        description="default CONFIG_DIR/.controller; a relative path begins at the folder of controller.yml",
    )
    clones_dir: settings_sections.Place | None = pydantic.Field(
        default=None, description="where clones of git sources live; default STATE_DIR/source, common to all `targets`"
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
    after: settings_sections.Names = pydantic.Field(
        default=(), description="only in one of `targets`: the targets that are converged before it"
    )

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
        environment = env_settings()
        if "source" not in flags:
            document, environment = settings_environment.with_credentials(document, environment)
        return (
            pydantic_settings.InitSettingsSource(settings_cls, flags),
            pydantic_settings.InitSettingsSource(settings_cls, environment),
            pydantic_settings.InitSettingsSource(settings_cls, _nested(settings_environment.from_files(variables()))),
            pydantic_settings.InitSettingsSource(settings_cls, _nested(settings_environment.from_contract_names())),
            pydantic_settings.InitSettingsSource(settings_cls, document),
        )


def load(file: Path | None, flags: Mapping[tuple[str, ...], Any]) -> Settings:
    """Read `controller.yml` (None: none), the environment and the flags given as ``{("policy", "strict"): True}``.

    Raises `ControllerError("SettingsInvalid")` with every wrong key, its place and the nearest right one.
    """
    require_variables()
    return build(settings_document.read(file), flags)


def require_variables() -> None:
    """Raises `ControllerError("SettingsInvalid")` for variables with our prefix that set nothing."""
    unknown = settings_environment.unknown(variables())
    if unknown:
        raise settings_document.invalid(*unknown)


def build(document: settings_document.Document, flags: Mapping[tuple[str, ...], Any]) -> Settings:
    """The settings of a document that was read, as in `load`."""
    if not document.target and "after" in document.value:
        raise settings_document.invalid(document.problem(("after",), "is only in one of `targets`"))
    try:
        return Settings(flags=_nested(flags), document=document.value)  # type: ignore[call-arg]  # see settings_customise_sources
    except pydantic.ValidationError as error:
        found = (_problem(detail, flags, document) for detail in error.errors(include_input=False))
        raise settings_document.invalid(*found) from None


def variables(model: type[pydantic.BaseModel] | None = None, above: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Every environment variable that sets something, with the path of its setting. Sections have none, and neither has
    what is among several only."""
    found: dict[str, tuple[str, ...]] = {}
    for name, field in (model or Settings).model_fields.items():
        path = (*above, name)
        if path in AMONG_SEVERAL:
            continue
        inside = sections(field.annotation)
        if not inside:
            found[settings_environment.ENV_PREFIX + "__".join(path).upper()] = path
        for section in inside:
            found |= variables(section, path)
    return found


def sections(annotation: Any) -> list[type[pydantic.BaseModel]]:
    """The sections that a setting may be; of a list of sections, one of them."""
    if not isinstance(annotation, type):
        return [section for one in getattr(annotation, "__args__", ()) for section in sections(one)]
    if issubclass(annotation, pydantic.RootModel):
        return sections(annotation.model_fields["root"].annotation)
    return [annotation] if issubclass(annotation, pydantic.BaseModel) else []


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


def _problem(
    detail: Any, flags: Mapping[tuple[str, ...], Any], document: settings_document.Document
) -> problems.Problem:
    """One wrong setting, at the place where the value that counts stands: a flag, a variable, a line of the file."""
    path = tuple(part for part in detail["loc"] if part not in ("flags", "document"))
    message = settings_errors.sentence(detail)
    if detail["type"] == "extra_forbidden":
        message = "no such setting" + settings_environment.nearest(str(path[-1]), _keys_of(path[:-1], document.target))
    if any(flags.get(path[:end]) is not None for end in range(len(path), 0, -1)):
        return problems.Problem("settings", 0, 0, problems.format_path(path), message)
    variable = settings_environment.setting(variables(), path)
    if variable is not None:
        return problems.Problem("environment", 0, 0, variable, message)
    if detail["type"] == "missing" and path[:-1] not in document.positions:
        variable = settings_environment.opening(variables(), path[:-1])
        if variable is not None:
            return problems.Problem("environment", 0, 0, variable, f"{problems.format_path(path)} {message}")
    return document.problem(path, message)


def _keys_of(section: problems.KeyPath, target: str) -> list[str]:
    """The keys that a section may have, sections among them; those of the whole are others in one of `targets`."""
    if section and section[:-1] == ("source",) and isinstance(section[-1], int):
        return list(settings_sources.Source.model_fields)
    section = tuple(part for part in section if not isinstance(part, int))
    if not section and target:
        return [key for key in Settings.model_fields if key not in OF_PROCESS]
    depth = len(section)
    below = [path[depth] for path in variables().values() if path[:depth] == section and len(path) > depth]
    return list(dict.fromkeys(below if section else (*below, "targets")))
