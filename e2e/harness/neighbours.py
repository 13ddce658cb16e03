"""Somebody else's stack on the same engine: as like ours as can be, and everything that the engine knows of it.

Its project's name begins with ours, its services have the names of ours, and one of its containers and its image bear
the labels that a controller of theirs would give. Whoever selects by a part of a name, by a service or by such a label
meets it.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core import image_inputs, provisioning
from e2e.harness import docker, replaced, stacks

_COMPOSE = """\
services:
  gateway: &idle
    image: {image}
    command: ["/bin/busybox", "sleep", "86400"]
    stop_grace_period: 0s
    volumes: ["kept:/kept"]
    networks: [default, more]
  agent: {{<<: *idle, labels: {{only: agent}}}}
  stopped: {{<<: *idle, command: ["/bin/busybox", "true"]}}
  provisioner: {{<<: *idle, command: ["/bin/busybox", "sh", "-c", "exit 3"], profiles: [deploy]}}
  frozen: {{<<: *idle}}
volumes: {{kept: {{}}}}
networks: {{more: {{}}}}
"""


@dataclass(frozen=True)
class Neighbour:
    """A running foreign project beside a stack."""

    stack: stacks.Stack

    @property
    def project(self) -> str:
        """Its name."""
        return f"{self.stack.project}-weak"

    @property
    def image(self) -> str:
        """The image of its services, which looks like one that a controller built."""
        return f"{self.stack.registry.address}/{self.project}-hello:latest"

    def inventory(self) -> Mapping[str, Any]:
        """Everything that the engine says of each of its containers, images, networks and volumes, by id; and the bytes
        that are kept in its volume."""
        label = f"label=com.docker.compose.project={self.project}"
        found = {
            "container": ["ps", "--all", "--no-trunc", "--quiet", "--filter", f"name={self.project}"],
            "its container": ["ps", "--all", "--no-trunc", "--quiet", "--filter", label],
            "image": ["image", "ls", "--no-trunc", "--quiet", f"*{self.project}*"],
            "image of a registry": ["image", "ls", "--no-trunc", "--quiet", f"*/*{self.project}*"],
            "network": ["network", "ls", "--no-trunc", "--quiet", "--filter", f"name={self.project}"],
            "volume": ["volume", "ls", "--quiet", "--filter", f"name={self.project}"],
        }
        seen: dict[str, Any] = {}
        for kind, words in found.items():
            for each in docker.docker(*words).split():
                seen[f"{kind} {each}"] = json.loads(docker.docker("inspect", each))
        seen["bytes"] = docker.docker("cp", f"{self.project}-gateway-1:/kept/file", "-")
        return seen

    def up(self) -> None:
        """Start it: running, ended, failed and frozen containers, and one of a provisioner that is under way."""
        function = f"LABEL {image_inputs.LABEL_INPUT}=sha256:theirs {image_inputs.LABEL_FUNCTION}=hello"
        built = replaced.derived(self.stack, "esb-e2e-busybox", function, "weak-neighbour")
        docker.docker("tag", built, self.image)
        self._compose("up", "--detach")
        self._compose("run", "--detach", "--no-deps", "provisioner")
        self._compose("pause", "frozen")
        docker.docker("exec", f"{self.project}-gateway-1", "/bin/busybox", "sh", "-c", "echo theirs > /kept/file")
        labels = (provisioning.LABEL_RUN, provisioning.LABEL_RESOURCES, provisioning.LABEL_TARGET)
        told = [part for label in labels for part in ("--label", f"{label}={self.project}")]
        name = provisioning.container_name(self.project)
        docker.docker("run", "--detach", "--name", name, *told, self.image, "/bin/busybox", "sleep", "86400")

    def down(self) -> None:
        """Remove all of it."""
        docker.docker("rm", "--force", provisioning.container_name(self.project), check=False)
        self._compose("--profile", "deploy", "down", "--volumes", "--remove-orphans", "--timeout", "0", check=False)
        docker.docker("image", "rm", "--force", self.image, f"{self.stack.project}-weak-neighbour", check=False)

    def _compose(self, *arguments: str, check: bool = True) -> str:
        file = self.stack.folder / "neighbour.yml"
        file.write_text(_COMPOSE.format(image=self.image), encoding="utf-8")
        return docker.docker("compose", "--file", str(file), "--project-name", self.project, *arguments, check=check)


@contextlib.contextmanager
def beside(stack: stacks.Stack) -> Iterator[Neighbour]:
    """A neighbour of this stack while the block lasts."""
    neighbour = Neighbour(stack)
    try:
        neighbour.up()
        yield neighbour
    finally:
        neighbour.down()
