"""A4: an fsync that fails once leaves a generation that is never trusted again, however well the next fsync goes."""

from pathlib import Path

import pytest

from tests.crash import scenarios, sweep
from tests.crash import server as servers
from tests.fakes import command

pytestmark = [pytest.mark.crash]


@pytest.mark.parametrize("name", ["first", "update", "adopt", "files", "confirm", "cut_off"])
def test_a4_every_fsync(server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str) -> None:
    """A4: after EIO from an fsync of CONFIG_DIR, either the old set is visible, or the next run publishes anew."""
    servers.require("strace")
    scenario = prepared.get(name)
    config = scenario.copy(place)
    found = sweep.points(server, scenario.run(config), config, sweep.SYNCING)
    own = [point for point in found if "/.controller" not in point.line]
    if not (scenario.config / ".controller").exists():
        del own[0]  # what it would fail for is the name of the state directory
    assert len(own) >= 3
    wrong = []
    for point in found:
        scenario.copy(place)
        run = scenario.run(config)
        ended = sweep.injected(server, run, point, "error=EIO", config)
        bad = scenarios.failing(ended, config, scenario.after)
        doubtful = point in own and command.documents(config) == scenario.after
        inodes = [(config / each).stat().st_ino for each in command.DOCUMENTS] if doubtful else []
        if point in own and ended.code == 0:
            bad.append("a failed sync went unnoticed")
        server.run(run)
        if doubtful and inodes == [(config / each).stat().st_ino for each in command.DOCUMENTS]:
            bad.append("what an fsync failed for is trusted by the next run")
        wrong += [f"{point}: {each}" for each in bad + scenarios.healing(server, run, config, scenario.after)]
    assert not wrong, "\n".join(wrong)
