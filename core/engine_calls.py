"""The calls of the Docker engine that a controller needs, and what may be in them (docs/engine-calls.md).

Owns the allow-list of the socket proxy, which `controller.engine_proxy` enforces, and the judgement of a request; pure.
A test compares the table of the document with this one, and the end-to-end tests run through it. Whatever is not listed
is refused, and so is a container that could become more than the provisioner's: by its name, by what it may do on the
host, and by what it mounts.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from core import provisioning


@dataclass(frozen=True, slots=True)
class Call:
    """One call. In its path, ``{id}`` is the whole id of a container, ``{short}`` its beginning as in a host name, and
    ``{name}`` the name of an image, network or volume. `needs` are parameters that must be there once. `own`: only
    about a container of a provisioner. `streams`: the connection becomes a stream of its own."""

    method: str
    path: str
    why: str
    _: KW_ONLY
    needs: tuple[str, ...] = ()
    own: bool = False
    streams: bool = False


_VERSION = r"(?:/v[0-9]+\.[0-9]+)?"
_PARTS = {
    "{id}": r"(?P<id>[0-9a-f]{64})",
    "{short}": r"[0-9a-f]{12}",
    "{name}": r"(?P<name>[A-Za-z0-9][A-Za-z0-9._:@/-]*)",
}
_NAME = _VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
CREATE = "/containers/create"

CALLS: tuple[Call, ...] = (
    Call("HEAD", "/_ping", "which version of the calls both speak"),
    Call("GET", "/_ping", "the same, for engines that do not know HEAD"),
    Call("GET", "/version", "whether the engine is new enough; its platform"),
    Call("GET", "/info", "what buildx and compose ask first; the engine's clock"),
    Call("GET", "/containers/json", "the stack; whether a provisioner is there already"),
    Call("GET", "/containers/{id}/json", "mode, version and health of the stack; the controller's own container"),
    Call("GET", "/containers/{short}/json", "the controller's own container, by its host name"),
    Call("GET", "/images/json", "images that were built from the same input"),
    Call("GET", "/images/{name}/json", "digests of images and of what they start from"),
    Call("GET", "/networks/{name}", "the provisioner's network"),
    Call("GET", "/networks", "the same, where compose did not make it (`external: true`)"),
    Call("GET", "/volumes/{name}", "the provisioner's volumes"),
    Call("GET", "/events", "whether a provisioner ever started, and how it ended", needs=("until",)),
    Call("POST", "/session", "build: the context, as BuildKit asks for it", streams=True),
    Call("POST", "/grpc", "build: what BuildKit is told", streams=True),
    Call("POST", "/images/{name}/tag", "an image that is there already gets the name that is wanted"),
    Call("POST", "/images/{name}/push", "the registry gets the image"),
    Call("POST", "/images/create", "the provisioner's image is pulled when it is missing", needs=("fromImage",)),
    Call("POST", CREATE, "the provisioner's container, of that name only", needs=("name",)),
    Call("POST", "/containers/{id}/attach", "its output", own=True, streams=True),
    Call("POST", "/containers/{id}/start", "it runs", own=True),
    Call("POST", "/containers/{id}/wait", "its exit code", own=True),
    Call("GET", "/containers/{id}/logs", "the last lines of one that was there already", own=True),
    Call("POST", "/containers/{id}/kill", "a signal that ends the controller reaches it", own=True),
    Call("POST", "/containers/{id}/stop", "its deadline has passed", own=True),
    Call("DELETE", "/containers/{id}", "one that ended, or never started, is removed", own=True),
)

_PATTERNS = tuple(
    (
        call,
        re.compile(
            _VERSION + re.sub(r"\\{(id|short|name)\\}", lambda m: _PARTS["{" + m[1] + "}"], re.escape(call.path))
        ),
    )
    for call in CALLS
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A request that is one of the calls. `container` is the id that it is about, "" for none."""

    call: Call
    container: str = ""


def judged(method: str, path: str, query: Mapping[str, Collection[str]]) -> Judged | None:
    """Which of the calls a request is; None for one that is refused. `query` has every value of each parameter."""
    if ".." in path or "//" in path:
        return None
    found = ((call, match) for call, pattern in _PATTERNS if (match := pattern.fullmatch(path)))
    for call, match in found:
        if call.method == method and all(_is_one(query.get(name, ())) for name in call.needs):
            if call.path == CREATE and not is_provisioner(next(iter(query["name"]))):
                return None
            return Judged(call, match.groupdict().get("id", ""))
    return None


def _is_one(values: Collection[str]) -> bool:
    return len(values) == 1 and "" not in values


def is_provisioner(name: str) -> bool:
    """Whether a container of this name, which the engine tells with a ``/`` before it, can be a provisioner's."""
    suffix = provisioning.container_name("")
    return name.endswith(suffix) and name != suffix and _NAME.fullmatch(name.removeprefix("/")) is not None


_NEVER = frozenset(
    {
        *("privileged", "capadd", "devices", "devicerequests", "devicecgrouprules", "sysctls", "securityopt"),
        *("cgroupparent", "cgroup", "runtime", "annotations", "volumesfrom", "volumedriver"),
        *("maskedpaths", "readonlypaths"),
    }
)
"""Annotations are orders to the runtime: some runtimes set up hooks, or properties of systemd's units, by them."""
_MODES = frozenset({"networkmode", "pidmode", "ipcmode", "utsmode", "usernsmode", "cgroupnsmode"})
_UNMASKED = frozenset({"maskedpaths", "readonlypaths"})
_NAMELESS_KINDS = frozenset({"volume", "tmpfs"})


def objection(body: object, mounts: Collection[str]) -> str:
    """Why a container may not be made as the body of its creation says; "" when it may. `mounts` are the folders and
    volumes that it may have, exactly as they are named: what lies below a folder could be a link that leads elsewhere.
    The engine takes names of fields in any case, so two that differ only in that are refused."""
    try:
        fields = _fields(body)
        networks = _fields(fields.get("networkingconfig") or {}).get("endpointsconfig") or {}
        if _leaves(*networks):
            return "NetworkingConfig leaves the container"
        return next(_objections(_fields(fields.get("hostconfig") or {}), frozenset(mounts)), "")
    except ValueError as error:
        return str(error)


def _objections(host: Mapping[str, Any], mounts: frozenset[str]) -> Iterator[str]:
    for name in sorted(_NEVER & host.keys()):
        if host[name] or (name in _UNMASKED and host[name] is not None):
            yield f"HostConfig.{name} is set"
    for name in sorted(_MODES & host.keys()):
        if _leaves(host[name] or ""):
            yield f"HostConfig.{name} leaves the container"
    for source in _sources(host):
        if source not in mounts:
            yield f"it mounts {source}, which is not among what it may"


def _leaves(*modes: object) -> bool:
    """Whether one of the namespaces or networks is not of the container itself."""
    return any(not isinstance(one, str) or one == "host" or one.startswith("container:") for one in modes)


def _sources(host: Mapping[str, Any]) -> Iterator[str]:
    """Everything that the container would mount from outside. Raises ValueError for what cannot be read."""
    for one in host.get("binds") or ():
        source, colon, _ = str(one).partition(":")
        if not colon or not (source.startswith("/") or _VOLUME.fullmatch(source)):
            raise ValueError("HostConfig.Binds has an entry that cannot be read")
        yield source
    for one in host.get("mounts") or ():
        mount = _fields(one)
        kind, source = mount.get("type"), mount.get("source") or ""
        if kind not in ("bind", *_NAMELESS_KINDS) or _fields(mount.get("volumeoptions") or {}).get("driverconfig"):
            raise ValueError(f"HostConfig.Mounts has a {kind} that it may not have")
        if source or kind not in _NAMELESS_KINDS:
            yield str(source)


def _fields(found: object) -> Mapping[str, Any]:
    """The object with its names in lower case."""
    if not isinstance(found, dict) or not all(name.isascii() for name in found):
        raise ValueError("it is not what a client of the engine sends")
    lower = {name.lower(): value for name, value in found.items()}
    if len(lower) != len(found):
        raise ValueError("one field is there twice")
    return lower
