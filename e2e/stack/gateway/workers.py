"""One warm worker for each function, shared by the gateway's processes.

Owns when a worker is started, kept and replaced; how a container is run belongs to the runtimes. A worker stays what it
is while it is warm, whatever the files say (consumers.md GW14); `warm_s` says for how long after its last request.
"""

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

SCRATCH = Path(tempfile.gettempdir())
INVOKE = "/cgi-bin/invoke"
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in ("oci.image.index.v1", "oci.image.manifest.v1", "docker.distribution.manifest.v2")
)


class Unavailable(Exception):
    """No worker can be had now; the text says why."""


@dataclass(frozen=True)
class Wanted:
    """A container: `image` as the runtime pulls it, `spec` names everything that it was made from."""

    name: str
    image: str
    spec: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Worker:
    """A running container, and where it answers."""

    spec: str
    host: str
    port: int


class Runtime(Protocol):
    """What runs containers."""

    def find(self, name: str) -> Worker | None:
        """The running worker of this name."""

    def start(self, wanted: Wanted) -> Worker:
        """Pull the image when it is not there, and replace the container of this name. Raises Unavailable."""


class Pool:
    """Workers by function."""

    def __init__(self, runtime: Runtime, *, warm_s: float) -> None:
        self._runtime = runtime
        self._warm_s = warm_s

    def ask(self, name: str, function: Mapping[str, Any], event: Mapping[str, str]) -> tuple[int, str]:
        """Status and text of one call. A value of the environment that is no string raises (GW10)."""
        environment = {key: "" + value for key, value in function["environment"].items()}
        worker = self._worker(name, str(function["image"]), environment)
        used = SCRATCH / f"used-{name}"
        used.touch()
        return _call(worker, json.dumps(event).encode(), timeout=float(function.get("timeout") or 30))

    def _worker(self, name: str, image: str, environment: Mapping[str, str]) -> Worker:
        container = f"{os.environ['PROJECT']}-fn-{name}"
        with _locked(SCRATCH / f"start-{name}.lock"):
            warm = self._runtime.find(container)
            if warm is not None and _idle(SCRATCH / f"used-{name}") < self._warm_s:
                return warm
            now = digest(image)
            parts = json.dumps([image, now, sorted(environment.items())])
            spec = hashlib.sha256(parts.encode()).hexdigest()[:16]
            if warm is not None and (warm.spec == spec or not now):
                return warm
            exact = f"{image.partition('@')[0]}@{now}" if now else image
            return self._runtime.start(Wanted(container, exact, spec, environment))


def digest(image: str) -> str:
    """The digest that the reference means now: its own, else what the registry says; "" when that does not answer."""
    rest, _, pinned = image.partition("@")
    if pinned:
        return pinned
    registry, _, name = rest.partition("/")
    repository, _, tag = name.partition(":")
    connection = http.client.HTTPConnection(registry, timeout=5)
    path = f"/v2/{repository}/manifests/{tag or 'latest'}"
    try:
        connection.request("HEAD", path, headers={"Accept": MANIFESTS})
        answer = connection.getresponse()
        return (answer.getheader("Docker-Content-Digest") or "") if answer.status == http.HTTPStatus.OK else ""
    except OSError:
        return ""
    finally:
        connection.close()


def _call(worker: Worker, event: bytes, *, timeout: float) -> tuple[int, str]:
    until = time.monotonic() + 10
    while True:
        connection = http.client.HTTPConnection(worker.host, worker.port, timeout=timeout)
        try:
            connection.connect()
        except OSError as problem:
            connection.close()
            if time.monotonic() > until:
                raise Unavailable(f"the worker does not listen: {problem}") from problem
            time.sleep(0.02)
            continue
        with contextlib.closing(connection):
            try:
                connection.request("POST", INVOKE, body=event)
                answer = connection.getresponse()
                return answer.status, answer.read().decode(errors="replace")
            except TimeoutError:
                return 504, "the function took too long\n"


def _idle(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return float("inf")


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
