"""What the fault tests share: one server of forks and one set of prepared scenarios for each test process."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import scenarios
from tests.crash import server as servers


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """Forks of the command."""
    with servers.Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="session")
def prepared(server: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> scenarios.Prepared:
    """Every scenario, prepared once."""
    return scenarios.Prepared(server, tmp_path_factory.mktemp("scenarios"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a sweep syncs ten thousand times, and only its calls are looked at."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="controller-") as folder:
        yield Path(folder)
