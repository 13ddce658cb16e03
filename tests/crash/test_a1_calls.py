"""A1 without tools: every call of an `os` function that touches CONFIG_DIR fails, or is where the process ends.

What SQLite does is not seen here; `test_a1_syscalls` sweeps that too.
"""

from pathlib import Path

import pytest

from tests.crash import scenarios, sweep
from tests.crash import server as servers

pytestmark = [pytest.mark.crash]

LEAST = 15


@pytest.mark.parametrize("effect", ["exit", "EIO", "ENOSPC"])
@pytest.mark.parametrize("name", ["first", "update", "adopt", "files"])
def test_a1_every_call_of_os(
    server: servers.Server, prepared: scenarios.Prepared, place: Path, name: str, effect: str
) -> None:
    """A1: readers see the old or the new set whole, errors are told with their step, and the next run converges."""
    scenario = prepared.get(name)
    log = place / "calls"
    config = scenario.copy(place)
    fault = {"folder": str(config), "count": 0, "effect": effect}
    server.run(scenario.run(config, fault={**fault, "log": str(log)}))
    calls = log.read_text(encoding="utf-8").split()
    assert len(calls) >= LEAST
    wrong = []
    for count, call in enumerate(calls, 1):
        scenario.copy(place)
        run = scenario.run(config, fault={**fault, "count": count})
        with sweep.reading(config) as reader:
            ended = server.run(run)
        bad = (reader.mixed if scenario.whole else reader.torn)(scenario.before, scenario.after)
        if effect == "exit":
            bad += [] if ended.code == 137 else [f"not ended there: {ended.code}"]
        else:
            bad += scenarios.failing(ended, config, scenario.after)
        bad += scenarios.healing(server, scenario.run(config), config, scenario.after)
        wrong += [f"os.{call}, call {count}: {each}" for each in bad]
    assert not wrong, "\n".join(wrong[:40])
