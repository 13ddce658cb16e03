"""What a machine lacks: a skipped test for a developer, a failure where REQUIRE_TOOLS is set, as CI sets it."""

import os
import shutil
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """This test cannot run here."""
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


def require(*names: str) -> None:
    """Skip, or in CI fail, where one of these programs is missing."""
    for name in names:
        if shutil.which(name) is None:
            absent(f"needs {name}")
