"""`rollback`, `suspend`, `resume`: what a person decides outlives the process, and ends when it is said to."""

import datetime
import shutil
from pathlib import Path

import pytest
import yaml

from controller import clock, docker
from tests.fakes import command, registries
from tests.fakes import engine as engines
from tests.fakes.command import Shop
from tests.fakes.gateway import Watcher


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop with two revisions: a timeout of 10, then of 25."""
    shop = Shop(tmp_path).published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    assert shop.reconcile().code == 0
    return shop


def timeout(shop: Shop) -> int:
    """The one field that the revisions differ in, as published."""
    functions = yaml.safe_load(shop.documents()["functions.yml"] or b"")
    found = functions["functions"]["catalog-list"]["timeout"]
    assert isinstance(found, int)
    return found


def test_a_rollback_works_with_the_source_gone(shop: Shop) -> None:
    shutil.rmtree(shop.source)
    ended = shop.about("rollback", "--output", "json")
    assert (ended.code, ended.json["changed"], ended.json["generation"]) == (0, True, 3), ended.text
    assert timeout(shop) == 10


def test_a5_a_rollback_is_seen_by_a_watcher_of_whole_seconds(shop: Shop) -> None:
    """A5, P4, GW2, GW3: the old content under a later time, in the same second or not."""
    watcher = Watcher(shop.config / "functions.yml", yaml.safe_load)
    seen = watcher.loaded
    newest, oldest = (row["revision"] for row in shop.about("history", "--output", "json").json["rows"])
    for revision, wanted in ((oldest, 10), (newest, 25), (oldest, 10)):
        assert shop.about("rollback", revision).code == 0
        assert watcher.poll(), "the watcher has to notice"
        assert watcher.loaded != seen
        seen = watcher.loaded
        assert timeout(shop) == wanted
    assert watcher.failures == 0


def test_a_rolled_back_revision_stays_away_until_the_source_changes(shop: Shop) -> None:
    assert shop.about("rollback", "--reason", "too slow").code == 0
    for _ in range(2):
        ended = shop.reconcile()
        assert (ended.code, "too slow" in ended.err) == (77, True)
    assert timeout(shop) == 10
    assert "held        sha256:" in shop.about("status").out
    shop.edit("catalog", "functions.yml", "timeout: 25", "timeout: 26")
    assert shop.reconcile().code == 0
    assert timeout(shop) == 26
    assert "held" not in shop.about("status").out


def test_a_hold_is_lifted_by_hand(shop: Shop) -> None:
    shop.about("rollback")
    ended = shop.about("resume", "--held", "--output", "json")
    assert (ended.code, len(ended.json["lifted"])) == (0, 1)
    assert shop.reconcile().code == 0
    assert timeout(shop) == 25
    assert shop.about("resume", "--held").out == "there was nothing to lift\n"


def test_a_revision_is_named_by_its_beginning(shop: Shop) -> None:
    rows = shop.about("history", "--output", "json").json["rows"]
    first = rows[-1]["revision"]
    ended = shop.about("rollback", first.removeprefix("sha256:")[:12])
    assert ended.code == 0, ended.text
    assert timeout(shop) == 10
    assert shop.about("rollback", first[:4]).code == 77


def test_a_rollback_is_told_in_the_history(shop: Shop) -> None:
    shop.about("rollback")
    row = shop.about("history", "--output", "json").json["rows"][0]
    assert (row["result"], row["reason"], row["generation"]) == ("applied", "RolledBack", 3)


def test_a_suspension_stops_passes_and_not_a_person(shop: Shop) -> None:
    shop.about("suspend", "--reason", "freeze", "--owner", "me")
    shop.edit("catalog", "functions.yml", "timeout: 25", "timeout: 26")
    ended = shop.reconcile()
    assert (ended.code, "suspended by me: freeze" in ended.err) == (77, True)
    assert shop.about("rollback").code == 0
    assert timeout(shop) == 10
    assert "suspended   by me until resumed: freeze" in shop.about("status").out
    assert shop.about("resume").out == "suspension lifted\n"


def test_a_suspension_stops_a_pass_that_has_nothing_to_do_too(shop: Shop) -> None:
    """A person who suspends wants to see it said."""
    shop.about("suspend", "--reason", "freeze")
    assert shop.reconcile().code == 77


def test_a_suspension_ends_by_itself(shop: Shop) -> None:
    """`--for`: by the clock, which is moved here."""
    ended = shop.about("suspend", "--reason", "freeze", "--for", "2h", "--output", "json")
    until = datetime.datetime.fromisoformat(ended.json["until"])
    now = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(seconds=shop.hours.ahead_s)
    assert datetime.timedelta(hours=1, minutes=55) < until - now < datetime.timedelta(hours=2, minutes=5)
    shop.hours.ahead_s += 7000
    refused = shop.reconcile()
    assert (refused.code, clock.iso(until) in refused.err) == (77, True)
    shop.hours.ahead_s += 300
    ended = shop.reconcile()
    assert (ended.code, ended.out.startswith("nothing to do")) == (0, True), ended.text
    assert "suspended" not in shop.about("status").out


@pytest.mark.parametrize("text", ["1s", "1.5s", "366d"])
def test_the_shortest_and_the_longest_suspension(shop: Shop, text: str) -> None:
    ended = shop.about("suspend", "--reason", "freeze", "--for", text)
    assert ended.code == 0, ended.text
    assert shop.reconcile().code == 77
    shop.hours.ahead_s += 367 * 86400
    assert shop.reconcile().code == 0


def test_suspending_and_resuming_change_no_document(shop: Shop) -> None:
    before = command.visible(shop.config)
    shop.about("suspend", "--reason", "freeze")
    shop.about("resume")
    shop.about("resume", "--held")
    assert command.visible(shop.config) == before


def test_only_some_sets_are_kept(shop: Shop) -> None:
    """`keep_applied`: older sets cannot be returned to, and their documents are gone from the record."""
    first = shop.about("history", "--output", "json").json["rows"][-1]["revision"]
    for number in range(3):
        shop.edit("catalog", "functions.yml", f"timeout: {25 + number}", f"timeout: {26 + number}")
        assert shop.reconcile(environment={"CONTROLLER_KEEP_APPLIED": "2"}).code == 0
    assert shop.about("rollback", first).code == 77
    assert shop.about("rollback").code == 0
    assert timeout(shop) == 27


def pinned_shop(shop: Shop, registry: registries.Registry) -> dict[str, str]:
    """Publish an image by its digest in a registry, and then another one; the variables that name the registry."""
    names = {"CONTAINER_REGISTRY": "registry:5010", "HOST_REGISTRY_ADDR": registry.address}
    image = "registry:5010/shop/catalog-list:v1"
    for number in ("1", "2"):
        digest = registry.put("shop/catalog-list:v1", labels={"number": number})
        shop.edit("catalog", "functions.yml", image, pinned := f"registry:5010/shop/catalog-list:v1@{digest}")
        image = pinned
        assert shop.reconcile("--skip-images", environment=names).code == 0
    return names


def test_h10_a_rollback_publishes_only_digests_that_the_registry_has(tmp_path: Path) -> None:
    """77 and an untouched CONFIG_DIR when one is gone from the registry, and from the engine as far as it says."""
    shop = Shop(tmp_path)
    with registries.running() as registry:
        names = pinned_shop(shop, registry)
        (older,) = {made for _, made in registry.manifests} - {"v1", newest(registry)}
        kept = registry.manifests.pop(("shop/catalog-list", older))
        shown = command.visible(shop.config)
        ended = shop.run("rollback", "--config-dir", shop.config, environment=names)
        assert (ended.code, "ImageLost" in ended.err) == (77, True), ended.text
        assert f"shop/catalog-list:v1@{older} (function catalog-list)" in ended.err
        assert "hint: apply a new revision" in ended.err
        assert command.visible(shop.config) == shown
        assert "held" not in shop.about("status").out
        registry.manifests["shop/catalog-list", older] = kept
        assert shop.run("rollback", "--config-dir", shop.config, environment=names).code == 0
    assert older.encode() in (shop.documents()["functions.yml"] or b"")


def test_h10_a_rollback_while_the_registry_is_down_says_what_it_did_not_see(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    with registries.running() as registry:
        names = pinned_shop(shop, registry)
    ended = shop.run("rollback", "--config-dir", shop.config, environment=names)
    assert (ended.code, "ImageNotChecked: function catalog-list" in ended.err) == (0, True), ended.text


def newest(registry: registries.Registry) -> str:
    """The digest of what the tag stands for."""
    return registries.digest_of(registry.manifests["shop/catalog-list", "v1"][1])


def test_gw3_a_rollback_asks_and_provisions_the_stack_that_the_manifest_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No setting names the project, and the source is gone: the record knows it. What fails there is held already."""
    played = engines.Engine()
    monkeypatch.setattr(docker, "Engine", lambda **_: played)
    compose = tmp_path / "compose.yml"
    compose.touch()
    stack = {"CONTROLLER_STACK__COMPOSE_FILES": str(compose), "CONTROLLER_STACK__CONFIG_DIR_ON_HOST": "config"}
    shop = Shop(tmp_path)
    assert shop.reconcile("--skip-images", environment=stack).code == 0
    shop.edit("catalog", "resources.yml", "catalog-pictures", "catalog-photos")
    assert shop.reconcile("--skip-images", environment=stack).code == 0
    shutil.move(shop.source, tmp_path / "away")
    played.outcomes.extend([docker.RunOutcome(1, ("no",))] * 2)  # the first one is tried again
    assert shop.run("rollback", "--config-dir", shop.config, environment=stack).code == 81
    shutil.move(tmp_path / "away", shop.source)
    assert shop.reconcile("--skip-images", environment=stack).code == 77
    assert shop.run("rollback", "--config-dir", shop.config, environment=stack).code == 0
    assert [one.project for one in played.runs] == ["shop"] * 5
