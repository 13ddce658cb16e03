"""The look at a compose project: the engine's containers as a `core.stack.Stack` (contract.md section 6).

Owns which containers belong to the project, and what of a container is worth knowing. Runs before every build and
write, also when the source did not change; judges nothing (`core.compatibility` does), and changes nothing. Two calls
of the engine, whatever the number of containers.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from controller import errors, own_container
from core import own_container as containers
from core import stack, stack_reading

if TYPE_CHECKING:
    from controller import docker

LABEL_PROJECT = own_container.LABEL_PROJECT
LABEL_SERVICE = own_container.LABEL_SERVICE
LABEL_NUMBER = "com.docker.compose.container-number"
LABEL_ONE_OFF = "com.docker.compose.oneoff"
LABEL_FOLDER = "com.docker.compose.project.working_dir"
LABEL_DEPENDS_ON = "com.docker.compose.depends_on"
LABEL_VERSION = "org.opencontainers.image.version"

RUNTIME_NAMES = ("CONTAINERD_RUNTIME", "AGENT_RUNTIME", "RUNTIME_MODE", "RUNTIME")
"""Variables of agent and runtime-node by which they choose a runtime. A value that names firecracker declares it
(``aws.firecracker`` is the runtime's name in containerd); no other value means anything here, and none is shown."""

_LONGEST_VERSION = 128
_SHORTEST_ID = 12
_COMPLETED = "service_completed_successfully"
_PROVISIONER = "provisioner"


def observe(
    engine: "docker.Engine",
    project: str,
    *,
    provisioner: str = _PROVISIONER,
    here: containers.Traces = containers.NOWHERE,
) -> stack.Stack:
    """One look at the project; without a container of it, a stack that says so. One-off containers (``compose run``)
    are not part of the stack, nor is the one that this process runs in, as `here` tells it: how a controller is, and
    which version it has, says nothing of the stack that it keeps (faults.md H11). `provisioner` is the service that
    ends when its work is done.

    Raises `ControllerError("StackAmbiguous")` when one service of its control plane runs from different folders: then
    two stacks bear one name, and `DockerUnavailable` as the engine does.
    """
    found = [
        each
        for each in engine.containers({LABEL_PROJECT: project}, environment=RUNTIME_NAMES)
        if each.labels.get(LABEL_PROJECT) == project and each.labels.get(LABEL_ONE_OFF, "").lower() != "true"
    ]
    own = own_container.among(found, here)
    found = [each for each in found if each is not own]
    place = f"compose project {project} on {engine.address}"
    if not found:
        besides = " but this one" if own else ""
        return stack.Stack(project, source=place, unknown=f"no container of {place}{besides}")
    _require_one(found, place)
    images = engine.images(sorted({each.image_id for each in found}))
    awaited = _awaited(found) | {provisioner}
    services = (_service(each, images.get(each.image_id), awaited) for each in sorted(found, key=_order))
    return stack.Stack(project, tuple(services), source=place)


def _require_one(found: Iterable["docker.Container"], place: str) -> None:
    """Compose takes whatever bears a project's name for its own, and a stack may be put together from several folders,
    or updated service by service from a new one: each service is still there once. A service of the control plane
    that lives in two of them is two stacks of one name (contract.md section 6, faults.md H8)."""
    folders: dict[str, set[str]] = {}
    for each in found:
        folder = each.labels.get(LABEL_FOLDER, "").rstrip("/")
        if folder and each.state in stack_reading.LIVE:
            folders.setdefault(_name(each), set()).add(folder)
    twice = [name for name in stack_reading.CONTROL_PLANE if len(folders.get(name, ())) > 1]
    if twice:
        told = "; ".join(f"{name} from {' and '.join(sorted(folders[name]))}" for name in twice)
        raise errors.ControllerError("StackAmbiguous", f"{place} is more than one stack: {told}")


def _service(each: "docker.Container", image: "docker.EngineImage | None", awaited: Collection[str]) -> stack.Service:
    name = _name(each)
    named = stack_reading.Reference("", "", "") if _is_id(each) else stack_reading.parts(each.image)
    labels = image.labels if image is not None else each.labels
    return stack.Service(
        name=name,
        image=each.image,
        tag=named.tag,
        digest=named.digest or _digest(named.repository, image.repo_digests if image is not None else ()),
        version=labels.get(LABEL_VERSION, "").strip()[:_LONGEST_VERSION],
        runtime=_declared(each.environment) if name in stack_reading.DECLARING else "",
        state=each.state,
        health=each.health,
        exit_code=each.exit_code if each.state in ("exited", "dead") else None,
        one_shot=name in awaited or _is_done(each),
    )


def _name(each: "docker.Container") -> str:
    return each.labels.get(LABEL_SERVICE) or each.name


def _order(each: "docker.Container") -> tuple[int, str, int, str]:
    """The control plane first, in its order, then by name; replicas by their number."""
    name, number = _name(each), each.labels.get(LABEL_NUMBER, "")[:9]
    plane: Sequence[str] = stack_reading.CONTROL_PLANE
    rank = plane.index(name) if name in plane else len(plane)
    return rank, name, int(number) if number.isdecimal() else 0, each.name


def _is_id(each: "docker.Container") -> bool:
    """Whether the container was made from an image id, whole or abbreviated, which names no repository."""
    return len(each.image) >= _SHORTEST_ID and each.image_id.removeprefix("sha256:").startswith(each.image)


def _digest(repository: str, repo_digests: Iterable[str]) -> str:
    """The digest under which the engine's image is known in this repository; "" when it is not."""
    found = (each.partition("@") for each in repo_digests)
    return next((by_digest for name, _, by_digest in found if name == repository), "")


def _declared(environment: Mapping[str, str]) -> str:
    declares = any(stack_reading.FIRECRACKER in environment.get(name, "").lower() for name in RUNTIME_NAMES)
    return stack_reading.FIRECRACKER if declares else ""


def _awaited(found: Iterable["docker.Container"]) -> set[str]:
    """Services whose end another one waits for, as compose writes it: ``service:condition:restart,…``."""
    dependencies = (one.split(":") for each in found for one in each.labels.get(LABEL_DEPENDS_ON, "").split(","))
    return {one[0] for one in dependencies if _COMPLETED in one[1:]}


def _is_done(each: "docker.Container") -> bool:
    """Whether it looks like a job that nothing waits for: it ended well, has no health check, and is no part of the
    control plane, whose services never end."""
    return (
        each.state == "exited"
        and each.exit_code == 0
        and not each.health
        and _name(each) not in stack_reading.CONTROL_PLANE
    )
