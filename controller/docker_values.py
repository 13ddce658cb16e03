"""What is asked of an engine and what it answers: the values of `controller.docker`, under whose name callers use them.

Pure: nothing in here runs or reads anything. Texts that come from docker are cleaned and redacted by then.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core import own_container


class Piece(enum.StrEnum):
    """What a command needs; preflight names the missing one (faults.md H5)."""

    ENGINE = "engine"
    BUILDX = "buildx"
    COMPOSE = "compose"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a call may take, in seconds, by its class (faults.md P8)."""

    probe_s: float = 15.0
    build_s: float = 900.0
    push_s: float = 300.0
    provision_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Container:
    """One container, running or not.

    `image` is the reference that it was created from, `image_id` what that meant then. `state` is the engine's word:
    created, running, paused, restarting, removing, exited, dead. `health` is "" without a check, else starting, healthy
    or unhealthy. `exit_code` is None unless it has ended. `environment` has only the names that were asked for.
    `mounts` are what it sees of its host; `layer` is the folder of its writable layer, "" when the engine does not say.
    """

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    state: str
    health: str
    exit_code: int | None
    environment: Mapping[str, str]
    mounts: tuple[own_container.Mount, ...] = ()
    layer: str = ""

    @property
    def shown(self) -> own_container.Shown:
        """What tells it from others, for who looks for the container that he is in."""
        return own_container.Shown(self.id, self.mounts, self.layer)


@dataclass(frozen=True, slots=True)
class EngineImage:
    """One image in the engine. `repo_digests` are ``repository@sha256:…``; `platform` is ``linux/amd64``.
    `created_s` is the second, since the epoch, that it says it was created in; None for none, or a part of one."""

    id: str
    tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    labels: Mapping[str, str]
    platform: str
    created_s: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteManifest:
    """What a registry holds under a reference: the digest of the manifest or index, and of its image the labels and the
    second of its creation, as in `EngineImage`."""

    digest: str
    labels: Mapping[str, str]
    created_s: int | None = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build. `dockerfile` lies outside of `context`; `arguments` are no secrets.

    `tags` has at least one. `platform` is "" for the engine's own. `contexts` are named contexts: what stands for a
    reference in FROM, such as ``docker-image://repository@sha256:…``. Without `cache` every step runs. `created_s` is
    the second, since the epoch, that the image is dated by; None leaves it to the engine.
    """

    context: Path
    dockerfile: Path
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    arguments: Mapping[str, str]
    platform: str
    contexts: Mapping[str, str]
    cache: bool = True
    created_s: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceRun:
    """One run of a compose service in a container called `name`, which is removed at its end (contract.md section 8).

    `environment` is for compose itself, on top of this process's; it is visible in the list of processes: no secrets.
    """

    service: str
    name: str
    labels: Mapping[str, str]
    project: str
    files: tuple[Path, ...]
    env_file: Path | None
    project_directory: Path | None
    profile: str | None
    environment: Mapping[str, str]
    with_deps: bool


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a container ended: its exit code, and the last lines of its output."""

    exit_code: int
    tail: tuple[str, ...]


class CommandFailed(Exception):
    """Docker did the call and said no, or the program of the call did. `tail` are the last lines."""

    def __init__(self, exit_code: int, tail: tuple[str, ...]) -> None:
        super().__init__(f"exit code {exit_code}: {tail[-1] if tail else 'without a word'}")
        self.exit_code = exit_code
        self.tail = tail


class NameInUse(CommandFailed):
    """Another container has the name: nothing was started (faults.md P7)."""


class DeadlinePassed(Exception):
    """A call was not done after `seconds`. Its whole process group is gone; what it started in the engine may not be.
    `tail` are the last lines, and empty when it had to be killed."""

    def __init__(self, seconds: float, tail: tuple[str, ...]) -> None:
        super().__init__(f"not done after {seconds:g} s")
        self.seconds = seconds
        self.tail = tail
