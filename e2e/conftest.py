"""What the end-to-end tests share: an engine that answers, a stack for each module, a loud word on what did not run.

A machine without an engine skips these tests; with REQUIRE_ENGINE in the environment, as in CI, it fails them.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.harness import artifacts, commands, engine_proxy, followed, matrix, stacks

HERE = Path(__file__).parent
UNAVAILABLE = re.compile(r"environment \w+ is unavailable: [^\n]*?(?=['\")]*$)", re.MULTILINE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: `-m "not engine"` leaves it out. The modules with a test that asks for a longer time begin
    first, so that none of them keeps one worker busy after all others are done."""
    long = {item.path for item in items if item.get_closest_marker("timeout")}
    items.sort(key=lambda item: item.path not in long)
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.engine)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the environments that did not run, and why: a skipped line is easily overlooked."""
    reports = [*terminalreporter.stats.get("skipped", ()), *terminalreporter.stats.get("error", ())]
    said = {found[0] for each in reports if (found := UNAVAILABLE.search(each.longreprtext))}
    for text in sorted(said):
        terminalreporter.write_line(f"e2e: NOT TESTED: {text}", yellow=True)


def demand(environment: matrix.Environment) -> matrix.Environment:
    """The environment when this machine can run it; else the test is skipped, or fails where it is required."""
    lacking = matrix.missing(environment)
    if lacking:
        refuse = pytest.fail if environment.required and os.environ.get("REQUIRE_ENGINE") else pytest.skip
        refuse(f"environment {environment.name} is unavailable: {'; '.join(lacking)}")
    return environment


ENVIRONMENTS = {each.name: each for each in matrix.load()}


@pytest.fixture(scope="session")
def engine() -> str:
    """An engine with buildx and compose; the value is its address."""
    demand(ENVIRONMENTS["docker"])
    return f"unix://{stacks.engine_socket()}"


@pytest.fixture(scope="module")
def environment(request: pytest.FixtureRequest) -> matrix.Environment:
    """The environment that a module runs in: docker, or what it parametrizes this fixture with."""
    return demand(ENVIRONMENTS[getattr(request, "param", "docker")])


@pytest.fixture(scope="module")
def stack(environment: matrix.Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[stacks.Stack]:
    """A running stack that only this module uses, with an empty CONFIG_DIR at first."""
    folder = tmp_path_factory.mktemp(environment.name)
    wanted = stacks.Stack(environment.name, folder, folder / environment.config_dir)
    with stacks.running(wanted) as up, engine_proxy.before(str(up.config_dir)) as up.engine:
        yield up


@pytest.fixture
def another_stack(tmp_path: Path) -> Iterator[Callable[[str, str], stacks.Stack]]:
    """A function from a tag and a mode to one more running stack, for what must be refused or left alone."""
    demand(ENVIRONMENTS["docker"])
    with contextlib.ExitStack() as opened:

        def start(tag: str, mode: str) -> stacks.Stack:
            folder = tmp_path / f"{mode}-{tag}"
            return opened.enter_context(stacks.running(stacks.Stack(mode, folder, folder / "config", tag)))

        yield start


@pytest.fixture(scope="module")
def controller(stack: stacks.Stack) -> commands.Controller:
    """The installed command, told of the module's stack."""
    return commands.Controller(stack)


@pytest.fixture
def artifact(environment: matrix.Environment, tmp_path: Path) -> artifacts.Artifact:
    """The environment's committed artifact, in a copy that the test may edit."""
    return artifacts.Artifact.copied(environment, tmp_path / "source")


@pytest.fixture(scope="module")
def repository(
    stack: stacks.Stack,
    controller: commands.Controller,
    environment: matrix.Environment,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[followed.Followed]:
    """The module's stack, and a repository that it follows through all of the module."""
    with followed.repository(stack, controller, environment, tmp_path_factory.mktemp("git")) as one:
        yield one
