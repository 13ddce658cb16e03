"""A controller that stays and is stopped, killed and overtaken while it works on a real stack (faults.md A2, H1, P7, P8,
P11, P16, L2): it always converges afterwards, and nobody ever sees half of anything."""

import pytest

from e2e.harness import commands, converging, daemon, docker, listening, marked, matrix, stacks, watch
from tests.fakes import daemons

SLEEP_S = 117
"""Of a build that never comes to its end in these tests; the number tells its process from others."""
SLOW = f"RUN --network=none sleep {SLEEP_S}\n"


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
    stack.configure(PROVISIONER_SLEEP="0")
    following.reconcile()
    return following


def slow_build(target: converging.Target) -> None:
    """The function gets a build that takes minutes."""
    dockerfile = target.artifact.function("hello") / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text(encoding="utf-8") + SLOW, encoding="utf-8")


def quick_build(target: converging.Target, text: str) -> str:
    """The function gets one that takes none; what it will answer."""
    dockerfile = target.artifact.function("hello") / "Dockerfile"
    plain = dockerfile.read_text(encoding="utf-8").replace(SLOW, "")
    target.artifact.code("hello", f"echo '{text}'")
    dockerfile.write_text(plain, encoding="utf-8")
    return text


def builds(target: converging.Target) -> list[str]:
    """What runs for a build now: the command, and the step of the Dockerfile in the engine."""
    steps = [line for line in docker.run(["ps", "-e", "-ww", "-o", "args"]).splitlines() if line == f"sleep {SLEEP_S}"]
    return [*daemon.commands_of(target.stack, "buildx", "build"), *steps]


def is_building(target: converging.Target) -> bool:
    """Whether the slow step runs."""
    return f"sleep {SLEEP_S}" in builds(target)


def test_p11_a_newer_revision_ends_a_running_build(target: converging.Target) -> None:
    """The fix of a build that takes minutes is live long before its end; nothing of the old build is left."""
    with daemon.following(target.controller, *target.options) as controller, listening.to(target.stack) as heard:
        controller.await_ready()
        seen = len(controller.lines)
        slow_build(target)
        daemons.until(lambda: is_building(target))
        text = quick_build(target, "overtook the slow one")
        line = controller.await_pass("SourceChanged", since=seen)
        print(daemon.told(line))
        assert [one["reason"] for one in controller.passes[-2:]] == ["Superseded", "SourceChanged"]
        assert target.answer("/hello", text) == text
        daemons.until(lambda: not builds(target))
        assert heard.counted()["image push"] == 1


def test_p7_the_provisioner_is_never_overtaken(target: converging.Target) -> None:
    """A newer revision waits for it: the older one is published first, whole, and no second provisioner starts."""
    target.stack.configure(PROVISIONER_SLEEP="2")
    with (
        daemon.following(target.controller, *target.options) as controller,
        listening.to(target.stack) as heard,
        marked.reading(target.stack.config_dir) as reader,
    ):
        controller.await_ready()
        marked.write(target.artifact, mark=1, table=1)
        daemons.until(lambda: daemon.provisioners(target.stack))
        marked.write(target.artifact, mark=2, table=1)
        daemons.until(lambda: marked.shown(target.stack.config_dir).function == 2)
        whole = [marks for marks in reader.seen if marks.complete]
        assert [(marks.function, marks.table) for marks in whole] == [(0, 0), (1, 1), (2, 1)]
        assert reader.problems == []
        assert "Superseded" not in {line["reason"] for line in controller.passes}
        assert heard.counted()["container create provisioner"] == 1


def test_p16_sigterm_while_it_builds(target: converging.Target) -> None:
    """143, the build is ended with it, nothing was changed, and the next start does the work."""
    before = watch.documents(target.stack.config_dir)
    with daemon.following(target.controller, *target.options) as controller:
        controller.await_ready()
        slow_build(target)
        daemons.until(lambda: is_building(target))
        assert controller.end() == 143
        daemons.until(lambda: not builds(target))
        assert watch.documents(target.stack.config_dir) == before
        text = quick_build(target, "after the signal")
        controller.again()
        controller.await_pass("SourceChanged")
        assert target.answer("/hello", text) == text


def test_p16_sigterm_waits_for_the_provisioner(target: converging.Target) -> None:
    """Within `drain` it comes to its own end, and what it made counts: the next start runs none."""
    target.stack.configure(PROVISIONER_SLEEP="2")
    env = {"CONTROLLER_DRAIN": "60s"}
    with daemon.following(target.controller, *target.options, env=env) as controller, listening.to(target.stack) as heard:
        controller.await_ready()
        marked.write(target.artifact, mark=3, table=3)
        daemons.until(lambda: daemon.provisioners(target.stack))
        code = controller.end()
        marks = marked.shown(target.stack.config_dir)
        assert (marks.table, code == 0) == (3, marks.complete), "0 only when nothing was cut short"
        assert code in {0, 143}
        assert daemon.provisioners(target.stack) == []
        controller.again()
        controller.await_ready()
        assert marked.shown(target.stack.config_dir) == marked.Marks(3, 3, 3, 3)
        counted = heard.counted()
        assert (counted["container create provisioner"], counted["container kill provisioner"]) == (1, 0), counted


def test_p16_sigterm_and_a_provisioner_that_takes_longer_than_drain(target: converging.Target) -> None:
    """143 once patience is over; whatever became of the container, the next start ends alone with it and converges."""
    target.stack.configure(PROVISIONER_SLEEP="5")
    env = {"CONTROLLER_DRAIN": "500ms"}
    with daemon.following(target.controller, *target.options, env=env) as controller, listening.to(target.stack) as heard:
        controller.await_ready()
        marked.write(target.artifact, mark=4, table=4)
        daemons.until(lambda: daemon.provisioners(target.stack))
        assert controller.end() == 143
        assert marked.shown(target.stack.config_dir).function == 0
        controller.again()
        controller.await_ready()
        assert marked.shown(target.stack.config_dir) == marked.Marks(4, 4, 4, 4)
        assert heard.at_once("provisioner") == 1
        assert daemon.provisioners(target.stack) == []
