"""The rows of `make bench` about the container beside a stack: how large, how soon, how much memory when idle.

Part of `bench/run.py`. The sidecar is that of e2e/test_sidecar.py: the real image, compose.controller.yml, a repository
that it follows over http.
"""

import datetime
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from e2e.harness import docker, git_remote, marked, matrix, sidecar

GIT = "{{git: {{url: '{url}', path: deploy}}}}"
CHECKS = 'i=0; while [ "$i" -lt 20 ]; do controller healthcheck; i=$((i+1)); done'


def rows(runs: int) -> Iterator[str]:
    """Every row; nothing when no engine answers, which the rows before have said."""
    environment = next(each for each in matrix.load() if each.name == "docker")
    if matrix.missing(environment):
        return
    with (
        tempfile.TemporaryDirectory(prefix="artifact-controller-bench-") as folder,
        git_remote.serving(Path(folder) / "git") as remote,
    ):
        marked.small(environment, remote.source)
        remote.push()
        place = Path(folder) / "site"
        site = sidecar.Site("docker", place, place / "config", source=GIT.format(url=remote.url))
        with sidecar.standing(site):
            site.up()
            site.await_pass(sidecar.settled)
            yield from _rows(site, runs)


def _rows(site: sidecar.Site, runs: int) -> Iterator[str]:
    size = int(docker.docker("image", "inspect", "--format", "{{.Size}}", site.settings["SIDECAR_IMAGE"]))
    yield f"| image, with the Docker tools in it | 250 MB | {size / 1e6:.0f} MB | |"
    starts = [_start(site) for _ in range(runs)]
    yield f"| container started, to the end of its first pass | 1 s | {_told(starts)} | {_resident_mib(site):.0f} MiB |"
    checks = [_check(site) for _ in range(runs)]
    yield f"| `controller healthcheck`, in the container | 60 ms | {_told(checks)} | |"


def _told(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} s"


def _start(site: sidecar.Site) -> float:
    """From the engine's word that the container has started to the log line of a pass in sync, in seconds."""
    site.compose("restart", sidecar.SERVICE)
    line = site.await_pass(sidecar.settled)
    begun, ended = site.state("{{.State.StartedAt}}"), str(line["timestamp"])
    return (_moment(ended) - _moment(begun)).total_seconds()


def _moment(text: str) -> datetime.datetime:
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")


def _check(site: sidecar.Site) -> float:
    """One of twenty in a row, in seconds: what `docker exec` takes is not ours."""
    begun = datetime.datetime.now(tz=datetime.UTC)
    docker.docker("exec", site.container, "true", check=False)
    between = datetime.datetime.now(tz=datetime.UTC)
    docker.docker("exec", site.container, "sh", "-c", CHECKS)
    ended = datetime.datetime.now(tz=datetime.UTC)
    return ((ended - between) - (between - begun)).total_seconds() / 20


def _resident_mib(site: sidecar.Site) -> float:
    listed = docker.docker("exec", site.container, "sh", "-c", "cat /proc/[0-9]*/status")
    return max(int(line.split()[1]) for line in listed.splitlines() if line.startswith("VmRSS:")) / 1024
