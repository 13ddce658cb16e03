"""What the fault tests share: one server of forks and one set of prepared scenarios for each test process."""

from collections.abc import Iterator

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
