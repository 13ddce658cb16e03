"""The provisioner: its exit code decides, there is never more than one, and a failed one costs no served function."""

import json

import pytest

from e2e.harness import artifacts, commands, converging, docker, stacks, watch
from tests.fakes import daemons


@pytest.fixture
def target(stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact) -> converging.Target:
    """The stack, converged with the committed artifact."""
    following = converging.Target(stack, controller, artifact)
    stack.configure(PROVISIONER_FAIL="", PROVISIONER_SLEEP="0")
    following.reconcile()
    return following


def another_table(target: converging.Target, name: str) -> None:
    """The artifact asks for one table more."""
    resources = target.artifact.document("api", "resources.yml")
    text = resources.read_text(encoding="utf-8")
    resources.write_text(text + text.partition("dynamodb:\n")[2].replace("e2e-orders", name))


def provisioners(target: converging.Target, *more: str) -> list[str]:
    """The provisioner's containers of this project, running or not, that pass these filters too."""
    filters = (
        f"label=com.docker.compose.project={target.stack.project}",
        "label=com.docker.compose.service=provisioner",
        *more,
    )
    listed = [part for each in filters for part in ("--filter", each)]
    return docker.docker("ps", "--all", "--quiet", *listed).split()


def test_provisioner_fails(target: converging.Target) -> None:
    """81: old functions and routes still serve, the record says so, and the next pass runs it again."""
    another_table(target, "e2e-failing")
    target.artifact.code("hello", "echo behind the provisioner")
    target.stack.configure(PROVISIONER_FAIL="3")
    report = target.reconcile(expect=81)
    assert (report.reason, "3" in report.err) == ("ProvisionerFailed", True)
    assert target.answer("/hello", "hello v1") == "hello v1"
    assert "e2e-failing" in (target.stack.config_dir / "resources.yml").read_text(encoding="utf-8")
    told = target.controller.run("status", "--config-dir", str(target.stack.config_dir), "--output", "json")
    ready = next(each for each in json.loads(told.out)["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ProvisionerFailed")
    assert provisioners(target) == []
    target.stack.configure(PROVISIONER_FAIL="")
    assert target.reconcile().body["plan"]["provision"] == "LastRunFailed"
    assert "e2e-failing" in target.stack.moto.tables()
    assert target.answer("/hello", "behind the provisioner") == "behind the provisioner"


def test_provisioner_killed_with_the_controller(target: converging.Target) -> None:
    """H1: the container outlives both; the next pass waits for it, counts its exit code once, and starts no second."""
    another_table(target, "e2e-orphaned")
    target.stack.configure(PROVISIONER_SLEEP="10")
    since = watch.now()
    first = target.start()
    until_running(target)
    first.kill()
    first.communicate()
    assert len(provisioners(target)) == 1
    report = target.reconcile()
    assert report.reason == "ProvisionDue", "the resources were live already"
    assert "e2e-orphaned" in target.stack.moto.tables()
    assert watch.events(target.stack, since)["container create provisioner"] == 1
    assert provisioners(target) == []
    assert target.reconcile().reason == "InSync"


def test_provisioner_past_its_deadline(target: converging.Target) -> None:
    """P8: not only the command ends, the container does too."""
    another_table(target, "e2e-late")
    target.stack.configure(PROVISIONER_SLEEP="600")
    env = {"CONTROLLER_DEADLINES__PROVISION": "8s", "CONTROLLER_STACK__PROVISION_ATTEMPTS": "1"}
    report = target.reconcile(expect=81, env=env)
    assert report.reason == "ProvisionerFailed"
    assert provisioners(target) == []


def test_the_provision_command_runs_it_once(target: converging.Target) -> None:
    """By itself, with the flags of the applier that it replaces."""
    target.stack.moto.reset()
    files = [part for file in target.stack.files for part in ("--compose-file", str(file))]
    arguments = ("--project", target.stack.project, *files, "--env-file", str(target.stack.env_file), "-v")
    since = watch.now()
    target.controller.run("provision", *arguments)
    assert "e2e-orders" in target.stack.moto.tables()
    assert watch.events(target.stack, since)["container create provisioner"] == 1


def until_running(target: converging.Target) -> None:
    """Return once the provisioner runs: whoever is killed between its making and its start leaves none behind."""
    daemons.until(lambda: provisioners(target, "status=running"))
