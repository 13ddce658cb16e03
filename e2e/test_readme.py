"""The README's section on Docker: every block is run, and prints what it shows."""

import os
import sys
from pathlib import Path

import pytest

from e2e.harness import stacks
from e2e.scripts import sandbox
from tests.fakes import console


@pytest.mark.usefixtures("engine")
def test_every_block_of_the_section_on_docker(tmp_path: Path) -> None:
    """In a sandbox, as `make sandbox` makes it."""
    folder = tmp_path / "sandbox"
    text = console.section((stacks.ROOT / "README.md").read_text(encoding="utf-8"), console.DOCKER_SECTION)
    with stacks.running(sandbox.make(folder)):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        console.assert_blocks(text, folder, {**os.environ, "PATH": path, "NO_COLOR": "1"})
