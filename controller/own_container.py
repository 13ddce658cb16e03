"""The container that this process runs in, as its own engine shows it (faults.md H11, H12).

Reads the traces that an engine leaves in a container, and asks for the container by them. Which one it is decides
`core.own_container`. Nothing is remembered: a look at the stack finds the own container among those that it has seen
anyway, and only a run of the provisioner asks for it.
"""

import socket
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from core import own_container

if TYPE_CHECKING:
    from controller import docker

LABEL_PROJECT = "com.docker.compose.project"
LABEL_SERVICE = "com.docker.compose.service"

_MOUNTS, _GROUPS = Path("/proc/self/mountinfo"), Path("/proc/self/cgroup")


class Engine(Protocol):
    """What is asked of `docker.Engine`."""

    def containers_of(self, ids: Collection[str]) -> "tuple[docker.Container, ...]":
        """Those of these containers that the engine has."""


def traces() -> own_container.Traces:
    """What this process's own files tell of the container that it runs in; nothing without /proc."""
    return own_container.traces(_text(_MOUNTS), _text(_GROUPS), socket.gethostname())


def found(engine: Engine, here: own_container.Traces) -> "docker.Container | None":
    """This process's container; None when the engine does not have it, as one on another host. One call, none without
    traces. Raises ``ControllerError("DockerUnavailable")``."""
    return among(engine.containers_of(here.ids), here) if here.ids else None


def among(seen: "Iterable[docker.Container]", here: own_container.Traces) -> "docker.Container | None":
    """This process's container among these; None when it is none of them."""
    by_id = {one.id: one for one in seen}
    own = own_container.chosen(here, (one.shown for one in by_id.values())) if here.ids else None
    return by_id[own.id] if own is not None else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
