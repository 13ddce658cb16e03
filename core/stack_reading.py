"""What a look at a stack says: its mode, its version, and where its services disagree (contract.md section 6).

Owns the inference from image references, labels and declarations; pure. `core.compatibility` compares the result with
what an artifact requires. Only containers that live are read, and only those of the control plane: which mode a
registry or a database is named after says nothing, and a stopped container is not the running stack.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from core import digest, references, stack

CONTROL_PLANE = ("gateway", "agent", "provisioner", "runtime-node")
"""The services that are read, the preferred one first."""

DECLARING = frozenset({"agent", "runtime-node"})
"""The services whose environment may declare a runtime."""

FIRECRACKER = "firecracker"
"""Runs below containerd, with its images: it is declared, never named by an image."""

LIVE = frozenset({"running", "restarting", "paused"})
"""The states of a container that is there now."""

_BY_IMAGE = ("containerd", "docker")
_BARE_ID = re.compile(r"sha256:[0-9a-f]{64}")
_FLOATING = "latest"


class Reference(NamedTuple):
    """The parts of an image reference, each "" when it has none."""

    repository: str
    tag: str
    digest: str


class Inferred(NamedTuple):
    """A value, and the service that shows it."""

    value: str
    service: stack.Service


def parts(reference: str) -> Reference:
    """Take a reference apart. Without tag and digest it means ``latest``; an image id has no parts."""
    if _BARE_ID.fullmatch(reference):
        return Reference("", "", "")
    found = references.split(reference)
    return Reference(found.name, found.tag or ("" if found.digest or not found.name else _FLOATING), found.digest)


def control_plane(seen: stack.Stack) -> tuple[stack.Service, ...]:
    """The live containers that compatibility depends on, preferred services first, replicas as they were seen."""
    live = (each for each in seen.services if each.name in CONTROL_PLANE and each.state in LIVE)
    return tuple(sorted(live, key=lambda each: CONTROL_PLANE.index(each.name)))


def mode_of(service: stack.Service) -> str:
    """The mode that one container shows: what it declares, else how its image's repository ends, else ""."""
    if service.runtime and service.name in DECLARING:
        return service.runtime
    repository = parts(service.image).repository
    return next((mode for mode in _BY_IMAGE if repository.endswith(f"-{mode}")), "")


def version_of(service: stack.Service) -> str:
    """The version that one container shows, in words: its tag, with the label where that says something else."""
    if service.tag and service.version not in ("", service.tag):
        return f"{service.tag} (labelled {service.version})"
    return service.tag or service.version


def mode(seen: stack.Stack) -> Inferred | None:
    """The mode of the stack: that of the preferred service that shows one. A containerd stack whose agent or
    runtime-node declares firecracker is a firecracker stack."""
    shown = [Inferred(found, each) for each in control_plane(seen) if (found := mode_of(each))]
    if not shown:
        return None
    declared = (each for each in shown if each.value == FIRECRACKER)
    return next(declared, shown[0]) if shown[0].value == "containerd" else shown[0]


def version(seen: stack.Stack) -> Inferred | None:
    """The version of the stack: that of the preferred service that shows one."""
    shown = (Inferred(found, each) for each in control_plane(seen) if (found := version_of(each)))
    return next(shown, None)


def skew(seen: stack.Stack) -> tuple[str, ...]:
    """How services of the control plane disagree among themselves: one sentence for modes, versions, and each service
    whose containers run different images under one tag; each names them."""
    services = control_plane(seen)
    return tuple(
        sentence
        for sentence in (
            _told("modes", _by_mode(services)),
            _told("versions", _by_version(services)),
            *_mixed_images(services),
        )
        if sentence
    )


def _by_mode(services: Iterable[stack.Service]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The services of each mode. Beside a declared firecracker, an image of containerd is as it should be, unless it is
    another container of a service that declares it."""
    found: dict[str, list[str]] = {}
    for each in services:
        if shown := mode_of(each):
            found.setdefault(shown, []).append(each.name)
    declaring = found.get(FIRECRACKER)
    if declaring and not set(found.get("containerd", ())) & set(declaring):
        declaring += found.pop("containerd", ())
    return ((value, _once(names)) for value, names in found.items())


def _by_version(services: Iterable[stack.Service]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The services of each version, those that show none left out."""
    groups: list[list[stack.Service]] = []
    for each in services:
        if version_of(each):
            group = next((one for one in groups if all(_agree(each, member) for member in one)), None)
            if group is None:
                groups.append([each])
            else:
                group.append(each)
    return ((version_of(group[0]), _once(each.name for each in group)) for group in groups)


def _agree(one: stack.Service, other: stack.Service) -> bool:
    """Whether two containers may be of one version. Labels decide only where tags do not: an image inherits the label
    of what it starts from, when it has none of its own."""
    if one.tag and one.tag == other.tag:
        return one.tag != _FLOATING or one.version == other.version or "" in (one.version, other.version)
    return bool({one.tag, one.version} & {other.tag, other.version} - {""})


def _mixed_images(services: tuple[stack.Service, ...]) -> Iterator[str]:
    """Replicas of one service that were made from different images of the same name: a half-done update."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in services:
        if each.digest:
            found.setdefault((each.name, each.image), []).append(each.digest)
    for (name, image), digests in found.items():
        if len(set(digests)) > 1:
            yield f"{name} runs different images of {image}: {', '.join(map(digest.short, _once(digests)))}"


def _told(what: str, groups: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    told = [f"{', '.join(names)} {value}" for value, names in groups]
    return f"different {what}: {'; '.join(told)}" if len(told) > 1 else ""


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
