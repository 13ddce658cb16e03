"""An engine and its registry in memory: what `controller.docker.Engine` offers, without a docker.

What happens is scripted before: `fail` makes calls raise, `during` runs something inside of them, `outcomes` and
`exits` are what services and containers end with. What happened is counted: `calls` in their order, `built` with the
context as it was, `high_water` of calls at the same time. Safe for threads.
"""

import contextlib
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from controller import docker
from core import compose_definition, digest, image_inputs

HERE = "linux/amd64"


def failed(*tail: str, exit_code: int = 1) -> docker.CommandFailed:
    """A command that said no, with the last lines of its log."""
    return docker.CommandFailed(exit_code, tail)


@dataclass(frozen=True, slots=True)
class Built:
    """One build that went well: what was asked, the Dockerfile's text and every file of the context by its path."""

    wanted: docker.BuildRequest
    dockerfile: str
    files: Mapping[str, bytes]


@dataclass
class Engine:
    """One engine. An image that is put here with our label is dated as if it was built here, unless told otherwise;
    `platform` is what it builds for. `local` is by image id, `registry` by reference, `standing` are its containers."""

    address: str = "unix:///fake.sock"
    remote: bool = False
    platform: str = HERE
    local: dict[str, docker.EngineImage] = field(default_factory=dict)
    registry: dict[str, docker.RemoteManifest] = field(default_factory=dict)
    standing: dict[str, docker.Container] = field(default_factory=dict)
    defined: Collection[str] | None = None
    """The services of compose files; None for the one that is asked for."""
    elsewhere: frozenset[str] = frozenset()
    """Those of them that are in no profile but one of their own."""
    definitions: dict[str, compose_definition.Definition] = field(
        default_factory=lambda: {"": compose_definition.Definition({})}
    )
    """What compose files define, by what CONFIG_DIR is told to be; "" for any other, and for none."""
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The log of a container, by its id."""
    outcomes: deque[docker.RunOutcome] = field(default_factory=deque)
    """How the next services end; exit code 0 when there is none left."""
    exits: dict[str, int] = field(default_factory=dict)
    """The exit code of a container that is waited for, by its id; 0 when it is not here."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Every call: its name, and the reference, service or container that it was about."""
    built: list[Built] = field(default_factory=list)
    runs: list[docker.ServiceRun] = field(default_factory=list)
    high_water: Counter[str] = field(default_factory=Counter)
    """The most calls of each name that ran at the same time."""
    _running: Counter[str] = field(default_factory=Counter)
    _failing: defaultdict[tuple[str, str], deque[Exception]] = field(default_factory=lambda: defaultdict(deque))
    _during: dict[str, Callable[[str], object]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # Scripting and counting.

    def fail(self, call: str, subject: str, error: Exception, *, times: int = 1) -> None:
        """Let the next `times` such calls about the subject raise; "" is every subject."""
        self._failing[call, subject].extend([error] * times)

    def during(self, call: str, act: Callable[[str], object]) -> None:
        """Run this inside of every such call, with its subject, before it fails or has an effect."""
        self._during[call] = act

    def count(self, call: str) -> int:
        """How often it was called."""
        return sum(name == call for name, _ in self.calls)

    def hold(
        self, reference: str, labels: Mapping[str, str] | None = None, *, created_s: int | None = None
    ) -> docker.EngineImage:
        """Put an image into the engine; its id depends on its name and its labels."""
        return self._keep(_image(reference, labels or {}, HERE, created_s), (reference,))

    def publish(
        self, reference: str, labels: Mapping[str, str] | None = None, *, created_s: int | None = None
    ) -> docker.RemoteManifest:
        """Put an image into the registry only."""
        dated = _image(reference, labels or {}, HERE, created_s).created_s
        held = docker.RemoteManifest(_identity("manifest", reference, labels or {}), dict(labels or {}), dated)
        self.registry[reference] = held
        return held

    @contextlib.contextmanager
    def _doing(self, call: str, subject: str = "") -> Iterator[None]:
        with self._lock:
            self.calls.append((call, subject))
            self._running[call] += 1
            self.high_water[call] = max(self.high_water[call], self._running[call])
        try:
            if call in self._during:
                self._during[call](subject)
            with self._lock:
                for scripted in (self._failing[call, subject], self._failing[call, ""]):
                    if scripted:
                        raise scripted.popleft()
                yield
        finally:
            with self._lock:
                self._running[call] -= 1

    # What docker.Engine offers.

    def preflight(self, pieces: Collection[docker.Piece]) -> None:
        with self._doing("preflight", ",".join(sorted(pieces))):
            pass

    def containers(
        self,
        labels: Mapping[str, str] | None = None,
        *,
        name: str = "",
        environment: Collection[str] = (),
    ) -> tuple[docker.Container, ...]:
        with self._doing("containers", name):
            return tuple(
                replace(one, environment={key: one.environment[key] for key in environment if key in one.environment})
                for one in self.standing.values()
                if (labels or {}).items() <= one.labels.items() and name in {"", one.name}
            )

    def containers_of(self, ids: Collection[str]) -> tuple[docker.Container, ...]:
        with self._doing("containers_of", ",".join(ids)):
            return tuple(one for one in self.standing.values() if any(one.id.startswith(each) for each in ids))

    def images(self, references: Collection[str]) -> Mapping[str, docker.EngineImage]:
        with self._doing("images"):
            return {name: found for name in references if (found := self._find(name)) is not None}

    def labelled_images(self, label: str) -> tuple[docker.EngineImage, ...]:
        with self._doing("labelled_images", label):
            return tuple(one for one in self.local.values() if label in one.labels)

    def remote_manifest(self, reference: str) -> docker.RemoteManifest | None:
        with self._doing("remote_manifest", reference):
            return self.registry.get(reference)

    def build(self, wanted: docker.BuildRequest) -> str:
        with self._doing("build", wanted.tags[0]):
            files = {
                str(path.relative_to(wanted.context)): path.read_bytes()
                for path in sorted(wanted.context.rglob("*"))
                if path.is_file()
            }
            made = Built(wanted, wanted.dockerfile.read_text(encoding="utf-8"), files)
            self.built.append(made)
            content = digest.of_parts((made.dockerfile, *(f"{name} {files[name]!r}" for name in files)))
            facts = {**wanted.labels, **wanted.contexts}
            platform = wanted.platform or self.platform
            made_here = docker.EngineImage(
                _identity("image", content, facts), (), (), dict(wanted.labels), platform, wanted.created_s
            )
            return self._keep(made_here, wanted.tags).id

    def tag(self, image_id: str, reference: str) -> None:
        with self._doing("tag", reference):
            found = self._find(image_id)
            if found is None:
                raise failed(f"Error response from daemon: No such image: {image_id}")
            self._keep(found, (reference,))

    def push(self, reference: str) -> None:
        with self._doing("push", reference):
            found = self._find(reference)
            if found is None:
                raise failed(f"An image does not exist locally with the tag: {reference}")
            manifest = _identity("manifest", found.id, {})
            self.registry[reference] = docker.RemoteManifest(manifest, found.labels, found.created_s)
            pushed = f"{reference.rpartition(':')[0]}@{manifest}"
            self.local[found.id] = replace(found, repo_digests=(*found.repo_digests, pushed))

    def run_service(self, wanted: docker.ServiceRun) -> docker.RunOutcome:
        with self._doing("run_service", wanted.service):
            self.runs.append(wanted)
            if any(one.name == wanted.name for one in self.standing.values()):
                taken = f'Error response from daemon: Conflict. The container name "/{wanted.name}" is already in use'
                return docker.RunOutcome(1, (taken,))
            return self.outcomes.popleft() if self.outcomes else docker.RunOutcome(0, ())

    def services(self, wanted: docker.ServiceRun, *, profile: str | None) -> tuple[str, ...]:
        with self._doing("services", profile or ""):
            if self.defined is None:
                return (wanted.service,)
            return tuple(sorted(self.defined if profile == "*" else set(self.defined) - self.elsewhere))

    def definition(
        self, wanted: docker.ServiceRun, *, profile: str | None, interpolate: bool = True
    ) -> compose_definition.Definition:
        with self._doing("definition", profile or ""):
            return self.definitions.get(wanted.environment.get("CONFIG_DIR", ""), self.definitions[""])

    def wait(self, container_id: str, *, seconds: float) -> int:
        with self._doing("wait", container_id):
            code = self.exits.get(container_id, 0)
            if container_id in self.standing:
                ended = replace(self.standing[container_id], state="exited", exit_code=code)
                self.standing[container_id] = ended
            return code

    def logs(self, container_id: str, *, lines: int) -> tuple[str, ...]:
        with self._doing("logs", container_id):
            return self.words.get(container_id, ())[-lines:]

    def stop(self, container_id: str, *, grace_s: int = 10) -> None:
        with self._doing("stop", container_id):
            if container_id in self.standing:
                self.standing[container_id] = replace(self.standing[container_id], state="exited", exit_code=143)

    def remove(self, container_id: str) -> None:
        with self._doing("remove", container_id):
            self.standing.pop(container_id, None)

    def _find(self, name: str) -> docker.EngineImage | None:
        by_tag = (one for one in self.local.values() if name in one.tags or name in one.repo_digests)
        return self.local.get(name) or next(by_tag, None)

    def _keep(self, image: docker.EngineImage, tags: tuple[str, ...]) -> docker.EngineImage:
        """A tag leaves the image that had it, which stays without one."""
        for one in list(self.local.values()):
            self.local[one.id] = replace(one, tags=tuple(tag for tag in one.tags if tag not in tags))
        known = self.local.get(image.id, image)
        self.local[image.id] = replace(image, tags=(*known.tags, *tags), repo_digests=known.repo_digests)
        return self.local[image.id]


def _image(reference: str, labels: Mapping[str, str], platform: str, created_s: int | None) -> docker.EngineImage:
    told = labels.get(image_inputs.LABEL_INPUT)
    dated = image_inputs.created_s(told) if told and created_s is None else created_s
    return docker.EngineImage(_identity("image", reference, labels), (), (), dict(labels), platform, dated)


def _identity(kind: str, name: str, facts: Mapping[str, str]) -> str:
    return digest.of_parts((kind, name, *(part for pair in sorted(facts.items()) for part in pair)))
