"""A folder that is followed by a controller that stays, on a real stack: changes are served without another command,
others' edits are healed and told, and doing nothing costs nothing (faults.md D1, P12, L5)."""

import json
import signal
import time

import pytest

from e2e.harness import commands, converging, daemon, listening, marked, matrix, stacks, watch

PASSES, WARM = 1000, 200
"""Passes in all, and after how many of them everything is in memory that stays there."""


@pytest.fixture
def target(
    stack: stacks.Stack,
    controller: commands.Controller,
    environment: matrix.Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> converging.Target:
    """The stack, converged with the small artifact."""
    artifact = marked.small(environment, tmp_path_factory.mktemp("watched") / "source")
    following = converging.Target(stack, controller, artifact)
    following.reconcile()
    return following


def test_a_change_in_the_folder_is_served(target: converging.Target) -> None:
    """New code is built, pushed, published, and answers a request; exactly one build, and no provisioner run."""
    with daemon.following(target.controller, *target.options) as controller, listening.to(target.stack) as heard:
        controller.await_ready()
        seen = len(controller.lines)
        target.artifact.code("hello", "echo changed in the folder")
        line = controller.await_pass("SourceChanged", since=seen)
        print(daemon.told(line))
        assert (line["causes"], line["images_built"]) == (["files"], 1)
        assert target.answer("/hello", "changed in the folder") == "changed in the folder"
        counted = heard.counted()
        assert (counted["image push"], counted["container create provisioner"]) == (1, 0), counted
        assert controller.ends_well()


def test_a_hand_edit_is_healed_and_reported_as_drift(target: converging.Target) -> None:
    """P12: what somebody changed in CONFIG_DIR is put back within the interval; metrics and history say so."""
    config_dir = target.stack.config_dir
    before = watch.documents(config_dir)
    with daemon.following(target.controller, *target.options, env={"CONTROLLER_INTERVAL": "300ms"}) as controller:
        controller.await_ready()
        assert controller.metric("drifted_passes_total") == 0
        (config_dir / "routing.yml").write_text("routes: []\n", encoding="utf-8")
        line = controller.await_pass("Drifted")
        assert watch.documents(config_dir) == before
        assert set(line["causes"]) <= {"interval", "files"}, "the listening to files begins with a look of its own (D4)"
        assert (line["changed"], line["failed"]) == (True, False)
        assert controller.metric("drifted_passes_total") == 1
        seen = len(controller.lines)
        controller.await_pass("InSync", since=seen)
        assert target.answer("/hello", "hello v1") == "hello v1"
    told = target.controller.run("history", "--config-dir", str(config_dir), "--output", "json")
    assert json.loads(told.out)["rows"][0]["reason"] == "Drifted"


@pytest.mark.timeout(600)
def test_1000_idle_passes_cost_nothing(target: converging.Target) -> None:
    """L5: no writes, no engine changes, and memory, descriptors, threads and disk are what they were."""
    with (
        daemon.following(target.controller, *target.options) as controller,
        listening.to(target.stack) as heard,
    ):
        controller.await_ready()  # before that, the signal has its usual effect
        early = after_passes(controller, WARM)
        disk, since = watch.tree(target.stack.config_dir), heard.counted()
        late = after_passes(controller, PASSES)
        assert watch.tree(target.stack.config_dir) == disk
        assert heard.counted() == since
        print(f"after {WARM} passes {early}, after {PASSES} {late}")
        assert late.memory <= early.memory * 1.05
        assert late.descriptors <= early.descriptors
        assert late.threads <= early.threads
        assert {line["reason"] for line in controller.passes} == {"InSync"}


def after_passes(controller: daemon.Following, count: int) -> daemon.Held:
    """What the process holds after so many passes, each of which is asked for once the one before has ended: the least
    of some looks."""
    while len(controller.passes) < count:
        seen = len(controller.lines)
        controller.signal(signal.SIGUSR1)
        controller.await_pass(since=seen)
    looks = []
    for _ in range(5):
        time.sleep(0.1)
        looks.append(controller.held())
    least = [min(values) for values in zip(*((one.memory, one.descriptors, one.threads) for one in looks), strict=True)]
    return daemon.Held(*least)
