"""One step of a job in a container: the controller's image, the checkout mounted read-only, GitHub's variables.

Owns the container and what the runner would read of it: code, annotations, outputs, summary.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.harness import commands, docker, sidecar, stacks
from tests.fakes import jobs

CHECKOUT = "/github/workspace"


@dataclass(frozen=True)
class Step:
    """How a step ended."""

    code: int
    out: str
    err: str
    outputs: Mapping[str, str]
    summary: str

    @property
    def annotations(self) -> list[jobs.Annotation]:
        """What GitHub shows at lines."""
        return jobs.annotations(self.out)

    @property
    def errors(self) -> list[str]:
        """The titles of its errors."""
        return [one.properties["title"] for one in self.annotations if one.name == "error"]


@dataclass
class Job:
    """A job over one checkout. Below `folder` are the runner's files, which only the step may write."""

    checkout: Path
    folder: Path
    stack: stacks.Stack | None = None
    image: str = field(default_factory=sidecar.image)

    def run(self, *arguments: str, expect: int, flags: tuple[str, ...] = ()) -> Step:
        """One step, which must end with this code. Without a stack it has no network and no engine."""
        self._clear()
        line = ["docker", "run", "--rm", "--read-only", "--tmpfs", "/tmp", *self._place(), *flags, self.image]  # noqa: S108
        done = subprocess.run(
            [*line, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False
        )
        if done.returncode != expect:
            raise docker.CommandFailed(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        lines = self._read("output").splitlines()
        return Step(
            done.returncode, done.stdout, done.stderr, dict(one.split("=", 1) for one in lines), self._read("summary")
        )

    @property
    def workspace(self) -> str:
        """Where the container has the checkout: with a stack where the host has it, whose target the job's is then
        (docs/ci.md); else where GitHub mounts it."""
        return CHECKOUT if self.stack is None else str(self.checkout)

    def _clear(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o777)
        for name in ("output", "summary"):
            (self.folder / name).unlink(missing_ok=True)

    def _read(self, name: str) -> str:
        """What the step wrote there; the forms that are not GitHub's write nothing."""
        file = self.folder / name
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def _place(self) -> list[str]:
        variables = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": self.workspace,
            "GITHUB_OUTPUT": f"{self.folder}/output",
            "GITHUB_STEP_SUMMARY": f"{self.folder}/summary",
        }
        volumes = [f"{self.checkout}:{self.workspace}:ro", f"{self.folder}:{self.folder}"]
        more = ["--network", "none"]
        if self.stack is not None:
            own = commands.Controller(self.stack).environment()
            variables |= {
                name: value
                for name, value in own.items()
                if name.startswith("CONTROLLER_") or name in ("CONTAINER_REGISTRY", "HOST_REGISTRY_ADDR")
            }
            folders = (*{str(file.parent) for file in self.stack.files}, str(self.stack.folder))
            volumes += [*(f"{each}:{each}:ro" for each in folders), f"{self.stack.config_dir}:{self.stack.config_dir}"]
            # By the name that the host has for it: a saved plan is for the stack of one engine, by its name.
            address = self.stack.engine or f"unix://{stacks.engine_socket()}"
            volumes += [":".join([address.removeprefix("unix://")] * 2)]
            variables["DOCKER_HOST"] = address
            more = ["--network", "host", "--user", f"{os.getuid()}:{os.getgid()}"]
        named = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        mounted = [part for volume in volumes for part in ("--volume", volume)]
        return ["--workdir", self.workspace, *more, *named, *mounted]
