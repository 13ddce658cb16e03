"""What all tests share: how hypothesis searches, and what the absence of a tool means."""

import os
import shutil
from collections.abc import Callable

import hypothesis
import pytest

from core import own_container

# The same examples in every run: a red check is about the change under test, not about luck. Longer searches by hand:
# HYPOTHESIS_PROFILE=search make unit ARGS="-k property"
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "search", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(autouse=True)
def _in_no_container_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine runs the tests: the engines that they play do not have its container."""
    monkeypatch.setattr("controller.own_container.traces", lambda: own_container.NOWHERE)


@pytest.fixture
def require_tool() -> Callable[[str], str]:
    """A function from a program's name to its path. Without the program the test is skipped, saying so.

    With REQUIRE_TOOLS in the environment, as in CI, it fails instead: there a skipped test would hide a promise.
    """
    return _path_of


def _path_of(name: str) -> str:
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if path is None:
        refuse = pytest.fail if os.environ.get("REQUIRE_TOOLS") else pytest.skip
        refuse(f"needs the program {name!r}, which is not on this machine")
    return path
