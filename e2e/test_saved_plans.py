"""`diff --out` and `reconcile --once --plan` beside a real stack: a plan that was saved before the stack, a base image
or the provisioner's setting moved is refused with 77, and nothing was done (design.md section 6)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from e2e.harness import commands, converging, docker, marked, matrix, replaced, stacks, watch

Move = Callable[[converging.Target], AbstractContextManager[Mapping[str, str]]]


@pytest.fixture
def target(
    stack: stacks.Stack, controller: commands.Controller, environment: matrix.Environment, tmp_path: Path
) -> converging.Target:
    """The stack, converged with one function, one route and one table; its code has moved on since."""
    following = converging.Target(stack, controller, marked.small(environment, tmp_path / "source"))
    following.artifact.code("hello", "echo before the plan")
    following.reconcile()
    following.artifact.code("hello", f"echo {tmp_path.name}")
    return following


def save(target: converging.Target) -> Path:
    """`diff --out`; the file."""
    file = target.stack.folder / "plan.json"
    arguments = ("diff", *target.options, "--out", str(file), "--detailed-exitcode")
    target.controller.run(*arguments, expect=2)
    return file


@contextmanager
def another_version(target: converging.Target) -> Iterator[Mapping[str, str]]:
    """An agent with another version label runs."""
    line = "LABEL org.opencontainers.image.version=another"
    image = replaced.derived(target.stack, f"esb-agent-docker:{target.stack.tag}", line, "weak-agent")
    with replaced.service(target.stack, "agent"):
        replaced.put(target.stack, "agent", image)
        yield {}
    docker.docker("image", "rm", "--force", image)


@contextmanager
def base_moved(target: converging.Target) -> Iterator[Mapping[str, str]]:
    """Another lambda base stands under the tag of the stack."""
    base = f"esb-lambda-base:{target.stack.tag}"
    name = replaced.derived(target.stack, base, 'RUN echo "another base" > /etc/lambda-base', "weak-base")
    try:
        target.stack.registry.push(name, base)
        yield {}
    finally:
        target.stack.registry.push(base, base)
        docker.docker("image", "rm", "--force", name)


@contextmanager
def provision_always(_: converging.Target) -> Iterator[Mapping[str, str]]:
    """The operator wants the provisioner in every pass."""
    yield {"CONTROLLER_POLICY__PROVISION": "always"}


MOVES: dict[str, tuple[Move, str]] = {
    "another version": (another_version, "the running stack"),
    "a base": (base_moved, "what would be done"),
    "the provisioner's setting": (provision_always, "what would be done"),
}


def refused(target: converging.Target, file: Path, words: str, env: Mapping[str, str]) -> None:
    """77, with the words, and neither engine, CONFIG_DIR nor registry was touched."""
    shown, pushed, since = watch.tree(target.stack.config_dir), target.stack.registry.digest("e2e-hello"), watch.now()
    report = target.reconcile("--plan", str(file), expect=77, env=env)
    assert (report.reason, words in report.err) == ("PlanMoved", True), report.err
    assert report.body["changed"] is False
    assert watch.events(target.stack, since) == {}
    assert target.stack.registry.digest("e2e-hello") == pushed
    assert {name: seen for name, seen in watch.tree(target.stack.config_dir).items() if "controller" not in name} == {
        name: seen for name, seen in shown.items() if "controller" not in name
    }


@pytest.mark.parametrize("what", MOVES)
def test_77_a_plan_with_images_is_refused_when_something_beside_the_source_moved(
    target: converging.Target, what: str
) -> None:
    """And is carried out as it is once that is as it was: nothing of the refusal stays."""
    file = save(target)
    move, words = MOVES[what]
    with move(target) as env:
        refused(target, file, words, env)
    assert target.reconcile("--plan", str(file)).images == {"hello": "build"}
    answer = target.artifact.source.parent.name
    assert target.answer("/hello", answer) == answer


def test_77_another_digest_under_the_same_tag_is_another_stack(target: converging.Target) -> None:
    """Same reference, same version, same mode: the digest alone tells them apart (contract.md section 6)."""
    name = f"{target.stack.registry.address}/esb-agent-docker:{target.stack.tag}"
    with replaced.service(target.stack, "agent"):
        push_agent(target.stack, name, "ENV NUMBER=1")
        file = save(target)
        push_agent(target.stack, name, "ENV NUMBER=2")
        refused(target, file, "the running stack", {})


def push_agent(stack: stacks.Stack, name: str, line: str) -> None:
    """Push another agent under this name, and run it."""
    image = replaced.derived(stack, f"esb-agent-docker:{stack.tag}", line, "weak-agent")
    docker.docker("tag", image, name)
    docker.docker("push", "--quiet", name)
    replaced.put(stack, "agent", name)
    docker.docker("image", "rm", "--force", image)


def test_77_a_run_that_failed_since_is_another_reason_to_provision(target: converging.Target) -> None:
    """The resources are the same, and so is everything else: the images were made by the pass whose run failed."""
    target.reconcile()
    arguments = ("diff", *target.options, "--out", str(file := target.stack.folder / "plan.json"))
    target.controller.run(*arguments)
    target.stack.configure(PROVISIONER_FAIL="3")
    target.reconcile(expect=81, env={"CONTROLLER_POLICY__PROVISION": "always"})
    target.stack.configure(PROVISIONER_FAIL="")
    refused(target, file, "what would be done", {})
    assert target.reconcile().body["plan"]["provision"] == "LastRunFailed"
