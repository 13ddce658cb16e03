"""H10: the registry goes away in the middle of a layer. Nothing is published and nothing half is under a tag; what had
arrived before is not pushed again, and what had not is pushed by the next pass, no more and no less."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from e2e.harness import artifacts, commands, converging, docker, severed, stacks, watch

BIG = 1 << 20
"""Bytes of a function, which do not compress: its layer takes many pieces."""
HALF = BIG // 2
CHANGED = ("greet", "hello", "status")
"""Pushed in this order, one at a time."""


@pytest.fixture(scope="module")
def way(stack: stacks.Stack) -> Iterator[severed.Way]:
    """The way to the stack's registry; the engine keeps none of the names that it makes."""
    with severed.before(stack.registry.port) as found:
        yield found
    shape = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    listed = docker.docker("image", "ls", "--digests", "--format", shape, f"{found.address}/*")
    names = [name for name in listed.split() if "<none>" not in name]
    if names:
        docker.docker("image", "rm", "--force", *dict.fromkeys(names))


@pytest.fixture
def target(stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact) -> converging.Target:
    """The stack and the artifact."""
    return converging.Target(stack, controller, artifact)


def through(way: severed.Way, push_s: int) -> dict[str, str]:
    """What lets a pass push through this way, one image at a time."""
    return {
        "HOST_REGISTRY_ADDR": way.address,
        "CONTROLLER_IMAGES__PARALLEL": "1",
        "CONTROLLER_DEADLINES__PUSH": f"{push_s}s",
    }


def change(target: converging.Target, way: severed.Way, *functions: str) -> None:
    """Converge through this way, and change these functions: each gets a layer of its own size and an answer."""
    target.reconcile(env=through(way, 200))
    for name in functions:
        source = target.artifact.function(name) / "src"
        (source / "weight").write_bytes(random.Random(str(source)).randbytes(BIG))  # noqa: S311 - ballast
        target.artifact.code(name, f"echo {name} of {target.artifact.source.parent.name}")
    resources = target.artifact.document("api", "resources.yml")
    text = resources.read_text(encoding="utf-8")
    resources.write_text(text.replace("e2e-orders", f"e2e-{len(target.stack.moto.tables())}-orders"), encoding="utf-8")
    way.put.clear()


def digests(target: converging.Target) -> dict[str, str]:
    """What the registry really has under each changed function's tag."""
    return {name: target.stack.registry.digest(f"e2e-{name}") for name in CHANGED}


def live(target: converging.Target) -> dict[str, tuple[int, int, int]]:
    """CONFIG_DIR but for the record."""
    tree = watch.tree(target.stack.config_dir)
    return {name: each for name, each in tree.items() if ".controller" not in name and name != "."}


def pushes(way: severed.Way, since: str) -> Counter[str]:
    """The engine's own word on what it pushed through this way, by repository."""
    shape = "{{.Actor.Attributes.name}}"
    filters = ("--filter", "type=image", "--filter", "event=push")
    told = docker.docker("events", "--since", since, "--until", watch.now(), *filters, "--format", shape)
    ours = (name.removeprefix(f"{way.address}/") for name in told.split() if name.startswith(way.address))
    return Counter(name.partition(":")[0] for name in ours)


def test_h10_registry_goes_down_in_the_middle_of_a_layer(target: converging.Target, way: severed.Way) -> None:
    """80; then exactly the missing pushes."""
    change(target, way, *CHANGED)
    before, shown, tables = digests(target), live(target), target.stack.moto.tables()
    way.sever("e2e-hello", after=HALF)
    report = target.reconcile(expect=80, env=through(way, 12))
    assert way.severed == HALF, "cut in the middle, and not before or after"
    assert (report.reason, report.body["changed"]) == ("ImagePushFailed", False)
    assert "hello" in report.err
    assert "status" in report.err, "one failed function does not hide the others' errors"
    assert live(target) == shown, "not one file of CONFIG_DIR was touched"
    assert target.stack.moto.tables() == tables, "no provisioner ran"
    after = digests(target)
    assert [name for name in CHANGED if after[name] != before[name]] == ["greet"], "no tag names half an image"
    assert target.answer("/hello", "hello v1") == "hello v1"
    way.restore()
    since = watch.now()
    again = target.reconcile(env=through(way, 200))
    assert again.images == {"hello": "push", "status": "push"}, "what was built is not built again"
    assert way.put == ["e2e-hello", "e2e-status"], "as the registry was asked"
    assert pushes(way, since) == {"e2e-hello": 1, "e2e-status": 1}, "as the engine tells it"
    assert digests(target)["greet"] == after["greet"]
    answer = f"hello of {target.artifact.source.parent.name}"
    assert target.answer("/hello", answer) == answer
    assert target.stack.moto.tables() != tables
    since = watch.now()
    assert target.reconcile(env=through(way, 200)).reason == "InSync"
    assert (way.put[2:], pushes(way, since)) == ([], {})


def test_h10_a_layer_that_is_cut_once_is_taken_up_again(target: converging.Target, way: severed.Way) -> None:
    """A registry that stays up: the same pass converges, and nobody is told of a failure."""
    change(target, way, "hello")
    way.sever("e2e-hello", after=HALF, for_good=False)
    report = target.reconcile(env=through(way, 200))
    assert (way.severed, report.reason, report.images) == (HALF, "SourceChanged", {"hello": "build"})
    answer = f"hello of {target.artifact.source.parent.name}"
    assert target.answer("/hello", answer) == answer
