"""The rows of `make bench` that want an engine: a running stack, eleven functions whose builds use the CPU.

Part of `bench/run.py`. The plain sequence is what an applier without input digests does on every deploy: build and push
each function, one after the other, with `docker buildx build` and `docker push`.
"""

import contextlib
import os
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from controller import docker as engines
from controller.probes import stack as probe
from e2e.harness import artifacts, commands, converging, docker, matrix, stacks

HASH = "dd if=/dev/zero bs=1M count=20 2>/dev/null | sha256sum >/dev/null"
WORK = f'RUN i=0; while [ "$i" -lt 16 ]; do {HASH}; i=$((i+1)); done; echo {{salt}}\n'
"""About two seconds of one core, as installing dependencies takes."""
THIS_RUN = secrets.token_hex(4)
"""An engine that served an earlier bench has nothing of this one in its cache."""


def rows(runs: int) -> Iterator[str]:
    """Every row; nothing but a sentence when no engine answers."""
    environment = next(each for each in matrix.load() if each.name == "docker")
    lacking = matrix.missing(environment)
    if lacking:
        yield f"\nNo engine: {'; '.join(lacking)}. `make engine` starts one."
        return
    with tempfile.TemporaryDirectory(prefix="artifact-controller-bench-") as folder:
        place = Path(folder)
        with stacks.running(stacks.Stack("docker", place, place / "config")) as stack:
            artifact = artifacts.Artifact.copied(environment, place / "source")
            yield from _rows(converging.Target(stack, commands.Controller(stack), artifact), runs)


def _rows(target: converging.Target, runs: int) -> Iterator[str]:
    at_once = [_cold(target, f"parallel-{run}", str(os.cpu_count())) for run in range(2)]
    single = [_cold(target, f"single-{run}", "1") for run in range(2)]
    yield _row("11 functions, cold: build, push, publish", "-", at_once)
    yield _row("the same, one build at a time", "-", single)
    unchanged = [_timed(target.reconcile) for _ in range(runs)]
    yield _row("11 functions with a running stack, unchanged", "0.6 s", unchanged)
    changed = [_timed(lambda run=run: _change(target, run)) for run in range(runs)]  # type: ignore[misc]  # a lambda with a default has no type of its own
    yield _row("one changed function, to published", "2.5 s", changed)
    probed = list(_probes(target, runs))
    yield _row("probe of 20 containers, in a running process", "0.1 s", probed)
    plain = [_timed(lambda: _plain(target)) for _ in range(2)]
    yield _row("11 functions, unchanged, plain `docker buildx build` and `docker push`", "-", plain)
    ratio = min(single) / min(at_once)
    yield f"\nParallel against one at a time: {ratio:.2f} times as fast (must be >= 1.6 on 2 cores)"
    yield f"Unchanged pass against the plain sequence: {min(plain) / min(unchanged):.1f} times as fast"


def _row(case: str, limit: str, seconds: list[float]) -> str:
    return f"| {case} | {limit} | {min(seconds):.3f} s | {statistics.median(seconds):.3f} s | - |"


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _cold(target: converging.Target, salt: str, parallel: str) -> float:
    """Every function new to the engine: its Dockerfile works for a while, and never did with this salt."""
    for name in target.artifact.functions():
        dockerfile = target.artifact.function(name) / "Dockerfile"
        kept = [
            line for line in dockerfile.read_text(encoding="utf-8").splitlines(keepends=True) if "sha256sum" not in line
        ]
        dockerfile.write_text("".join(kept) + WORK.format(salt=f"{THIS_RUN}-{salt}-{name}"), encoding="utf-8")
    return _timed(lambda: target.reconcile(env={"CONTROLLER_IMAGES__PARALLEL": parallel}))


def _change(target: converging.Target, run: int) -> None:
    dockerfile = target.artifact.function("hello") / "Dockerfile"
    kept = [
        line for line in dockerfile.read_text(encoding="utf-8").splitlines(keepends=True) if "sha256sum" not in line
    ]
    dockerfile.write_text("".join(kept), encoding="utf-8")
    target.artifact.code("hello", f"echo hello {THIS_RUN}-{run}")
    target.reconcile()


@contextlib.contextmanager
def twenty_containers(project: str) -> Iterator[dict[str, str]]:
    """Twenty containers of one project, and the settings that look at them; no settings where no engine answers."""
    environment = next(each for each in matrix.load() if each.name == "docker")
    if matrix.missing(environment):
        yield {}
        return
    stacks.build_images("bench", "docker")
    labels = ["--label", f"{probe.LABEL_PROJECT}={project}", "--label", f"{probe.LABEL_SERVICE}=gateway"]
    made = [docker.docker("create", *labels, "esb-e2e-busybox", "true") for _ in range(20)]
    try:
        yield {"CONTROLLER_STACK__PROJECT": project}
    finally:
        docker.docker("rm", "--force", *made)


def _probes(target: converging.Target, runs: int) -> Iterator[float]:
    """Twenty containers of one project, looked at by an engine that was asked before."""
    project = f"{target.stack.project}-twenty"
    labels = ["--label", f"{probe.LABEL_PROJECT}={project}", "--label", f"{probe.LABEL_SERVICE}=gateway"]
    image = f"esb-lambda-base:{target.stack.tag}"
    made = [docker.docker("create", *labels, image, "true") for _ in range(20)]
    try:
        engine = engines.Engine()
        probe.observe(engine, project)
        for _ in range(runs):
            yield _timed(lambda: probe.observe(engine, project))
    finally:
        docker.docker("rm", "--force", *made)


def _plain(target: converging.Target) -> None:
    for name in target.artifact.functions():
        folder = target.artifact.function(name)
        text = (
            (folder / "Dockerfile")
            .read_text(encoding="utf-8")
            .replace("registry:5010/", f"{target.stack.registry.address}/")
        )
        plain = target.stack.folder / "plain" / name
        shutil.rmtree(plain, ignore_errors=True)
        shutil.copytree(folder, plain / "functions" / name)
        (plain / "Dockerfile").write_text(text.replace("# syntax=docker/dockerfile:1\n", ""), encoding="utf-8")
        tag = f"{target.stack.registry.address}/e2e-{name}:latest"
        for command in (["buildx", "build", "--load", "--tag", tag, str(plain)], ["push", "--quiet", tag]):
            docker.docker(*command)


if __name__ == "__main__":
    print("\n".join(rows(5)), file=sys.stdout)
