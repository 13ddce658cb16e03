"""One stack, one artifact and the command between them: what most end-to-end tests do, in their words."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core import ownership
from e2e.harness import artifacts, commands, stacks


@dataclass(frozen=True)
class Report:
    """What `reconcile --once --output json` said."""

    code: int
    body: Mapping[str, Any]
    err: str

    @property
    def reason(self) -> str:
        """The outcome or the reason of the failure."""
        return str(self.body["reason"])

    @property
    def images(self) -> dict[str, str]:
        """What was needed by function: ``build`` or ``push``."""
        plan = self.body["plan"] or {"images": []}
        return {image["function"]: image["need"] for image in plan["images"]}


@dataclass(frozen=True)
class Target:
    """The stack of a module, followed from one copy of the artifact; CONFIG_DIR is its own from when it is made."""

    stack: stacks.Stack
    controller: commands.Controller
    artifact: artifacts.Artifact

    def __post_init__(self) -> None:
        (self.stack.config_dir / ownership.NAME).unlink(missing_ok=True)

    @property
    def options(self) -> tuple[str, ...]:
        """The options that name source and target."""
        manifest = str(self.artifact.manifest.relative_to(self.artifact.source))
        return (
            *("--source", str(self.artifact.source), "--manifest", manifest),
            *("--config-dir", str(self.stack.config_dir)),
        )

    def reconcile(self, *more: str, expect: int | None = 0, env: Mapping[str, str] | None = None) -> Report:
        """One pass, which must end with this exit code (None: any)."""
        arguments = ("reconcile", "--once", "--output", "json", *self.options, *more)
        ended = self.controller.run(*arguments, env=env, expect=expect)
        return Report(ended.code, json.loads(ended.out), ended.err)

    def start(self, *more: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """A pass that goes on beside the test."""
        return self.controller.start("reconcile", "--once", "--output", "json", *self.options, *more, env=env)

    def answer(self, path: str, text: str) -> str:
        """What a request gets, once it is this text or time is over."""
        return self.stack.gateway.until(lambda answer: answer.text.strip() == text, path).text.strip()
