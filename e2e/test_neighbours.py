"""A foreign stack on the same engine is never touched: everything that the engine says of its containers, images,
networks and volumes is the same before and after whatever we do (faults.md H6; contract.md section 8)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from e2e.harness import artifacts, commands, converging, daemon, neighbours, stacks, watch


@pytest.fixture(scope="module")
def neighbour(stack: stacks.Stack) -> Iterator[neighbours.Neighbour]:
    """Somebody else's stack, of a name that begins with ours."""
    with neighbours.beside(stack) as found:
        yield found


@pytest.fixture
def target(stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact) -> converging.Target:
    """The stack; each test converges it with the committed artifact first."""
    stack.configure(PROVISIONER_FAIL="", PROVISIONER_SLEEP="0")
    controller.run("resume", "--held", "--config-dir", str(stack.config_dir))
    return converging.Target(stack, controller, artifact)


def rename_table(target: converging.Target, name: str) -> None:
    """Ask for another table."""
    resources = target.artifact.document("api", "resources.yml")
    text = resources.read_text(encoding="utf-8")
    resources.write_text(text.replace("e2e-orders", name), encoding="utf-8")


def apply(target: converging.Target) -> None:
    """Builds, pushes, a run of the provisioner and a publish."""
    target.artifact.code("hello", "echo beside a neighbour")
    rename_table(target, "e2e-neighbour")
    since = watch.now()
    target.reconcile()
    assert watch.events(target.stack, since)["container create provisioner"] == 1
    assert target.answer("/hello", "beside a neighbour") == "beside a neighbour"


def roll_back(target: converging.Target) -> None:
    """To older code."""
    target.artifact.code("hello", "echo not for long")
    target.reconcile()
    target.controller.run("rollback", "--config-dir", str(target.stack.config_dir))
    assert target.answer("/hello", "hello v1") == "hello v1"


def provision(target: converging.Target) -> None:
    """By itself."""
    files = [part for file in target.stack.files for part in ("--compose-file", str(file))]
    arguments = ("--project", target.stack.project, *files, "--env-file", str(target.stack.env_file))
    target.controller.run("provision", *arguments)


def fail_to_provision(target: converging.Target) -> None:
    """At its deadline, when its container is stopped and removed."""
    rename_table(target, "e2e-never")
    target.stack.configure(PROVISIONER_SLEEP="600")
    short = {"CONTROLLER_DEADLINES__PROVISION": "8s", "CONTROLLER_STACK__PROVISION_ATTEMPTS": "1"}
    target.reconcile(expect=81, env=short)
    assert daemon.provisioners(target.stack) == []


def fail_to_build(target: converging.Target) -> None:
    """80."""
    dockerfile = target.artifact.function("hello") / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text(encoding="utf-8") + "RUN exit 7\n", encoding="utf-8")
    assert target.reconcile(expect=80).reason == "ImageBuildFailed"


def remove_a_function(target: converging.Target) -> None:
    """And its route: what is ours of it goes from CONFIG_DIR; theirs of the same name stays."""
    edit(target, "functions.yml", lambda document: document["functions"].pop("hello"))
    edit(target, "routing.yml", without_hello)
    target.reconcile()
    assert "e2e-hello" not in (target.stack.config_dir / "functions.yml").read_text(encoding="utf-8")


def without_hello(document: dict[str, Any]) -> None:
    """Leave out the routes to it."""
    document["routes"] = [each for each in document["routes"] if each["function"] != "hello"]


def build_all_anew(target: converging.Target) -> None:
    """`deploy --no-cache`."""
    arguments = ("--artifact", str(target.artifact.manifest), "--out", str(target.stack.config_dir), "--no-cache")
    target.controller.run("deploy", *arguments)


def edit(target: converging.Target, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a document of the entry "api"."""
    file = target.artifact.document("api", name)
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(yaml.safe_dump(document), encoding="utf-8")


ACTS = (apply, roll_back, provision, fail_to_provision, fail_to_build, remove_a_function, build_all_anew)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_h6_a_foreign_stack_is_never_touched(
    target: converging.Target, neighbour: neighbours.Neighbour, act: Callable[[converging.Target], None]
) -> None:
    """H6: ids, states, times, tags, attached networks, mounts and bytes."""
    before = neighbour.inventory()
    target.reconcile()
    act(target)
    after = neighbour.inventory()
    assert list(after) == list(before), "nothing went, and nothing came"
    assert differences(before, after) == {}


def test_the_inventory_sees_what_it_is_for(neighbour: neighbours.Neighbour) -> None:
    """Each kind of thing, each state, and the labels that could mislead."""
    found = neighbour.inventory()
    kinds = [name.partition(" ")[0] for name in found]
    assert {kind: kinds.count(kind) for kind in ("container", "network", "volume")} == {
        "container": 6,
        "network": 2,
        "volume": 1,
    }
    assert neighbour.image in str(found)
    states = {one["State"]["Status"] for name, (one, *_) in found.items() if name.startswith("container")}
    assert states == {"running", "exited", "paused"}
    assert "theirs" in found["bytes"]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not the same, as small as can be told."""
    return {
        f"{name}: {key}": (was.get(key), now.get(key))
        for name in before
        if name != "bytes"
        for was, now in zip(before[name], after[name], strict=True)
        for key in was.keys() | now.keys()
        if was.get(key) != now.get(key)
    } | ({} if before["bytes"] == after["bytes"] else {"bytes": (before["bytes"], after["bytes"])})
