"""Runs of the files that CI systems read: a composite action of GitHub, a job of GitLab, a hook of pre-commit.

Each runs the real scripts of the real files in the way that its system documents; a construct that it does not know is
an error, so that a file cannot use what was never run.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.fakes import command

ACTION = command.ROOT / "action.yml"
GITLAB = command.ROOT / "templates" / "artifact-controller.gitlab-ci.yml"
HOOKS = command.ROOT / ".pre-commit-hooks.yaml"
_EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")


def read(file: Path) -> Any:
    """A YAML file as its system reads it."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@dataclass
class Ended:
    """How a pipeline ended: the code of what failed, or 0, everything that it printed, and the outputs of the action."""

    code: int
    text: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Runner:
    """Runs the action in a checkout, as a composite one: every step in bash, `-e -o pipefail`, until one fails."""

    checkout: Path
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)

    def run(self, **inputs: str) -> Ended:
        """One use of the action; names of inputs with an underscore for each dash."""
        action = read(ACTION)
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert set(given) <= set(action["inputs"]), "no such input"
        for name, described in action["inputs"].items():
            self.context[f"inputs.{name}"] = given.get(name, described["default"])
        self.context["github.action_path"] = str(command.ROOT)
        assert action["runs"]["using"] == "composite"
        ended = Ended(0)
        for step in action["runs"]["steps"]:
            if self._is_due(step):
                ended = self._step(step, ended.text)
            if ended.code:
                break
        outputs = {name: self._filled(each["value"]) for name, each in action["outputs"].items()}
        return Ended(ended.code, ended.text, outputs)

    def _is_due(self, step: Mapping[str, Any]) -> bool:
        if "if" not in step:
            return True
        found = re.fullmatch(r"([\w.-]+) != ''", step["if"])
        assert found, "a condition that this runner does not know"
        return self.context[found[1]] != ""

    def _step(self, step: Mapping[str, Any], before: str) -> Ended:
        assert set(step) <= {"id", "if", "shell", "env", "run"}
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an expression in a script would be read as shell"
        script = self.folder / f"{step['id']}.sh"
        script.write_text(step["run"], encoding="utf-8")
        files = {name: self.folder / f"{step['id']}-{name}" for name in ("output", "summary")}
        path = self.folder / "path"
        path.touch()
        environment = {
            **command.child_environment(),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.checkout),
            "GITHUB_OUTPUT": str(files["output"]),
            "GITHUB_STEP_SUMMARY": str(files["summary"]),
            "GITHUB_PATH": str(path),
            "RUNNER_TEMP": str(self.folder),
            **self.variables,
            **{name: self._filled(value) for name, value in step.get("env", {}).items()},
        }
        added = reversed(path.read_text(encoding="utf-8").splitlines())
        environment["PATH"] = os.pathsep.join([*added, environment["PATH"]])
        line = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
        ended = _run(line, environment, self.checkout)
        if files["output"].exists():
            for pair in files["output"].read_text(encoding="utf-8").splitlines():
                name, _, value = pair.partition("=")
                self.context[f"steps.{step['id']}.outputs.{name}"] = value
        return Ended(ended.code, before + ended.text)

    def _filled(self, text: str) -> str:
        return _EXPRESSION.sub(lambda match: self.context.get(match[1], ""), text)


def gitlab_job(name: str, checkout: Path, variables: Mapping[str, str]) -> Ended:
    """One job of the template: its script's lines, one after the other, until one fails."""
    script, known = _gitlab(name, {"CI_PROJECT_DIR": str(checkout), **variables})
    environment = {**command.child_environment(), **known}
    text = ""
    for line in script:
        ended = _run(["sh", "-e", "-c", line], environment, checkout)
        text += ended.text
        if ended.code:
            return Ended(ended.code, text)
    return Ended(0, text)


def gitlab_script(name: str, checkout: str, variables: Mapping[str, str]) -> str:
    """What GitLab's runner pipes into the shell of a job's image: one word in bash's own quotes, in which a variable may
    be a file. So the image needs more than the script says."""
    script, known = _gitlab(name, {"CI_PROJECT_DIR": checkout, **variables})
    lines = [f"export {key}={shlex.quote(value)}" for key, value in known.items()]
    lines += [f"mkdir -p {checkout}.tmp", f"printf '%s' one > {checkout}.tmp/FILE", f"export FILE={checkout}.tmp/FILE"]
    word = "\n".join([*lines, f"cd {checkout}", *script])
    quoted = word.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    begin = "if set -o | grep -q pipefail; then set -o pipefail; fi\nset -o errexit"
    return f"{begin}\n: | eval $'{quoted}'\nexit 0\n"


def _gitlab(name: str, variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The script of a job of the template, and all of its variables."""
    template = read(GITLAB)
    whole = {**template[template[name]["extends"]], **template[name]}
    known = {**template["variables"], **whole.get("variables", {}), **variables}
    return whole["script"], {key: str(value) for key, value in known.items()}


def hook(hook_id: str, checkout: Path, changed: list[str], variables: Mapping[str, str]) -> Ended | None:
    """What pre-commit does with these changed files; None when the hook is not run."""
    (found,) = [each for each in read(HOOKS) if each["id"] == hook_id]
    names = [name for name in changed if re.search(found["files"], name)]
    if not names:
        return None
    line = [*shlex.split(found["entry"]), *found["args"], *(names if found.get("pass_filenames", True) else [])]
    return _run(line, {**command.child_environment(), **variables}, checkout)


def _run(line: list[str], environment: Mapping[str, str], folder: Path) -> Ended:
    done = subprocess.run(
        line, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120
    )
    return Ended(done.returncode, done.stdout.decode(errors="replace"))


def with_command(folder: Path) -> dict[str, str]:
    """Variables under which `controller` is this source tree's."""
    shim = folder / "bin" / "controller"
    shim.parent.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nexec {" ".join(command.line())} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    return {"PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}
