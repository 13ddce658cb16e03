"""A rollback publishes digests that the registry has, or nothing (contract.md section 5; faults.md H10)."""

import pytest

from e2e.harness import artifacts, commands, converging, docker, stacks, watch


@pytest.fixture
def target(stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact) -> converging.Target:
    """The stack, converged with the committed artifact; the test edits the copy."""
    following = converging.Target(stack, controller, artifact)
    controller.run("resume", "--held", "--config-dir", str(stack.config_dir))
    following.reconcile()
    return following


def roll_back(target: converging.Target, *, expect: int = 0) -> commands.Ended:
    """To the revision before."""
    return target.controller.run("rollback", "--config-dir", str(target.stack.config_dir), expect=expect)


def test_h10_the_old_code_comes_back_and_nothing_is_pushed(target: converging.Target) -> None:
    """The usual case: the registry still has the older manifest, without a tag."""
    target.artifact.code("hello", "echo bad code")
    target.reconcile()
    assert target.answer("/hello", "bad code") == "bad code"
    since = watch.now()
    roll_back(target)
    assert target.answer("/hello", "hello v1") == "hello v1"
    assert watch.events(target.stack, since)["image push"] == 0
    target.reconcile(expect=77)


def test_h10_a_digest_that_only_the_engine_has_is_pushed_again(target: converging.Target) -> None:
    """The registry has it again before anything is published, and the newer one stays."""
    registry = target.stack.registry
    older = registry.digest("e2e-hello")
    target.artifact.code("hello", "echo another code")
    target.reconcile()
    newer = registry.digest("e2e-hello")
    registry.delete("e2e-hello", older)
    assert registry.digest("e2e-hello", older) == ""
    since = watch.now()
    ended = roll_back(target)
    assert "0 images built, 1 pushed" in ended.out
    assert [registry.digest("e2e-hello", digest) for digest in (older, newer)] == [older, newer]
    assert watch.events(target.stack, since)["image push"] == 1
    assert older in (target.stack.config_dir / "functions.yml").read_text(encoding="utf-8")
    assert target.answer("/hello", "hello v1") == "hello v1"


def test_h10_a_digest_that_is_nowhere_is_refused_and_nothing_changed(target: converging.Target) -> None:
    """77 with the function and the reference; building it from its source is the way out."""
    registry = target.stack.registry
    older = registry.digest("e2e-greet")
    code = target.artifact.function("greet") / "src" / "handler.sh"
    before = code.read_text(encoding="utf-8")
    target.artifact.code("greet", "echo another greeting")
    target.reconcile()
    newer = registry.digest("e2e-greet")
    registry.delete("e2e-greet", older)
    docker.docker("image", "rm", "--force", f"{registry.address}/e2e-greet@{older}")
    shown, since = watch.documents(target.stack.config_dir), watch.now()
    ended = roll_back(target, expect=77)
    assert "ImageLost" in ended.err
    assert f"registry:5010/e2e-greet:latest@{older} (function greet)" in ended.err
    assert watch.documents(target.stack.config_dir) == shown
    assert registry.digest("e2e-greet") == newer
    assert watch.events(target.stack, since) == {}
    assert target.reconcile().reason == "InSync", "a refused rollback holds nothing, and the record is as it was"
    code.write_text(before, encoding="utf-8")
    assert target.reconcile().images == {"greet": "build"}
    assert target.answer("/greet/you", "good day, INFO") == "good day, INFO"


def test_h10_a_registry_that_is_down_is_told_and_no_refusal(target: converging.Target) -> None:
    """Nobody knows: a person who wants the old code back gets it, with a word on what was not seen."""
    target.artifact.code("hello", "echo code before a registry went down")
    target.reconcile()
    target.stack.registry.stop()
    try:
        ended = roll_back(target)
    finally:
        target.stack.registry.start()
    assert "ImageNotChecked: function hello" in ended.err
    assert target.answer("/hello", "hello v1") == "hello v1"
