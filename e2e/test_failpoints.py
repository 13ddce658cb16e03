"""A2 on a real engine: killed after every named step of a pass that builds, pushes, provisions and publishes."""

import json

import pytest

from controller import failpoints
from e2e.harness import artifacts, commands, converging, docker, stacks, watch

NOT_IN_THIS_PASS = {failpoints.Step.SWEPT, failpoints.Step.CONFIRMED}
"""tests/crash sweeps them, and every step of a publish."""


@pytest.fixture(scope="module")
def counted() -> dict[str, int]:
    """How many changes were made so far: each test makes one of its own."""
    return {"changes": 0}


@pytest.mark.parametrize("step", [step for step in failpoints.Step if step not in NOT_IN_THIS_PASS], ids=str)
def test_a2_killed_after_every_step(
    stack: stacks.Stack,
    controller: commands.Controller,
    artifact: artifacts.Artifact,
    counted: dict[str, int],
    step: failpoints.Step,
) -> None:
    """The next pass converges without a person: one push and one provisioner run in all, nothing left behind."""
    target = converging.Target(stack, controller, artifact)
    target.reconcile()
    counted["changes"] += 1
    said, table = f"hello after {step} {counted['changes']}", f"e2e-after-{step}"
    change(target, said, table)
    if step is failpoints.Step.CLAIMED:  # an applier of before has cleared the folder: it is claimed anew
        (stack.config_dir / ".controller-owner").unlink()
    since = watch.now()
    killed = target.start(env={"FAILPOINT": f"{step}:kill"})
    killed.communicate(timeout=240)
    assert killed.returncode == -9, f"no pass comes to {step}"
    target.reconcile()
    assert target.answer("/hello", said) == said
    assert table in stack.moto.tables()
    happened = watch.events(stack, since)
    assert (happened["image push"], happened["container create provisioner"]) == (1, 1), happened
    assert target.reconcile().reason == "InSync"
    label = f"label=com.docker.compose.project={stack.project}"
    assert docker.docker("ps", "--all", "--quiet", "--filter", label, "--filter", "name=artifact-provisioner") == ""


def change(target: converging.Target, said: str, table: str) -> None:
    """New code, and one table more."""
    target.artifact.code("hello", f"echo '{said}'")
    resources = target.artifact.document("api", "resources.yml")
    text = resources.read_text(encoding="utf-8")
    resources.write_text(text + text.partition("dynamodb:\n")[2].replace("e2e-orders", table))


def test_a_signal_while_the_provisioner_runs(
    stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact
) -> None:
    """P16: 143 at once; nothing half-written; the next pass ends what was begun."""
    target = converging.Target(stack, controller, artifact)
    target.reconcile()
    before = (stack.config_dir / "functions.yml").read_bytes()
    change(target, "hello after a signal", "e2e-after-a-signal")
    ended = controller.run(
        *("reconcile", "--once", *target.options, "--output", "json"),
        env={"FAILPOINT": "resources-live:term"},
        expect=143,
    )
    assert "nothing half-written is visible" in ended.err
    assert (stack.config_dir / "functions.yml").read_bytes() == before
    report = target.reconcile()
    assert json.dumps(report.body["plan"]["provision"]) == '"ResourcesChanged"'
    assert target.answer("/hello", "hello after a signal") == "hello after a signal"
