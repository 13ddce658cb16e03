"""The sections of `controller.yml`, each a frozen model that refuses unknown keys (design.md section 9).

Owns the shape, the defaults and the bounds of single settings; `controller.settings` reads them from flags,
environment and file.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class DirectorySource(_Section):
    """A folder of artifacts."""

    path: Place = pydantic.Field(description="a relative path begins at the folder of controller.yml")
    allow_outside: bool = pydantic.Field(default=False, description="let artifact_root leave the source's folder")
    watch: bool = pydantic.Field(default=True, description="listen for file events; without, only rescan")
    debounce: Deadline = pydantic.Field(
        default=0.1, description="new content is read once two looks this far apart saw the same"
    )
    patience: Deadline = pydantic.Field(
        default=10.0, description="how long content may keep moving before that is told"
    )


class Verification(StrEnum):
    """What must be signed before a commit is read."""

    NONE = "none"
    HEAD = "head"
    TAG = "tag"


class GitVerify(_Section):
    """Signatures that a commit needs."""

    policy: Verification = pydantic.Field(
        default=Verification.NONE, description="none, head (the commit) or tag (the annotated tag of ref)"
    )
    allowed_signers_file: Place | None = pydantic.Field(default=None, description="ssh keys, as in ssh-keygen(1)")
    keyring_file: Place | None = pydantic.Field(default=None, description="exported OpenPGP public keys")


class GitSource(_Section):
    """A git repository that is followed."""

    url: str = pydantic.Field(description="https://, ssh://, user@host:path, http:// or file://")
    ref: str = pydantic.Field(default="main", description="branch, tag, commit, or semver:RANGE of tags")
    path: str = pydantic.Field(default=".", description="the folder of artifacts in the repository")
    username: str | None = pydantic.Field(default=None, description="for https; many hosts take any name with a token")
    password: pydantic.SecretStr | None = pydantic.Field(default=None, description="password or token for https")
    password_file: Place | None = pydantic.Field(default=None, description="the same in a file, which is better")
    ca_file: Place | None = pydantic.Field(default=None, description="certificates to trust besides nobody else's")
    proxy: str | None = pydantic.Field(default=None, description="http(s) or socks5 proxy")
    ssh_key_file: Place | None = pydantic.Field(default=None, description="private key for ssh, without a passphrase")
    known_hosts_file: Place | None = pydantic.Field(default=None, description="required with ssh")
    verify: GitVerify = GitVerify()
    accept: Names = pydantic.Field(
        default=(),
        description="full commit ids that may be applied although they are no descendants; in a variable: A,B",
    )
    max_bytes: int = pydantic.Field(default=1 << 30, gt=0, description="largest checkout")
    max_file_bytes: int = pydantic.Field(default=256 << 20, gt=0, description="largest file in it")
    max_files: int = pydantic.Field(default=200_000, gt=0, description="most files in it")


class Source(_Section):
    """Where artifacts come from: one of the two."""

    directory: DirectorySource | None = None
    git: GitSource | None = None
    takes_over: bool = pydantic.Field(
        default=False,
        description="in a list, not for the first: while those before are away, apply also what may be older",
    )

    @pydantic.model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.directory is not None and self.git is not None:
            raise ValueError("name a directory or a git repository, not both")
        return self

    @property
    def kind(self) -> str:
        """``directory`` or ``git``; "" when neither is set."""
        if self.git is not None:
            return "git"
        return "directory" if self.directory is not None else ""


class Sources(pydantic.RootModel[tuple[Source, ...]]):
    """One source, or a list of sources that are tried in order."""

    model_config = pydantic.ConfigDict(frozen=True)

    root: tuple[Source, ...] = ()

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _one_or_several(cls, value: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        """What is wrong with a single source is told at its own keys, without a number."""
        if isinstance(value, Source):
            return cls.model_construct((value,))
        if isinstance(value, Mapping):
            value = [Source.model_validate(value)]
        elif isinstance(value, list | tuple):
            if not value:
                raise ValueError("an empty list names no source")
            _require_kinds(value)
        elif value is None or isinstance(value, str | int | float):
            raise ValueError("write one source as a mapping, or a list of sources")
        made = handler(value)
        if made.each and made.each[0].takes_over:
            raise ValueError("takes_over is for a source after the first of a list")
        return made

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: pydantic.GetJsonSchemaHandler) -> dict[str, Any]:
        listed = handler.resolve_ref_schema(handler(core_schema))
        return {
            "anyOf": [listed["items"], {"type": "array", "items": listed["items"], "minItems": 1}],
            "description": cls.__doc__,
        }

    @property
    def each(self) -> tuple[Source, ...]:
        """The sources in their order; none when nothing is set."""
        return tuple(one for one in self.root if one.kind)

    @property
    def directories(self) -> tuple[DirectorySource, ...]:
        """The folders among them, in order."""
        return tuple(one.directory for one in self.root if one.directory is not None)

    @property
    def gits(self) -> tuple[GitSource, ...]:
        """The repositories among them, in order."""
        return tuple(one.git for one in self.root if one.git is not None)

    @property
    def directory(self) -> DirectorySource | None:
        """The first folder."""
        return next(iter(self.directories), None)

    @property
    def git(self) -> GitSource | None:
        """The first repository."""
        return next(iter(self.gits), None)


def _require_kinds(listed: Sequence[Any]) -> None:
    """A member of a list that names no source would be passed over in silence."""
    for number, one in enumerate(listed):
        if isinstance(one, Mapping) and not (one.get("directory") or one.get("git")):
            raise ValueError(f"source {number + 1} of the list names neither a directory nor a git repository")


class Manifest(_Section):
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


class RegistrySettings(_Section):
    """One registry by its two names (contract.md section 5)."""

    runtime: Registry | None = pydantic.Field(default=None, description="as the runtime pulls; CONTAINER_REGISTRY")
    host: Registry | None = pydantic.Field(default=None, description="as the build host pushes; HOST_REGISTRY_ADDR")
    base_tag: str | None = pydantic.Field(
        default=None, pattern=_TAG, description="tag of the lambda base when the stack does not show one; ESB_TAG"
    )
    insecure: bool = pydantic.Field(default=False, description="ask the registry over plain HTTP; loopback always is")


class Images(_Section):
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


class Docker(_Section):
    """Which engine. Without either, DOCKER_HOST and the docker command's own context count."""

    host: EngineAddress | None = pydantic.Field(default=None, description="unix://, ssh:// or tcp:// address")
    context: str | None = pydantic.Field(default=None, description="a context of the docker command")


class Deadlines(_Section):
    """How long a call of the docker command may take."""

    probe: Deadline = pydantic.Field(default=15.0, description="one question to the engine or a registry")
    build: Deadline = pydantic.Field(default=900.0, description="one build")
    push: Deadline = pydantic.Field(default=300.0, description="one push")
    provision: Deadline = pydantic.Field(default=600.0, description="one run of the provisioner")
    git: Deadline = pydantic.Field(default=120.0, description="one look at a git source, with all that it fetches")


class Http(_Section):
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


class Log(_Section):
    """Log lines of the running controller, on stderr."""

    format: LogFormat = pydantic.Field(default="auto", description="auto: console on a terminal, else json")
    level: LogLevel = pydantic.Field(default="info", description="debug, info, warning or error")


class Notify(_Section):
    """A JSON message to somebody when a target fails, recovers or changes."""

    url: pydantic.SecretStr | None = pydantic.Field(default=None, description="http(s) address that takes a POST")
    url_file: Place | None = pydantic.Field(default=None, description="the same in a file, which is better")
    on: Occasions = pydantic.Field(
        default=("failed", "recovered"), description="failed, recovered, changed; in a variable: A,B"
    )
    deadline: Deadline = pydantic.Field(default=10.0, description="of one message")


class Retry(_Section):
    """After a failed pass: the first wait, doubled with every further failure up to the longest."""

    first: Period = pydantic.Field(default=5.0, description="at least 100ms")
    longest: Deadline = pydantic.Field(default=300.0, description="at least as long as `first`")

    @pydantic.model_validator(mode="after")
    def _in_this_order(self) -> Self:
        if self.longest < self.first:
            raise ValueError(f"longest ({self.longest:g}s) must be at least as long as first ({self.first:g}s)")
        return self


class Stall(_Section):
    """When the same difference keeps coming back, healing it pauses."""

    repairs: int = pydantic.Field(default=5, ge=2, description="repairs of the same difference before that")
    window: Deadline = pydantic.Field(default=600.0, description="repairs count while they are no further apart")


class PolicySettings(_Section):
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
