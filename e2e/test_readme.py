"""The README's sections on Docker and on the sidecar: every block is run, and prints what it shows."""

import os
import sys
from pathlib import Path

import pytest

from e2e.harness import git_remote, marked, matrix, sidecar, stacks
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


def test_every_block_of_the_section_on_the_sidecar(environment: matrix.Environment, tmp_path: Path) -> None:
    """In the folder of a stack as a user has one: compose.yml, controller.yml, an .env."""
    text = console.section((stacks.ROOT / "README.md").read_text(encoding="utf-8"), console.SIDECAR_SECTION)
    with git_remote.serving(tmp_path / "git") as remote:
        marked.small(environment, remote.source)
        remote.push()
        source = f"{{git: {{url: '{remote.url}', path: deploy}}}}"
        site = sidecar.Site("docker", tmp_path / "site", tmp_path / "site" / "config", source=source)
        site.as_found(remote.work)
        with sidecar.standing(site):
            names = {
                f"GIT_{who}_{what}": "dev@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
            }
            console.assert_blocks(text, site.folder, {**os.environ, **names, "DOCKER_SOCKET": stacks.engine_socket()})
