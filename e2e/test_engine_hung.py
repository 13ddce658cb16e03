"""H2, DK3: an engine that takes every connection and never answers. Each command ends at the deadline that the settings
give, leaves no child behind and writes nothing; a controller that stays goes on living, and heals once it answers."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from controller import errors
from e2e.harness import commands, converging, daemon, marked, matrix, processes, stacks, watch
from tests.fakes import daemons, engine_socket

ONCE = {"CONTROLLER_STACK__PROVISION_ATTEMPTS": "1"}
SHORT = {**ONCE, "CONTROLLER_DEADLINES__PROBE": "1s"}
"""Where nothing that is asked is answered."""
EVERYTHING = ""
LATE = "within 1 s (deadlines.probe)"


@pytest.fixture
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine_socket.Proxy]:
    """The way to the engine, which a test can make hang."""
    with engine_socket.standing(tmp_path_factory.mktemp("w") / "s") as proxy:
        yield proxy


def moved_on(target: converging.Target, answer: str) -> converging.Target:
    """Converge it with one function, one route and one table; its code and its table have moved on since."""
    target.reconcile()
    target.artifact.code("hello", f"echo {answer}")
    marked.write(target.artifact, mark=0, table=marked.shown(target.stack.config_dir).table + 1)
    return target


@pytest.fixture
def target(
    stack: stacks.Stack, controller: commands.Controller, environment: matrix.Environment, tmp_path: Path
) -> converging.Target:
    """The stack, with work for a build, a push and the provisioner."""
    artifact = marked.small(environment, tmp_path / "source")
    return moved_on(converging.Target(stack, controller, artifact), tmp_path.name)


@pytest.fixture(scope="module")
def waiting(
    stack: stacks.Stack,
    controller: commands.Controller,
    environment: matrix.Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> converging.Target:
    """The same for all tests of commands, none of which may change anything; with a revision to go back to."""
    artifact = marked.small(environment, tmp_path_factory.mktemp("waiting") / "source")
    following = converging.Target(stack, controller, artifact)
    following.reconcile()
    artifact.code("hello", "echo live")
    return moved_on(following, "never built")


def stack_options(target: converging.Target) -> tuple[str, ...]:
    """What names the compose stack to `provision`."""
    files = [part for file in target.stack.files for part in ("--compose-file", str(file))]
    return ("--project", target.stack.project, *files, "--env-file", str(target.stack.env_file))


Words = Callable[[converging.Target], tuple[str, ...]]
OF_TARGET: Words = lambda target: ("--config-dir", str(target.stack.config_dir))  # noqa: E731 - one of a table
COMMANDS: Mapping[str, tuple[Words, int, str]] = {
    "reconcile": (lambda target: ("--once", *target.options), 69, LATE),
    "diff": (lambda target: target.options, 69, LATE),
    "deploy": (
        lambda target: ("--artifact", str(target.artifact.manifest), "--out", str(target.stack.config_dir)),
        69,
        LATE,
    ),
    "probe": (lambda target: ("--project", target.stack.project), 69, LATE),
    "provision": (stack_options, 69, LATE),
    "rollback": (OF_TARGET, 69, LATE),
    "doctor": (lambda target: target.options, errors.MEANINGS["CheckFailed"].exit_code, LATE),
    "status": (OF_TARGET, 0, LATE),
}


def seen(target: converging.Target) -> Mapping[str, object]:
    """Everything below CONFIG_DIR but the record, which has to say how a pass failed."""
    tree = watch.tree(target.stack.config_dir)
    return {name: each for name, each in tree.items() if ".controller" not in name and name != "."}


def ends(
    target: converging.Target, way: engine_socket.Proxy, *words: str, env: Mapping[str, str] = SHORT
) -> commands.Ended:
    """How a command ends beside this engine; nobody who was started for it is left."""
    process = target.controller.start(*words, env={**env, "DOCKER_HOST": way.address})
    try:
        out, err = process.communicate(timeout=daemons.PATIENCE_S)
    finally:
        process.kill()
    assert processes.left_with(way.address) == []
    return commands.Ended(process.returncode, out, err)


@pytest.mark.parametrize("name", COMMANDS)
def test_dk3_engine_hung_ends_the_command_at_its_deadline(
    waiting: converging.Target, way: engine_socket.Proxy, name: str
) -> None:
    """DK3: 69 (doctor and status tell it in their own way), the deadline by its setting, no child, nothing written."""
    more, code, words = COMMANDS[name]
    before, since = seen(waiting), watch.now()
    way.meet(EVERYTHING, engine_socket.hangs)
    ended = ends(waiting, way, name, *more(waiting))
    assert ended.code == code, ended
    assert words in ended.out + ended.err, ended
    assert way.address in ended.out + ended.err, "it says which engine"
    assert way.requests, "the engine was asked"
    assert seen(waiting) == before
    assert watch.events(waiting.stack, since) == {}


STEPS: Mapping[str, tuple[str, frozenset[int], str, str]] = {
    "the list of containers": (r"GET \S*/containers/json", frozenset({69}), "PROBE", "within 5 s (deadlines.probe)"),
    "the look at a container": (
        *(r"GET \S*/containers/[0-9a-f]+/json", frozenset({69})),
        *("PROBE", "within 5 s (deadlines.probe)"),
    ),
    "the list of images": (r"GET \S*/images/json", frozenset({69}), "PROBE", "within 5 s (deadlines.probe)"),
    "the build": (r"POST \S*/(session|grpc|build)", frozenset({80}), "BUILD", "5s"),
    "the push": (r"POST \S*/images/\S+/push", frozenset({80}), "PUSH", "5s"),
    "the making of the provisioner": (r"POST \S*/containers/create", frozenset({69, 81}), "PROVISION", "5"),
    "the start of the provisioner": (r"POST \S*/containers/[0-9a-f]+/start", frozenset({69, 81}), "PROVISION", "5"),
}
"""What hangs, how the command ends, whose deadline is short, and what is said of it. The other deadlines are the usual
ones: whatever comes before the step has time."""


@pytest.mark.parametrize("step", STEPS)
def test_h2_engine_hung_in_the_middle_of_a_pass(target: converging.Target, way: engine_socket.Proxy, step: str) -> None:
    """H2, P8: functions and routes stay as they are, nobody is left, and the pass after its return does what is left to
    do: no step is lost, and the provisioner's container, made and never started, is in nobody's way."""
    pattern, codes, deadline, words = STEPS[step]
    documents = watch.documents(target.stack.config_dir)
    way.meet(pattern, engine_socket.hangs)
    env = {**ONCE, f"CONTROLLER_DEADLINES__{deadline}": "5s"}
    ended = ends(target, way, "reconcile", "--once", *target.options, env=env)
    assert any(re.search(pattern, request) for request in way.requests), way.requests
    assert ended.code in codes, ended
    assert words in ended.err, ended
    shown = watch.documents(target.stack.config_dir)
    assert {**documents, "resources.yml": b""} == {**shown, "resources.yml": b""}
    assert (shown == documents) == (ended.code != 81), "resources alone come before the provisioner"
    way.heal()
    after = target.reconcile(env={"DOCKER_HOST": way.address})
    assert after.body["changed"] is True
    answer = target.artifact.source.parent.name
    assert target.answer("/hello", answer) == answer
    assert daemon.provisioners(target.stack) == []


def test_h2_a_controller_that_stays_lives_through_an_engine_that_hangs(
    target: converging.Target, way: engine_socket.Proxy
) -> None:
    """H2, P10: healthy while it waits for the engine, 69 in every pass, and converged by itself once it answers."""
    env = {
        **ONCE,
        "DOCKER_HOST": way.address,
        "CONTROLLER_RETRY__FIRST": "1s",
        "CONTROLLER_RETRY__LONGEST": "1s",
        "CONTROLLER_DEADLINES__PROBE": "3s",
    }
    documents = watch.documents(target.stack.config_dir)
    way.meet(EVERYTHING, engine_socket.hangs)
    with daemon.following(target.controller, *target.options, env=env) as staying:
        staying.await_ready()
        health = staying_healthy(staying, failures=3)
        assert set(health) == {200}
        assert {each["reason"] for each in staying.passes} == {"DockerUnavailable"}
        assert watch.documents(target.stack.config_dir) == documents
        assert staying.process.poll() is None
        way.heal()
        staying.await_pass("SourceChanged")
        assert processes.left_with(way.address, besides=staying.process.pid) == []
        assert staying.http.get("/readyz").status == 200
    assert watch.documents(target.stack.config_dir) != documents


def staying_healthy(staying: daemon.Following, *, failures: int) -> list[int]:
    """What `/healthz` answers all the time, until so many passes have failed."""
    answers: list[int] = []

    def failed() -> bool:
        answers.append(staying.http.get("/healthz").status)
        return sum(bool(each["failed"]) for each in staying.passes) >= failures

    daemons.until(failed)
    return answers
