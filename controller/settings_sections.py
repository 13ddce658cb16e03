"""The sections of `controller.yml`, each a frozen model that refuses unknown keys (design.md section 9).

Owns the shape, the defaults and the bounds of single settings, and the kinds of value that they have; the section
`source` is in `controller.settings_sources`. `controller.settings` reads them from flags, environment and file.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic

from controller import settings_values
from core import policy


def _number_or(pattern: str, **bounds: float) -> pydantic.WithJsonSchema:
    """The JSON Schema of a number that may also be written as text with its unit."""
    return pydantic.WithJsonSchema({"anyOf": [{"type": "number", **bounds}, {"type": "string", "pattern": pattern}]})


_DURATION = r"^\s*[0-9]+(\.[0-9]+)?(ms|s|m|h|d)?\s*$"
_SHORTEST_PERIOD_S = 0.1
"""Looking or trying again more often finds nothing sooner, and keeps a core busy. In seconds."""

Duration = Annotated[
    float,
    pydantic.BeforeValidator(settings_values.seconds),
    _number_or(_DURATION, minimum=0, maximum=settings_values.LONGEST_S),
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
EngineAddress = Annotated[str, pydantic.AfterValidator(settings_values.engine)]
Listen = Annotated[str, pydantic.AfterValidator(settings_values.listen)]
Arguments = Annotated[dict[str, str], pydantic.BeforeValidator(settings_values.pairs)]
Deadline = Annotated[Duration, pydantic.Field(gt=0)]
Period = Annotated[
    Duration,
    pydantic.AfterValidator(settings_values.at_least(_SHORTEST_PERIOD_S)),
    _number_or(_DURATION, minimum=_SHORTEST_PERIOD_S, maximum=settings_values.LONGEST_S),
]
Occasions = Annotated[
    tuple[Literal["failed", "recovered", "changed"], ...], pydantic.BeforeValidator(settings_values.listed)
]
_PLATFORM = r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$"
_TAG = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Section(pydantic.BaseModel):
    """What all of them are: one cannot be changed later, and a key that none of its settings has is refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Manifest(Section):
    """Which artifact.yml, and how it is read."""

    path: str | None = pydantic.Field(default=None, description="relative to the source; else the only one below it")
    project: str | None = pydantic.Field(default=None, description="choose the manifest of this project")
    env: str | None = pydantic.Field(default=None, description="choose the manifest of this environment")
    require_ids: bool = pydantic.Field(
        default=True, description="refuse entries without an id (`controller manifest sync-ids` writes them)"
    )
    max_bytes: int = pydantic.Field(default=8 * 1024 * 1024, gt=0, description="largest document that is read")
    gateway_env: Names = pydantic.Field(
        default=(), description="further NAMEs that ${NAME} in functions.yml may use; in a variable: A,B"
    )


class Secrets(Section):
    """Where required secrets are looked for besides the environment."""

    env_file: Place | None = pydantic.Field(
        default=None, description="KEY=value lines; a relative path begins at the folder of controller.yml"
    )


class Stack(Section):
    """The compose stack that reads CONFIG_DIR. With compose files or a project directory, its provisioner is run."""

    compose_files: Places = pydantic.Field(
        default=(), description="a relative path begins at the folder of controller.yml; in a variable: A,B"
    )
    project: Name | None = pydantic.Field(default=None, description="compose project; default: the manifest's project")
    env_file: Place | None = pydantic.Field(default=None, description="handed to compose; never read here")
    project_directory: Place | None = pydantic.Field(
        default=None, description="where compose's own relative paths begin"
    )
    profile: str | None = pydantic.Field(default="deploy", description="compose profile of the provisioner's run")
    provisioner: Name = pydantic.Field(default="provisioner", description="the service that makes tables and buckets")
    provision_attempts: int = pydantic.Field(
        default=2, ge=1, le=10, description="how often a run of the provisioner is tried"
    )
    with_deps: bool = pydantic.Field(default=False, description="let compose start what the provisioner depends on")
    config_dir_on_host: str | None = pydantic.Field(
        default=None,
        description="CONFIG_DIR as the engine sees it: a path of its host, or the name of a volume; "
        "default: found out, also in a container of that engine",
    )


class RegistrySettings(Section):
    """One registry by its two names (contract.md section 5)."""

    runtime: Registry | None = pydantic.Field(default=None, description="as the runtime pulls; CONTAINER_REGISTRY")
    host: Registry | None = pydantic.Field(default=None, description="as the build host pushes; HOST_REGISTRY_ADDR")
    base_tag: str | None = pydantic.Field(
        default=None, pattern=_TAG, description="tag of the lambda base when the stack does not show one; ESB_TAG"
    )
    insecure: bool = pydantic.Field(default=False, description="ask the registry over plain HTTP; loopback always is")


class Images(Section):
    """How images are built."""

    pin: policy.Pin = pydantic.Field(
        default=policy.Pin.DIGEST,
        description="digest: new code under the same tag reaches the gateway; tag: references stay as written",
    )
    parallel: int | None = pydantic.Field(
        default=None, ge=1, le=64, description="builds at a time; default: one a core"
    )
    platform: str | None = pydantic.Field(
        default=None, pattern=_PLATFORM, description="e.g. linux/arm64; default: the engine's own"
    )
    arguments: Arguments = pydantic.Field(default={}, description="build arguments; in a variable: A=1,B=2; no secrets")
    max_context_bytes: int = pydantic.Field(default=1 << 30, gt=0, description="largest build context that is copied")


class Docker(Section):
    """Which engine. Without either, DOCKER_HOST and the docker command's own context count."""

    host: EngineAddress | None = pydantic.Field(default=None, description="unix://, ssh:// or tcp:// address")
    context: str | None = pydantic.Field(default=None, description="a context of the docker command")


class Deadlines(Section):
    """How long a call of the docker command may take."""

    probe: Deadline = pydantic.Field(default=15.0, description="one question to the engine or a registry")
    build: Deadline = pydantic.Field(default=900.0, description="one build")
    push: Deadline = pydantic.Field(default=300.0, description="one push")
    provision: Deadline = pydantic.Field(default=600.0, description="one run of the provisioner")
    git: Deadline = pydantic.Field(default=120.0, description="one look at a git source, with all that it fetches")


class Http(Section):
    """The HTTP server: health, metrics, status, and the webhook receiver. Off without `listen`."""

    listen: Listen | None = pydantic.Field(
        default=None, description="HOST:PORT, [IPV6]:PORT or :PORT, which is 127.0.0.1:PORT"
    )
    names: Names = pydantic.Field(
        default=(), description="names besides that of `listen` that it is asked for by, as in Host; in a variable: A,B"
    )
    webhook_secret: pydantic.SecretStr | None = pydantic.Field(
        default=None, description="at least 16 bytes; without it there is no webhook receiver"
    )
    webhook_secret_file: Place | None = pydantic.Field(default=None, description="the same in a file, which is better")
    max_body_bytes: int = pydantic.Field(default=1 << 20, gt=0, description="largest webhook delivery")
    rate_per_minute: int = pydantic.Field(default=120, gt=0, description="webhook deliveries that are looked at")


class Log(Section):
    """Log lines of the running controller, on stderr."""

    format: LogFormat = pydantic.Field(default="auto", description="auto: console on a terminal, else json")
    level: LogLevel = pydantic.Field(default="info", description="debug, info, warning or error")


class Notify(Section):
    """A JSON message to somebody when a target fails, recovers or changes."""

    url: pydantic.SecretStr | None = pydantic.Field(default=None, description="http(s) address that takes a POST")
    url_file: Place | None = pydantic.Field(default=None, description="the same in a file, which is better")
    on: Occasions = pydantic.Field(
        default=("failed", "recovered"), description="failed, recovered, changed; in a variable: A,B"
    )
    deadline: Deadline = pydantic.Field(default=10.0, description="of one message")


class Retry(Section):
    """After a failed pass: the first wait, doubled with every further failure up to the longest."""

    first: Period = pydantic.Field(default=5.0, description="at least 100ms")
    longest: Deadline = pydantic.Field(default=300.0, description="at least as long as `first`")

    @pydantic.model_validator(mode="after")
    def _in_this_order(self) -> Self:
        if self.longest < self.first:
            raise ValueError(f"longest ({self.longest:g}s) must be at least as long as first ({self.first:g}s)")
        return self


class Stall(Section):
    """When the same difference keeps coming back, healing it pauses."""

    repairs: int = pydantic.Field(default=5, ge=2, description="repairs of the same difference before that")
    window: Deadline = pydantic.Field(default=600.0, description="repairs count while they are no further apart")


class PolicySettings(Section):
    """What the operator allows; see core.policy."""

    strict: bool = pydantic.Field(default=False, description="treat compatibility warnings as errors")
    provision: policy.Provision = pydantic.Field(
        default=policy.Provision.ON_CHANGE, description="on-change, or always: in every pass"
    )
    prune: policy.Prune = pydantic.Field(
        default=policy.Prune.OWNED, description="what goes when the source no longer has it: owned, all or none"
    )
    self_heal: bool = pydantic.Field(default=True, description="put drift back")
    publish: policy.PublishMode = pydantic.Field(
        default=policy.PublishMode.GENERATION, description="generation, or files for consumers that cannot follow links"
    )
    max_removed: Fraction = pydantic.Field(default=0.5, description="share of what is live that one plan may remove")
    allow_empty: bool = pydantic.Field(default=False, description="let an empty source empty the target")
