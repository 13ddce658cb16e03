"""What a pass refuses before it builds, writes or runs anything, on a real engine."""

import json
from collections.abc import Callable

import pytest

from e2e.harness import artifacts, commands, converging, stacks, watch

Starting = Callable[[str, str], stacks.Stack]


@pytest.mark.parametrize(("tag", "mode", "strict"), [("other", "docker", True), ("e2e", "containerd", False)])
def test_compose_stack_of_another_version_or_mode(
    another_stack: Starting, artifact: artifacts.Artifact, tag: str, mode: str, strict: bool
) -> None:
    """76: nothing built, nothing written. Another version is a warning unless strict; another mode never is."""
    stack = another_stack(tag, mode)
    target = converging.Target(stack, commands.Controller(stack), artifact)
    since, before = watch.now(), watch.documents(stack.config_dir)
    report = target.reconcile(*(["--strict"] if strict else []), expect=76)
    assert report.reason == "StackIncompatible"
    assert (tag if strict else mode) in report.err
    assert watch.events(stack, since)["image push"] == 0
    assert [name for name in stack.registry.repositories() if name.startswith("e2e-")] == []
    assert watch.documents(stack.config_dir) == before
    probed = stack_probe(target)
    assert {each["service"] for each in probed["services"]} >= {"gateway", "agent"}


def test_engine_gone(stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact) -> None:
    """69, and the message names the socket."""
    target = converging.Target(stack, controller, artifact)
    report = target.reconcile(expect=69, env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert (report.reason, "/nowhere/docker.sock" in report.err) == ("DockerUnavailable", True)


def test_failed_build_names_the_function_and_its_log(
    stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact
) -> None:
    """80: two functions fail, both are told with the last lines of their log; nothing is published."""
    for name in ("hello", "report"):
        dockerfile = artifact.function(name) / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text(encoding="utf-8") + f"RUN echo trouble in {name} && exit 7\n")
    before = watch.documents(stack.config_dir)
    report = converging.Target(stack, controller, artifact).reconcile(expect=80)
    assert report.reason == "ImageBuildFailed"
    assert "trouble in hello" in report.err
    assert "trouble in report" in report.err
    assert watch.documents(stack.config_dir) == before


def stack_probe(target: converging.Target) -> dict[str, list[dict[str, str]]]:
    """What `controller probe` shows."""
    ended = target.controller.run("probe", "--project", target.stack.project, "--output", "json", expect=None)
    found: dict[str, list[dict[str, str]]] = json.loads(ended.out)
    return found
