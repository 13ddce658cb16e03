"""The controller as a whole process, with the settings of one stack."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.harness import stacks


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Controller:
    """Runs the installed `controller` against one stack; `by` is what runs it, such as a tracer."""

    stack: stacks.Stack
    by: tuple[str, ...] = ()

    @property
    def through(self) -> dict[str, str]:
        """The way to the engine, where it is not that of the tests."""
        return {"DOCKER_HOST": self.stack.engine} if self.stack.engine else {}

    def environment(self, **more: str) -> dict[str, str]:
        """What tells the controller of the stack: by variables, so that no test writes a settings file."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CONTROLLER_")}
        return {
            **kept,
            **self.through,
            "CONTAINER_REGISTRY": "registry:5010",
            "HOST_REGISTRY_ADDR": self.stack.registry.address,
            "CONTROLLER_STACK__COMPOSE_FILES": ",".join(map(str, self.stack.files)),
            "CONTROLLER_STACK__PROJECT": self.stack.project,
            "CONTROLLER_STACK__ENV_FILE": str(self.stack.env_file),
            "CONTROLLER_STACK__CONFIG_DIR_ON_HOST": str(self.stack.config_dir),  # the tests may run in a container
            **more,
        }

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start one command and leave it running; the test ends or awaits it."""
        return subprocess.Popen(
            [*self.by, str(Path(sys.executable).parent / "controller"), *arguments],
            env=self.environment(**(env or {})),
            cwd=self.stack.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, expect: int | None = 0) -> Ended:
        """Run one command to its end; `expect` is the exit code it must have, None for any."""
        with self.start(*arguments, env=env) as process:
            try:
                out, err = process.communicate(timeout=240)
            except BaseException:
                process.kill()
                raise
        ended = Ended(process.returncode, out, err)
        if expect is not None and ended.code != expect:
            words = " ".join(arguments)
            raise AssertionError(f"controller {words}: exit {ended.code}, not {expect}\n{out}\n{err}")
        return ended
