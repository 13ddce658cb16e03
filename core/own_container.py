"""Which container this process is in, and what the engine calls the folders that it sees there (faults.md H11, H12).

Owns the reading of the traces that an engine leaves in its containers, the choice among the containers that it then
shows, and the way from a path in here to a volume or a folder of the host. Pure: `controller.own_container` reads the
files and asks the engine.

What the traces are worth (tried with engine 26): the engine mounts /etc/hostname, hosts and resolv.conf from a folder
named after the container, whatever its host name, its network and its cgroup namespace. With ``network_mode:
container:…`` that folder is the *other* container's, and so is the host name; a cgroup path names the right one, and is
only ``/`` in a private namespace of version 2. So a container counts as this one only when its writable layer is the
root of this process, or, where the engine does not tell its layer, when everything mounted there is mounted here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BIND, VOLUME = "bind", "volume"

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_HOST_NAME = re.compile(r"[0-9a-f]{12}")
_OF_THE_ENGINE = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})
_ESCAPED = re.compile(r"\\([0-7]{3})")
_UPPER = re.compile(r"(?:^|,)upperdir=([^,]*)")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a container. `source` is a volume's name, or the path as the engine was given it; `kept_at` is where
    the engine's host has it, which may be spelt differently; `target` is the path in the container."""

    kind: str
    source: str
    target: str
    kept_at: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What an engine shows of a container. `layer` is the folder of its writable layer, "" when it does not tell."""

    id: str
    mounts: tuple[Mount, ...]
    layer: str = ""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a container's own files tell. `ids` are whole or abbreviated, the surest first; `layer` is the writable
    layer of the root, "" when it has none; `points` are the paths that something is mounted on."""

    ids: tuple[str, ...] = ()
    layer: str = ""
    points: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """A folder as the engine knows it: `rest` is the path below a volume, or below a folder of its host."""

    mount: Mount
    rest: str

    @property
    def path(self) -> str:
        """The path on the engine's host, "" for a volume."""
        return joined(self.mount.source, self.rest) if self.mount.kind == BIND else ""

    @property
    def names(self) -> frozenset[str]:
        """Everything that it may be called in ``stack.config_dir_on_host``."""
        own = {self.path} if self.path else ({self.mount.source} if not self.rest else set())
        return frozenset(own | ({joined(self.mount.kept_at, self.rest)} if self.mount.kept_at else set()))

    def __str__(self) -> str:
        """In words, for people."""
        if self.path:
            return f"{self.path} of the engine's host"
        return f"the volume {self.mount.source}" + (f", below it {self.rest}" if self.rest else "")


NOWHERE = Traces()
"""Of a process that is in no container."""


def traces(mounts: str, cgroups: str, host_name: str) -> Traces:
    """Read ``/proc/self/mountinfo``, ``/proc/self/cgroup`` and the host name. Lines that cannot be read are skipped."""
    points, layer, named = set(), "", []
    for root, point, options in _lines(mounts):
        points.add(point)
        if point == "/" and (found := _UPPER.search(options)):
            layer = found[1]
        if point in _OF_THE_ENGINE:
            named += _ID.findall(root)[-1:]
    by_group = (_ID.findall(line)[-1:] for line in cgroups.splitlines())
    ids = [one for found in by_group for one in found] + named
    ids += _HOST_NAME.findall(host_name) if len(host_name) == 12 else []
    return Traces(tuple(dict.fromkeys(ids)), layer, frozenset(points))


def chosen(here: Traces, shown: Iterable[Shown]) -> Shown | None:
    """The container that this process is in, of those that an engine shows; None when it is none of them."""
    fitting = [one for one in shown if _fits(here, one)]
    by_trace = (one for trace in here.ids for one in fitting if one.id.startswith(trace))
    return next(by_trace, None)


def place_of(path: str, mounts: Iterable[Mount]) -> Place | None:
    """What the engine calls an absolute path of this container, without ``.`` and links in it; None when it is on no
    mount, but in the container itself, or in its memory."""
    found = [Place(one, rest) for one in mounts if (rest := below(path, one.target)) is not None]
    nearest = max(found, key=lambda one: len(one.mount.target), default=None)
    return nearest if nearest is not None and nearest.mount.kind in (BIND, VOLUME) else None


def is_nameless(mount: Mount) -> bool:
    """Whether it is a volume that the engine named itself, which no compose file can name."""
    return mount.kind == VOLUME and _ID.fullmatch(mount.source) is not None


def below(path: str, folder: str) -> str | None:
    """The way from the folder to the path, "" when they are the same; None when the path is not below it."""
    path, folder = path.rstrip("/"), folder.rstrip("/")
    if path == folder:
        return ""
    return path[len(folder) + 1 :] if path.startswith(f"{folder}/") else None


def joined(folder: str, rest: str) -> str:
    """The path that leads from the folder along the rest."""
    return f"{folder.rstrip('/')}/{rest}" if rest else folder.rstrip("/") or "/"


def _fits(here: Traces, one: Shown) -> bool:
    if here.layer and one.layer:
        return _layer_name(here.layer) == _layer_name(one.layer)
    return all(mount.target.rstrip("/") in here.points for mount in one.mounts)


def _layer_name(folder: str) -> str:
    """``…/NAME/diff`` is told with another beginning, or none, when there are many layers."""
    return folder.rstrip("/").rpartition("/")[0].rpartition("/")[2]


def _lines(mounts: str) -> Iterator[tuple[str, str, str]]:
    """Root, mount point and the file system's options of each line; see proc(5)."""
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        fields, options = head.split(), tail.split()
        if len(fields) >= 5 and len(options) >= 3:
            yield _plain(fields[3]), _plain(fields[4]), _plain(options[2])


def _plain(field: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)
