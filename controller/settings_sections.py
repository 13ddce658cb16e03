"""The sections of `controller.yml`, each a frozen model that refuses unknown keys (design.md section 9).

Owns the shape, the defaults and the bounds of single settings; `controller.settings` reads them from flags,
environment and file.
"""

from pathlib import Path
from typing import Annotated

import pydantic

from controller import settings_values
from core import policy


def _number_or(pattern: str, **bounds: float) -> pydantic.WithJsonSchema:
    """The JSON Schema of a number that may also be written as text with its unit."""
    return pydantic.WithJsonSchema({"anyOf": [{"type": "number", **bounds}, {"type": "string", "pattern": pattern}]})


Duration = Annotated[
    float,
    pydantic.BeforeValidator(settings_values.seconds),
    _number_or(r"^\s*[0-9]+(\.[0-9]+)?(ms|s|m|h|d)?\s*$", minimum=0, maximum=settings_values.LONGEST_S),
]
Fraction = Annotated[
    float,
    pydantic.BeforeValidator(settings_values.fraction),
    _number_or(r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$", minimum=0, maximum=1),
]
Place = Annotated[Path, pydantic.BeforeValidator(settings_values.not_empty)]
Name = Annotated[
    str,
    pydantic.AfterValidator(settings_values.name),
    pydantic.WithJsonSchema({"type": "string", "pattern": settings_values.NAME}),
]
Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(settings_values.listed)]
Places = Annotated[tuple[Place, ...], pydantic.BeforeValidator(settings_values.listed)]
Registry = Annotated[str, pydantic.AfterValidator(settings_values.registry)]
Arguments = Annotated[dict[str, str], pydantic.BeforeValidator(settings_values.pairs)]
Deadline = Annotated[Duration, pydantic.Field(gt=0)]


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class DirectorySource(_Section):
    """A folder of artifacts."""

    path: Place = pydantic.Field(description="a relative path begins at the folder of controller.yml")
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
    gateway_env: Names = pydantic.Field(
        default=(), description="further NAMEs that ${NAME} in functions.yml may use; in a variable: A,B"
    )


class Secrets(_Section):
    """Where required secrets are looked for besides the environment."""

    env_file: Place | None = pydantic.Field(
        default=None, description="KEY=value lines; a relative path begins at the folder of controller.yml"
    )


class Stack(_Section):
    """The compose stack that reads CONFIG_DIR. With compose files or a project directory, its provisioner is run."""

    compose_files: Places = pydantic.Field(
        default=(), description="a relative path begins at the folder of controller.yml; in a variable: A,B"
    )
    project: Name | None = pydantic.Field(default=None, description="compose project; default: the manifest's project")
    env_file: Place | None = pydantic.Field(default=None, description="handed to compose; never read here")
    project_directory: Place | None = None
    profile: str | None = "deploy"
    provisioner: Name = pydantic.Field(default="provisioner", description="the service that makes tables and buckets")
    provision_attempts: int = pydantic.Field(default=2, ge=1, le=10)
    with_deps: bool = pydantic.Field(default=False, description="let compose start what the provisioner depends on")
    config_dir_on_host: str | None = pydantic.Field(
        default=None, description="CONFIG_DIR as the engine sees it: a path of its host, or the name of a volume"
    )


class RegistrySettings(_Section):
    """One registry by its two names (contract.md section 5)."""

    runtime: Registry | None = pydantic.Field(default=None, description="as the runtime pulls; CONTAINER_REGISTRY")
    host: Registry | None = pydantic.Field(default=None, description="as the build host pushes; HOST_REGISTRY_ADDR")
    base_tag: str | None = pydantic.Field(
        default=None, description="tag of the lambda base when the stack does not show one; ESB_TAG"
    )
    insecure: bool = pydantic.Field(default=False, description="ask the registry over plain HTTP; loopback always is")


class Images(_Section):
    """How images are built."""

    pin: policy.Pin = policy.Pin.DIGEST
    parallel: int | None = pydantic.Field(
        default=None, ge=1, le=64, description="builds at a time; default: one a core"
    )
    platform: str | None = pydantic.Field(default=None, description="e.g. linux/arm64; default: the engine's own")
    arguments: Arguments = pydantic.Field(default={}, description="build arguments; in a variable: A=1,B=2; no secrets")
    max_context_bytes: int = pydantic.Field(default=1 << 30, gt=0, description="largest build context that is copied")


class Docker(_Section):
    """Which engine. Without either, DOCKER_HOST and the docker command's own context count."""

    host: str | None = pydantic.Field(default=None, description="unix://, ssh:// or tcp:// address")
    context: str | None = pydantic.Field(default=None, description="a context of the docker command")


class Deadlines(_Section):
    """How long a call of the docker command may take."""

    probe: Deadline = 15.0
    build: Deadline = 900.0
    push: Deadline = 300.0
    provision: Deadline = 600.0


class PolicySettings(_Section):
    """What the operator allows; see core.policy."""

    strict: bool = False
    provision: policy.Provision = policy.Provision.ON_CHANGE
    prune: policy.Prune = policy.Prune.OWNED
    self_heal: bool = True
    publish: policy.PublishMode = policy.PublishMode.GENERATION
    max_removed: Fraction = 0.5
    allow_empty: bool = False
