"""The test matrix: which environments there are, and what this machine lacks for each (contract.md section 11).

Owns the reading of `e2e/environments/test_matrix.yaml` and the checks of preconditions. Starts nothing.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.scripts import build_stack, debian_packages

FOLDER = Path(__file__).resolve().parent.parent / "environments"
LEGACY = frozenset({"deploy_driver", "artifact_generate"})
KERNEL = Path("/var/lib/firecracker/vmlinux")


class MatrixInvalid(Exception):
    """The matrix is not of its contract; the text names place and key."""


@dataclass(frozen=True)
class Environment:
    """One row. `artifact` is a committed file, `config_dir` is relative to the folder of a run."""

    name: str
    artifact: Path
    config_dir: str
    suites: tuple[str, ...]
    needs: tuple[str, ...]
    required: bool


def load(path: Path = FOLDER / "test_matrix.yaml") -> tuple[Environment, ...]:
    """Every environment, in the order of the file. Raises MatrixInvalid, for a legacy field as for an unknown one."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    _refuse_legacy(document, "")
    rows = document.get("environments") if isinstance(document, dict) else None
    if not isinstance(rows, dict) or not rows or set(document) != {"environments"}:
        raise MatrixInvalid(f"{path.name}: wants one key 'environments' with at least one environment below")
    return tuple(_environment(path, name, row) for name, row in rows.items())


def _environment(path: Path, name: str, row: Any) -> Environment:
    wanted = {"artifact", "config_dir", "suites", "needs", "required"}
    if not isinstance(row, dict) or set(row) != wanted:
        keys = sorted(wanted ^ set(row)) if isinstance(row, dict) else sorted(wanted)
        raise MatrixInvalid(f"{path.name}: environments.{name}: unknown or missing: {', '.join(keys)}")
    unknown = sorted(set(row["needs"]) - set(PIECES))
    if unknown:
        raise MatrixInvalid(f"{path.name}: environments.{name}.needs: nothing checks {', '.join(unknown)}")
    artifact = path.parent / row["artifact"]
    files = [artifact, *(path.parent.parent / suite for suite in row["suites"])]
    for file in files:
        if not file.is_file():
            raise MatrixInvalid(f"{path.name}: environments.{name}: no file {file.name}")
    return Environment(
        name, artifact, str(row["config_dir"]), tuple(row["suites"]), tuple(row["needs"]), bool(row["required"])
    )


def _refuse_legacy(value: Any, place: str) -> None:
    """contract.md section 9: these fields are a hard failure, wherever they stand."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        if key in LEGACY:
            raise MatrixInvalid(f"{place or 'top level'}: '{key}' is a legacy field: remove it")
        _refuse_legacy(below, f"{place}.{key}".lstrip("."))


def missing(environment: Environment) -> tuple[str, ...]:
    """What this machine lacks for the environment, each piece in words; empty when it can run."""
    return tuple(filter(None, (PIECES[need]() for need in environment.needs)))


def _engine() -> str:
    for words, what in (
        (["version", "--format", "{{.Server.Version}}"], "no engine answers: `make engine` starts one"),
        (["buildx", "version"], "docker has no buildx plugin"),
        (["compose", "version"], "docker has no compose plugin"),
    ):
        docker = shutil.which("docker")
        if docker is None:
            return "no docker command: `make engine` installs one"
        try:
            done = subprocess.run([docker, *words], capture_output=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return "the engine does not answer in 20 s"
        if done.returncode:
            return what
    return ""


def _packages() -> str:
    try:
        debian_packages.sources(debian_packages.release(), build_stack.SUITE)
    except debian_packages.PackagesUnavailable as problem:
        return f"the stack's images cannot be built: {problem}"
    return ""


def containerd_socket() -> Path:
    """Where containerd answers."""
    return Path(os.environ.get("CONTAINERD_ADDRESS") or "/run/containerd/containerd.sock")


def containerd_root() -> Path:
    """The folder of containerd's snapshots, which who runs `ctr` has to see."""
    return Path(os.environ.get("CONTAINERD_ROOT") or "/var/lib/containerd")


def _containerd() -> str:
    if not containerd_socket().is_socket():
        return f"no containerd at {containerd_socket()}: set CONTAINERD_ADDRESS"
    return "" if containerd_root().is_dir() else f"no folder {containerd_root()}: set CONTAINERD_ROOT"


def _kvm() -> str:
    return "" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "/dev/kvm is missing or closed"


def _firecracker() -> str:
    return "" if shutil.which("firecracker") else "no firecracker binary on PATH"


def _kernel() -> str:
    kernel = Path(os.environ.get("FIRECRACKER_KERNEL") or KERNEL)
    return "" if kernel.is_file() else "no guest kernel: set FIRECRACKER_KERNEL to a vmlinux"


def _snapshotter() -> str:
    ctr = shutil.which("ctr")
    if ctr is None:
        return "no ctr command to ask for a devmapper snapshotter"
    command = [ctr, "--address", str(containerd_socket()), "plugins", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    rows = [line.split() for line in listed.splitlines()]
    working = any(row[1:2] == ["devmapper"] and row[-1] == "ok" for row in rows)
    return "" if working else "containerd has no working devmapper snapshotter"


PIECES: Mapping[str, Callable[[], str]] = {
    "engine": _engine,
    "packages": _packages,
    "containerd": _containerd,
    "kvm": _kvm,
    "firecracker": _firecracker,
    "kernel": _kernel,
    "snapshotter": _snapshotter,
}
