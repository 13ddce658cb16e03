"""An engine on another host with its registry on its own loopback: converges, and stays so (contract.md section 5;
faults.md H10)."""

import re
from collections.abc import Iterator, Mapping

import pytest

from e2e.harness import artifacts, commands, converging, docker, stacks, tcp, watch


@pytest.fixture
def remote() -> Iterator[Mapping[str, str]]:
    """What tells the controller of the engine over TCP, at an address that is not loopback."""
    with tcp.engine() as address:
        yield {"DOCKER_HOST": address}


@pytest.fixture
def target(stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact) -> converging.Target:
    """The stack as it is, and the artifact."""
    return converging.Target(stack, controller, artifact)


def test_h10_a_base_that_the_engine_does_not_have_is_told_before_the_first_build(
    target: converging.Target, remote: Mapping[str, str]
) -> None:
    """Its digest cannot be asked for, and nothing is built on what is not known."""
    since = watch.now()
    report = target.reconcile(expect=69, env=remote)
    assert report.reason == "RegistryUnavailable"
    assert f"esb-lambda-base:{target.stack.tag}" in report.err
    assert f"on the engine's own host ({remote['DOCKER_HOST']})" in report.err
    assert watch.events(target.stack, since) == {}


def test_h10_from_nothing_to_converged_and_then_in_sync(target: converging.Target, remote: Mapping[str, str]) -> None:
    """The digests come from the engine that pushed them, and are those that the registry has."""
    registry = target.stack.registry
    for name in (f"esb-lambda-base:{target.stack.tag}", "esb-lambda-base:latest"):
        docker.docker("pull", "--quiet", f"{registry.address}/{name}")
    report = target.reconcile(env=remote)
    assert report.reason == "FirstPublish"
    assert report.images == dict.fromkeys(target.artifact.functions(), "build")
    pinned = pins(target)
    assert len(pinned) == len(target.artifact.functions())
    assert pinned == {name: registry.digest(name) for name in pinned}
    assert target.answer("/hello", "hello v1") == "hello v1"
    before, since = watch.tree(target.stack.config_dir), watch.now()
    assert target.reconcile(env=remote).reason == "InSync"
    assert watch.tree(target.stack.config_dir) == before
    assert watch.events(target.stack, since) == {}


def test_h10_changed_code_is_one_build_and_its_new_digest(target: converging.Target, remote: Mapping[str, str]) -> None:
    """The others are believed as they are recorded."""
    target.reconcile(env=remote)
    before = pins(target)
    target.artifact.code("hello", "echo built elsewhere")
    report = target.reconcile(env=remote)
    assert report.images == {"hello": "build"}
    assert pins(target) == {**before, "e2e-hello": target.stack.registry.digest("e2e-hello")} != before
    assert target.answer("/hello", "built elsewhere") == "built elsewhere"
    assert target.reconcile(env=remote).reason == "InSync"


def pins(target: converging.Target) -> Mapping[str, str]:
    """The digest that is published for every repository."""
    text = (target.stack.config_dir / "functions.yml").read_text(encoding="utf-8")
    return dict(re.findall(r"registry:5010/([\w-]+):latest@(sha256:[0-9a-f]{64})", text))
