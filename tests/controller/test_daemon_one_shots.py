"""L7: one-shots, as of a pipeline, at the target of a controller that stays."""

from pathlib import Path

import pytest

from tests.fakes import command, daemons

pytestmark = pytest.mark.process

RUNS = 100
WAITS = 10
"""Each tenth waits, in a process of its own: on the clock of the machine."""


def test_l7_one_shots_beside_the_controller_that_stays(tmp_path: Path) -> None:
    """Each change is published once, by the one or the other; who does not wait is told that somebody is busy."""
    shop = command.Shop(tmp_path)
    ended: list[command.Ended] = []
    with daemons.running(*shop.target, "--interval", "100ms") as daemon:
        daemon.await_pass("FirstPublish")
        for number in range(10, 10 + RUNS):
            shop.edit("catalog", "functions.yml", f"timeout: {number}", f"timeout: {number + 1}")
            if number % WAITS:
                ended.append(shop.reconcile("--output", "json", "--wait", "0s"))
            else:
                ended.append(command.child("reconcile", "--once", *shop.target, "--output", "json", "--wait", "60s"))
        last = f"timeout: {10 + RUNS}".encode()
        daemons.until(lambda: last in (shop.documents()["functions.yml"] or b""))
        assert daemon.end() in (0, 143), "143: a look was cut"
        told = daemon.passes
    assert {(one.code, one.json["reason"] == "LockBusy") for one in ended} == {(0, False), (75, True)}
    assert {one.code for one in ended[::WAITS]} == {0}, "who waits is served"
    assert not [line for line in told if line["failed"]]
    published = [one.json["generation"] for one in ended if one.json.get("changed")]
    published += [line["generation"] for line in told if line["changed"]]
    assert len(published) == len(set(published)) <= RUNS + 1
    assert shop.reconcile().out.startswith("nothing to do (InSync)")
