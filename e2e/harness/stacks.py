"""A running stack of its own for a test module: started, looked at, and removed by exact names.

Owns what compose gets to know, in one file for `--env-file`, which a test hands to the controller as well. Unique: the
project's name, the three ports, the folder.
"""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.harness import docker, matrix, moto, registry, web
from tests.fakes import ports

STACK = Path(__file__).resolve().parent.parent / "stack"
ROOT = STACK.parent.parent
TAG = "e2e"


@dataclass
class Stack:
    """One compose project. `settings` are the variables of compose.yml; `configure` changes them. `engine` is what a
    controller is told of the engine, "" for what the tests are told."""

    mode: str
    folder: Path
    config_dir: Path
    tag: str = TAG
    project: str = field(default_factory=lambda: f"esb-e2e-{secrets.token_hex(4)}")
    settings: dict[str, str] = field(default_factory=dict)
    engine: str = ""

    def __post_init__(self) -> None:
        """Choose ports and write the file; nothing is started."""
        self.config_dir.mkdir(parents=True, exist_ok=True)
        taken = dict(zip(("REGISTRY_PORT", "GATEWAY_PORT", "MOTO_PORT"), map(str, ports.free(3)), strict=True))
        usual = {
            "CONFIG_DIR": str(self.config_dir),
            "TAG": self.tag,
            "MODE": self.mode,
            "ENGINE_SOCKET": engine_socket(),
            "CONTAINERD_ADDRESS": str(matrix.containerd_socket()),
            "CONTAINERD_ROOT": str(matrix.containerd_root()),
            **taken,
        }
        self.configure(**{**usual, **self.settings})

    @property
    def env_file(self) -> Path:
        """For compose's `--env-file`."""
        return self.folder / "stack.env"

    @property
    def files(self) -> tuple[Path, ...]:
        """For compose's `-f`, in order."""
        more = (STACK / "compose.containerd.yml",) if self.mode == "containerd" else ()
        return (STACK / "compose.yml", *more)

    @property
    def gateway(self) -> web.Client:
        """Where requests go."""
        return web.Client(int(self.settings["GATEWAY_PORT"]))

    @property
    def moto(self) -> moto.Moto:
        """Where tables and buckets are."""
        return moto.Moto(int(self.settings["MOTO_PORT"]))

    @property
    def registry(self) -> registry.Registry:
        """Where images are."""
        return registry.Registry(int(self.settings["REGISTRY_PORT"]), f"{self.project}-registry-1")

    def configure(self, **settings: str) -> None:
        """Set variables of compose.yml for what compose does from now on, such as PROVISIONER_FAIL="1"."""
        self.settings.update(settings)
        self.env_file.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items()), encoding="utf-8")

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run one compose command on this project."""
        files = [part for file in self.files for part in ("--file", str(file))]
        project = ["--project-name", self.project, "--env-file", str(self.env_file)]
        return docker.docker("compose", *files, *project, *arguments, check=check)

    def up(self) -> None:
        """Start everything, wait until it is healthy, and put the lambda base into the registry."""
        build_images(self.tag, self.mode)
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "150")
        except docker.CommandFailed as problem:
            problem.add_note(self.compose("logs", "--tail", "20", check=False))
            raise
        for tag in (self.tag, "latest"):
            self.registry.push(f"esb-lambda-base:{self.tag}", f"esb-lambda-base:{tag}")

    def provision(self) -> subprocess.CompletedProcess[str]:
        """Run the provisioner by hand."""
        files = [part for file in self.files for part in ("--file", str(file))]
        command = ["docker", "compose", *files, "--project-name", self.project, "--env-file", str(self.env_file)]
        command += ["--profile", "deploy", "run", "--rm", "--no-deps", "-T", "provisioner"]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def workers(self) -> Mapping[str, str]:
        """The image that each function's running container was made from, by function."""
        if self.mode == "containerd":
            rows = [line.split() for line in docker.ctr(self.project, "containers", "list").splitlines()[1:]]
        else:
            listed = docker.docker(
                "ps", "--filter", f"label=esb.project={self.project}", "--format", "{{.Names}} {{.Image}}"
            )
            rows = [line.split() for line in listed.splitlines()]
        return {row[0].removeprefix(f"{self.project}-fn-"): row[1] for row in rows}

    def down(self) -> None:
        """Remove what belongs to this project: containers, network, and the names of images in its registry."""
        if self.mode == "containerd":
            self._empty_namespace()
        labels = (f"esb.project={self.project}", f"com.docker.compose.project={self.project}")
        ours = [
            name
            for label in labels
            for name in docker.docker("ps", "--all", "--quiet", "--filter", f"label={label}").split()
        ]
        if ours:
            docker.docker("rm", "--force", "--volumes", *dict.fromkeys(ours))
        self.compose("--profile", "deploy", "down", "--volumes", "--timeout", "0")
        shape = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
        listed = docker.docker("image", "ls", "--digests", "--format", shape, f"{self.registry.address}/*")
        names = [name for name in listed.split() if "<none>" not in name]
        if names:
            docker.docker("image", "rm", "--force", *dict.fromkeys(names))

    def _empty_namespace(self) -> None:
        for name in docker.ctr(self.project, "tasks", "list", "--quiet").split():
            docker.ctr(self.project, "tasks", "delete", "--force", name)
        for name in docker.ctr(self.project, "containers", "list", "--quiet").split():
            docker.ctr(self.project, "containers", "delete", name)
        images = docker.ctr(self.project, "images", "list", "--quiet").split()
        if images:
            docker.ctr(self.project, "images", "remove", "--sync", *images)
        for lease in docker.ctr(self.project, "leases", "list", "--quiet").split():
            docker.ctr(self.project, "leases", "delete", "--sync", lease)
        docker.ctr(self.project, "namespaces", "remove", self.project, check=False)


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """The stack, up and healthy; removed afterwards, also when it did not come up."""
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def build_images(tag: str, mode: str) -> None:
    """Build the stack's images of this version and mode, as far as they are missing."""
    docker.run([sys.executable, "-m", "e2e.scripts.build_stack", "--tag", tag, "--mode", mode], timeout=600)


def engine_socket() -> str:
    """The engine's socket, as containers can mount it."""
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
