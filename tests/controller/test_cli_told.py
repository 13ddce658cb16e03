"""`status`, `history`, `events`, `doctor`, and the documented shape of everything that is printed as JSON."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from tests.fakes import command
from tests.fakes.command import Ended, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_status_before_anything_happened(shop: Shop) -> None:
    missing = shop.about("status")
    assert (missing.code, "failed (ConfigDirUnusable): " in missing.err) == (73, True)
    assert not shop.config.exists(), "a name that does not exist is a typing error"
    shop.config.mkdir()
    assert shop.about("status").out == "target      default\napplied     nothing yet\n"


def test_status_after_a_publish_a_failure_and_drift(shop: Shop) -> None:
    revision = shop.published().diff("--output", "json").json["revision"]
    status = shop.about("status", "--output", "json").json
    assert (status["applied_revision"], status["generation"], status["config_dir_as_recorded"]) == (revision, 1, True)
    assert {found["type"]: found["status"] for found in status["conditions"]} == {
        "Ready": "True", "Stalled": "False", "SourceReady": "True", "Compatible": "Unknown",
        "Healthy": "Unknown",
    }  # fmt: skip
    shop.manifest.rename(shop.manifest.with_suffix(".away"))
    assert shop.reconcile().code == 65
    status = shop.about("status", "--output", "json").json
    assert status["applied_revision"] == revision, "what is live is still live"
    told = {found["type"]: (found["status"], found["reason"]) for found in status["conditions"]}
    assert told["Ready"] == told["SourceReady"] == ("False", "NoManifest")
    live = shop.config / "functions.yml"
    live.write_text(live.read_text() + "# mine\n")
    assert "CONFIG_DIR  differs from the record" in shop.about("status").out


def test_p2_what_recovers_by_itself_says_so(shop: Shop) -> None:
    """P2: after a failure and its repair, a pass that has nothing to do ends with `Ready` true."""
    shop.published()
    shop.manifest.rename(shop.manifest.with_suffix(".away"))
    assert shop.reconcile().code == 65
    shop.manifest.with_suffix(".away").rename(shop.manifest)
    assert shop.reconcile("--detailed-exitcode").code == 0
    assert "Ready       True" in shop.about("status").out
    before = command.snapshot(shop.folder)
    assert shop.reconcile().out.startswith("nothing to do (InSync)")
    assert command.snapshot(shop.folder) == before


def test_the_history_holds_failures_with_counts(shop: Shop) -> None:
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: -1")
    for _ in range(3):
        assert shop.reconcile().code == 65
    shop.edit("catalog", "functions.yml", "timeout: -1", "timeout: 25")
    assert shop.reconcile().code == 0
    rows = shop.about("history", "--output", "json").json["rows"]
    assert [(row["result"], row["reason"], row["count"]) for row in rows] == [
        ("applied", "SourceChanged", 1),
        ("failed", "ArtifactInvalid", 3),
        ("applied", "FirstPublish", 1),
    ]
    lines = shop.about("history").out.splitlines()
    assert "failed  ArtifactInvalid x3  " in lines[1]
    assert len(shop.about("history", "--limit", "1").out.splitlines()) == 1


def test_a_pass_that_does_nothing_is_no_history(shop: Shop) -> None:
    shop.published()
    for _ in range(3):
        shop.reconcile()
    assert len(shop.about("history").out.splitlines()) == 1


def test_nothing_recorded_yet(shop: Shop) -> None:
    shop.config.mkdir()
    for name in ("history", "events"):
        assert shop.about(name).out == "nothing is recorded yet\n"


def test_events_say_what_happened_to_single_things(shop: Shop) -> None:
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    shop.reconcile()
    lines = shop.about("events").out.splitlines()
    assert len(lines) == 12
    assert "  function catalog-list  ChangedInSource  " in lines[0]
    assert len(shop.about("events", "--limit", "3").out.splitlines()) == 3


def test_doctor_finds_everything_well_and_leaves_nothing_behind(shop: Shop) -> None:
    shop.published()
    before = {name: found for name, found in command.snapshot(shop.folder).items() if name != "config"}
    ended = shop.run("doctor", *shop.target)
    assert ended.code == 0, ended.text
    assert {line[:5] for line in ended.out.splitlines()} == {"ok   "}
    assert {name: found for name, found in command.snapshot(shop.folder).items() if name != "config"} == before


def test_doctor_creates_nothing_either(shop: Shop) -> None:
    before = command.snapshot(shop.folder)
    ended = shop.run("doctor", *shop.target)
    assert (ended.code, "the first pass creates it" in ended.out) == (0, True)
    assert command.snapshot(shop.folder) == before


def test_doctor_names_what_is_wrong_and_the_way_out(shop: Shop) -> None:
    """`CheckFailed`: every check is made, also after one that failed."""
    (shop.folder / "controller.yml").write_text("nam: x\n")
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: -1")
    ended = shop.run("doctor", *shop.target)
    assert ended.code == 1
    assert "FAIL source: " in ended.out
    ended = shop.run("doctor", "--config", shop.folder / "controller.yml", *shop.target)
    assert (ended.code, "did you mean name?" in ended.out) == (1, True)
    ended = shop.run("doctor", "--config-dir", shop.folder / "a" / "b", "--source", shop.folder / "nowhere")
    assert ended.code == 1
    assert "FAIL CONFIG_DIR: " in ended.out
    assert "FAIL source: " in ended.out
    assert f"create {shop.folder / 'a'}" in ended.out


def doctor(shop: Shop, *more: str) -> dict[str, tuple[str, str, str]]:
    """The checks by name: status, detail, hint. Exit code 1 exactly when one of them fails."""
    ended = shop.run("doctor", *shop.target, *more, "--output", "json")
    found = {check["name"]: (check["status"], check["detail"], check["hint"]) for check in ended.json["checks"]}
    assert (ended.code == 1) == any(status == "FAIL" for status, _, _ in found.values()), ended.text
    return found


def test_doctor_reads_the_source_as_a_pass_does(shop: Shop) -> None:
    """An artifact_root outside the source is refused by both, unless the settings allow it."""
    (shop.source / "orders").rename(shop.folder / "orders")
    command.replace_text(shop.manifest, "artifact_root: orders", f"artifact_root: {shop.folder / 'orders'}")
    assert shop.run("manifest", "sync-ids", shop.manifest).code == 0
    assert shop.reconcile().code == 65
    assert doctor(shop)["source"][0] == "FAIL"
    settings = shop.folder / "controller.yml"
    settings.write_text("source: {directory: {path: artifacts, allow_outside: true}}\n")
    assert doctor(shop, "--config", str(settings))["source"][0] == "ok"


def test_doctor_tells_of_a_folder_that_nobody_can_make(shop: Shop) -> None:
    """CONFIG_DIR and the state directory are made by the first pass; here it would be refused (73, 1)."""
    closed = shop.folder / "closed"
    closed.mkdir()
    with command.mounted(closed, "size=1m,ro"):
        target = ("--source", shop.source, "--config-dir", closed / "config", "--state-dir", closed / "state")
        ended = shop.run("doctor", *target)
        assert ended.code == 1
        for name, place in (("CONFIG_DIR", "config"), ("record", "state")):
            wrong = f"FAIL {name}: {closed / place} does not exist, and {closed} is not writable"
            assert wrong in ended.out.splitlines(), ended.out
        assert shop.run("reconcile", "--once", *target).code == 73


@pytest.mark.parametrize("place", ["nowhere/state", "file"])
def test_doctor_tells_of_a_state_directory_that_cannot_be(shop: Shop, place: str) -> None:
    shop.published()
    (shop.folder / "file").write_text("x")
    status, detail, hint = doctor(shop, "--state-dir", str(shop.folder / place))["record"]
    assert status == "FAIL"
    assert str(shop.folder / place.partition("/")[0]) in detail
    assert hint


def test_doctor_accepts_a_state_directory_that_the_first_pass_makes(shop: Shop) -> None:
    assert doctor(shop)["record"][0] == "ok"
    assert doctor(shop, "--state-dir", str(shop.folder / "state"))["record"][0] == "ok"


def test_doctor_tells_what_stands_in_the_place_of_a_document(shop: Shop) -> None:
    """A6: the next publish would fail there."""
    shop.published()
    (shop.config / "functions.yml").unlink()
    (shop.config / "functions.yml").mkdir()
    status, detail, hint = doctor(shop)["CONFIG_DIR"]
    assert (status, str(shop.config / "functions.yml") in detail) == ("FAIL", True)
    assert hint == errors.MEANINGS["PathObstructed"].hint


def test_doctor_tells_of_secrets_by_name(shop: Shop) -> None:
    command.replace_text(
        shop.manifest, "artifact_root: orders", "artifact_root: orders\n    required_secret_env: [AUTH_PASS, OTHER]"
    )
    assert doctor(shop)["secrets"] == ("FAIL", "not set: AUTH_PASS, OTHER", errors.MEANINGS["SecretsMissing"].hint)
    secrets = shop.folder / "stack.env"
    secrets.write_text("AUTH_PASS=canary\nOTHER=canary\n")
    assert doctor(shop, "--secret-env", str(secrets))["secrets"][0] == "ok"
    missing = doctor(shop, "--secret-env", str(shop.folder / "nowhere.env"))
    assert [found[0] for name, found in missing.items() if "nowhere.env" in found[1]] == ["FAIL"]


def test_doctor_asks_for_an_engine_where_one_is_needed(shop: Shop) -> None:
    """H2: the fixture's engine is one that does not answer."""
    assert doctor(shop)["docker"][0] == "ok"
    recipe = shop.source / "catalog" / "functions" / "catalog-list" / "Dockerfile"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("FROM scratch\n")
    status, detail, _ = doctor(shop)["docker"]
    assert (status, "/nowhere/docker.sock" in detail) == ("FAIL", True)
    assert doctor(shop, "--skip-images")["docker"][0] == "ok"


def test_doctor_sees_documents_without_a_generation(shop: Shop) -> None:
    """`publish: files`: what is live is live."""
    shop.config.mkdir()
    assert "nothing published yet" in doctor(shop)["CONFIG_DIR"][1]
    shop.reconcile(environment={"CONTROLLER_POLICY__PUBLISH": "files"})
    assert doctor(shop)["CONFIG_DIR"][:2] == ("ok", f"{shop.config}: plain files")
    (shop.config / "routing.yml").unlink()
    assert "2 of 3 documents" in doctor(shop)["CONFIG_DIR"][1]


def test_doctor_tells_of_a_busy_lock(shop: Shop) -> None:
    shop.published()
    with command.locked(shop.config):
        ended = shop.run("doctor", *shop.target)
    assert (ended.code, "warn lock: " in ended.out) == (0, True)


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """For every schema of docs/json.md: the keys that must be there, and every word that it may be made of."""
    text = (command.ROOT / "docs" / "json.md").read_text()
    found: dict[str, tuple[set[str], set[str]]] = {}
    for schema, body in re.findall(
        r"^## `artifact-controller/(\w+)/v1`.*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    ):
        first = {
            name for row in re.findall(r"^\| (`.*?) \|", body, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
        }
        found[schema] = first, set(re.findall(r"`(\w+)`", body))
    for schema, keys in re.findall(r"^\| `([\w-]+)/v1` \| `[^`]*` \| (.*) \|$", text, re.MULTILINE):
        named = set(re.findall(r"`([\w-]+)`", re.sub(r"\([^)]*\)", "", keys)))
        found[schema] = named, named
    return found


def printed(shop: Shop) -> dict[str, Ended]:
    """One run for every schema, with something in every list that can hold something."""
    shop.published()
    live = shop.config / "functions.yml"
    live.write_text(live.read_text().replace("timeout: 10", "timeout: 999"))
    command.replace_text(shop.manifest, "mode: docker", "mode: docker\nnext_thing: 1")
    as_json = ("--output", "json")
    runs = {"plan": shop.diff(*as_json), "report": shop.reconcile(*as_json)}
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    shop.reconcile()
    shop.about("rollback")
    runs["suspension"] = shop.about("suspend", "--reason", "x", *as_json)
    runs |= {name: shop.about(name, *as_json) for name in ("status", "history", "events", "resume")}
    runs["trace"] = shop.about("trace", "catalog-list", *as_json)
    runs["comparison"] = compared(shop, *as_json)
    command.replace_text(shop.manifest, "catalog-3a84c634", "catalog-00000000")
    runs["error"] = shop.run("status", "--config-dir", shop.folder / "nowhere", *as_json)
    runs["doctor"] = shop.run("doctor", *shop.target, *as_json)
    runs["validation"] = shop.run("manifest", "validate", shop.source, *as_json)
    runs["sync-ids"] = shop.run("manifest", "sync-ids", "--check", shop.manifest, *as_json)
    runs["discovery"] = shop.run("manifest", "discover", shop.source, *as_json)
    return runs


def compared(shop: Shop, *more: str) -> Ended:
    """The source beside a copy that asks for something else, and brings no Dockerfile."""
    other = shutil.copytree(shop.source, shop.folder / "other")
    command.replace_text(other / "catalog" / "config" / "functions.yml", "timeout: 25", "timeout: 26")
    recipe = shop.source / "catalog" / "functions" / "catalog-list" / "Dockerfile"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("FROM scratch\n")
    ended = shop.run("diff", "--source", shop.source, "--against", other, *more)
    shutil.rmtree(other)
    shutil.rmtree(recipe.parent.parent)
    return ended


def names(value: Any, *, below: tuple[str, ...]) -> set[str]:
    """The keys of a value, and of what stands in its lists and in the members named."""
    if isinstance(value, list):
        return set().union(*(names(each, below=below) for each in value))
    if not isinstance(value, dict):
        return set()
    inner = [each for key, each in value.items() if isinstance(each, list) or key in below]
    return set(value).union(*(names(each, below=below) for each in inner))


WITH_DOCKER = {"probe", "provision"}
"""Schemas of commands that want an engine; the tests of those commands compare them."""

IN_WORDS = {
    "status": {"reason", "since", "type", "status", "message", "revision", "changed_at"},
    "validation": {"severity", "file", "line", "column", "key", "message"},
}
"""Members of members that docs/json.md does not list again."""


def test_every_json_has_its_schema_and_the_documented_keys(shop: Shop) -> None:
    """docs/json.md: a key that is printed and not documented, or the other way round, fails."""
    wanted = documented()
    runs = printed(shop)
    assert set(runs) == set(wanted) - WITH_DOCKER
    for schema, ended in runs.items():
        document = ended.json
        assert document.pop("schema") == f"artifact-controller/{schema}/v1"
        if schema == "report":
            assert set(document.pop("plan")) == wanted["plan"][0]
            document["plan"] = None
        found = names(document, below=("preconditions", "provenance", "provenance_before", "source", "against"))
        must, may = wanted[schema]
        assert must - found == set(), schema
        assert found - may - IN_WORDS.get(schema, set()) == set(), schema


def test_a_failed_command_with_json_prints_one_document_or_none(shop: Shop) -> None:
    """Never half of one, and never text."""
    shop.manifest.unlink()
    for arguments in (
        ("reconcile", "--once", *shop.target),
        ("diff", *shop.target),
        ("rollback", "--config-dir", str(shop.config)),
    ):
        out = shop.run(*arguments, "--output", "json").out
        assert out == "" or isinstance(json.loads(out), dict)
