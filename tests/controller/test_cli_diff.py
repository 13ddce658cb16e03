"""`diff` and saved plans: what would be done and why, without doing any of it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core import digest
from tests.fakes import command
from tests.fakes.command import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("published", [False, True])
def test_a_diff_writes_nothing_at_all(shop: Shop, output: str, published: bool) -> None:
    """Not CONFIG_DIR, not the record, not the cache, not the source; also where CONFIG_DIR does not exist."""
    if published:
        shop.published()
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    before = command.snapshot(shop.folder)
    ended = shop.diff("--output", output)
    assert ended.code == 0
    assert command.snapshot(shop.folder) == before
    assert shop.config.exists() == published


def test_a_diff_says_what_the_pass_then_does(shop: Shop) -> None:
    plan = shop.diff("--output", "json").json
    ended = shop.reconcile("--output", "json").json
    assert {**plan, "schema": None} == {**ended["plan"], "schema": None}


def test_a_diff_of_a_blocked_pass_shows_the_plan_and_the_code(shop: Shop) -> None:
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    shop.about("suspend", "--reason", "freeze")
    ended = shop.diff("--detailed-exitcode")
    assert ended.code == 77
    assert "~ function catalog-list" in ended.out
    assert "! Suspended: suspended by operator: freeze" in ended.out
    assert ended.err.splitlines()[-2:] == [
        "failed (Suspended): suspended by operator: freeze",
        "hint: lift it with `controller resume`",
    ]
    blocked = shop.diff("--output", "json").json
    assert (blocked["outcome"], [blocker["reason"] for blocker in blocked["blockers"]]) == ("Blocked", ["Suspended"])


def test_p13_the_digest_of_a_short_value_is_not_told(shop: Shop) -> None:
    """P13: whoever has the digest of a PIN alone finds the PIN by trying; the digest of a whole function is no help."""
    shop.edit("catalog", "functions.yml", 'LOG_LEVEL: "info"', 'LOG_LEVEL: "info"\n    PIN: "1234"')
    shop.published()
    shop.edit("catalog", "functions.yml", '"1234"', '"1235"')
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    plan = shop.folder / "plan.json"
    found = shop.diff("--output", "json", "--out", plan).json
    digests = {(one["kind"], one["name"]): (one["before"], one["after"]) for one in found["changes"]}
    assert digests["default-environment", "PIN"] == (None, None)
    before, after = digests["function", "catalog-list"]
    assert before.startswith("sha256:")
    assert after.startswith("sha256:")
    assert before != after
    for pin in ("1234", "1235"):
        assert digest.of_value(pin) not in plan.read_text() + json.dumps(found)


def test_what_goes_says_where_it_came_from(shop: Shop) -> None:
    """Nothing of it is in the source any more; the record has its place."""
    shop.published()
    route = '  - path: "/orders/{id}/report"\n    method: "GET"\n    function: "orders-report"\n'
    shop.edit("orders", "routing.yml", route, "")
    (line,) = [line for line in shop.diff().out.splitlines() if line.startswith("- ")]
    assert line.endswith("RemovedFromSource, destructive  [was orders-2637b026 orders/config/routing.yml:5]")
    (change,) = shop.diff("--output", "json").json["changes"]
    place = {"entry": "orders-2637b026", "file": "orders/config/routing.yml", "line": 5, "overrides": []}
    assert change["provenance"] == place


def test_drift_is_told_from_change(shop: Shop) -> None:
    shop.published()
    live = shop.config / "functions.yml"
    live.write_text(live.read_text().replace("timeout: 10", "timeout: 999"))
    shop.edit("orders", "functions.yml", "memory_size: 256", "memory_size: 257")
    ended = shop.diff()
    assert "~ function catalog-list  drift: EditedInConfigDir, reload" in ended.out
    assert "~ timeout: 999 -> 10" in ended.out
    assert "~ function orders-report  change: ChangedInSource, reload" in ended.out
    assert "(1 drifted)" in ended.out


def test_a_saved_plan_is_applied_to_the_world_it_was_made_for(shop: Shop) -> None:
    plan = shop.folder / "plan.json"
    assert shop.diff("--out", plan).code == 0
    assert json.loads(plan.read_text())["schema"] == "artifact-controller/plan/v1"
    assert shop.reconcile("--plan", plan).code == 0
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    assert shop.diff("--out", plan).code == 0, "a plan file is replaced"
    assert shop.reconcile("--plan", plan, "--detailed-exitcode").code == 2


def source_moved(shop: Shop) -> None:
    """The source asks for something else by now."""
    shop.edit("orders", "functions.yml", "memory_size: 256", "memory_size: 257")


def config_dir_moved(shop: Shop) -> None:
    """Somebody edited CONFIG_DIR since."""
    live = shop.config / "functions.yml"
    live.write_text(live.read_text() + "# mine\n")


MOVES: dict[str, Callable[[Shop], None]] = {
    "what the source asks for": source_moved,
    "what CONFIG_DIR shows": config_dir_moved,
}


@pytest.mark.parametrize("what", MOVES)
def test_77_a_saved_plan_is_refused_when_something_moved(shop: Shop, what: str) -> None:
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    plan = shop.folder / "plan.json"
    assert shop.diff("--out", plan).code == 0
    MOVES[what](shop)
    before = command.visible(shop.config)
    ended = shop.reconcile("--plan", plan)
    assert (ended.code, "failed (PlanMoved): " in ended.err) == (77, True)
    assert what in ended.err
    assert command.visible(shop.config) == before
    assert "PlanMoved" not in shop.about("history").out, "it says something about the plan, not about the target"


def test_a_touched_source_and_a_comment_in_it_move_nothing(shop: Shop) -> None:
    """What is compared is what is asked for, not the bytes."""
    plan = shop.folder / "plan.json"
    assert shop.diff("--out", plan).code == 0
    document = shop.document("catalog", "functions.yml")
    document.write_text(document.read_text() + "# a comment\n")
    assert shop.reconcile("--plan", plan).code == 0


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", '{"schema": "other", "preconditions": {}}', "\x00", "[" * 100_000]
)
def test_65_a_file_that_is_no_plan(shop: Shop, content: str) -> None:
    plan = shop.folder / "plan.json"
    plan.write_text(content)
    ended = shop.reconcile("--plan", plan)
    assert (ended.code, "failed (PlanUnreadable): " in ended.err) == (65, True), ended.text
    assert not shop.config.exists()


def test_the_plan_file_is_private_to_nobody_and_whole(shop: Shop) -> None:
    """Replaced as a whole: a reader of the old plan keeps it."""
    plan = shop.folder / "plan.json"
    plan.write_text("old")
    descriptor = os.open(plan, os.O_RDONLY)
    try:
        assert shop.diff("--out", plan).code == 0
        assert os.read(descriptor, 10) == b"old"
    finally:
        os.close(descriptor)
    assert [path.name for path in shop.folder.iterdir() if "plan" in path.name] == ["plan.json"]
