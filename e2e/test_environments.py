"""The controller in every environment of the matrix: the same artifact's functions, applied, changed and rolled back
(contract.md section 11)."""

import pytest

from e2e.harness import artifacts, commands, converging, stacks

pytestmark = pytest.mark.parametrize("environment", ["docker", "containerd", "firecracker"], indirect=True)


def test_applied_changed_and_rolled_back(
    stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact
) -> None:
    """What a request gets follows the source, whatever runs the functions."""
    target = converging.Target(stack, controller, artifact)
    first = target.reconcile()
    assert (first.reason, len(first.images)) == ("FirstPublish", len(artifact.functions()))
    assert target.answer("/hello", "hello v1") == "hello v1"
    assert target.reconcile().reason == "InSync"
    artifact.code("hello", "echo hello v2")
    assert target.reconcile().images == {"hello": "build"}
    assert target.answer("/hello", "hello v2") == "hello v2"
    controller.run("rollback", "--config-dir", str(stack.config_dir))
    assert target.answer("/hello", "hello v1") == "hello v1"
    assert stack.moto.buckets() == ("e2e-pictures",)
