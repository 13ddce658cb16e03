"""`manifest validate | sync-ids | schema | discover`: about files, never about a target."""

import json
import os
import shutil
from pathlib import Path

import pytest

from controller import errors
from core import identity
from tests.fakes import command
from tests.fakes.command import Shop

COUNTED = "3 functions, 3 routes, 1 table, 1 bucket, 0 layers"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_valid_artifact_is_counted(shop: Shop) -> None:
    for path in (shop.source, shop.manifest):
        ended = shop.run("manifest", "validate", path)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out == f"{path}: {COUNTED}\n"


def test_every_problem_of_every_file_is_told(shop: Shop) -> None:
    """65: all of them with file, line, column and key, in the order of the files."""
    other = Shop(shop.folder / "other")
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: no")
    shop.edit("catalog", "routing.yml", "/catalog", "/x(")
    other.edit("orders", "resources.yml", "TableName", "TabelName")
    other.edit("orders", "functions.yml", 'TABLE: "orders"', "TABLE: 010")
    before = command.snapshot(shop.folder)
    ended = shop.run("manifest", "validate", shop.source, other.source, "--output", "json")
    assert ended.code == 65
    assert [file["valid"] for file in ended.json["files"]] == [False, False]
    wrong = [
        (problem["file"], problem["key"])
        for file in ended.json["files"]
        for problem in file["problems"]
        if problem["severity"] == "error"
    ]
    assert ("catalog/config/functions.yml", "functions.catalog-list.timeout") in wrong
    assert ("catalog/config/routing.yml", "routes[0].path") in wrong
    assert ("orders/config/functions.yml", "functions.orders-create.environment.TABLE") in wrong
    assert ended.err.count("error: ") == len(wrong)
    assert all(problem["line"] and problem["column"] for file in ended.json["files"] for problem in file["problems"])
    assert command.snapshot(shop.folder) == before


def test_a_warning_is_told_and_is_no_error(shop: Shop) -> None:
    command.replace_text(shop.manifest, "mode: docker", "mode: docker\nnext_thing: 1")
    ended = shop.run("manifest", "validate", shop.source)
    assert ended.code == 0
    assert ended.err.startswith("warning: artifact.yml:6:1: next_thing:")


def test_nothing_to_validate_is_no_valid_artifact(shop: Shop) -> None:
    nowhere, empty = shop.folder / "nowhere", shop.folder / "empty"
    empty.mkdir()
    missing = shop.run("manifest", "validate", nowhere)
    assert (missing.code, missing.out) == (69, f"{nowhere}: not checked (SourceMissing)\n")
    assert missing.err == (
        f"error: {nowhere}: no such file or directory\nhint: {errors.MEANINGS['SourceMissing'].hint}\n"
    )
    (told,) = shop.run("manifest", "validate", nowhere, "--output", "json").json["files"]
    assert (told["valid"], told["reason"], len(told["problems"])) == (False, "SourceMissing", 1)
    assert shop.run("manifest", "validate", empty).code == 77
    (empty / "notes.txt").touch()
    other = shop.run("manifest", "validate", empty)
    assert (other.code, "artifact.yml (exactly this name)" in other.err) == (65, True), other.text


def test_p11_what_cannot_be_read_does_not_hide_the_others(shop: Shop) -> None:
    """P11: each path has its result. The code is 65 when one breaks the contract, else that of the first trouble."""
    nowhere = shop.folder / "nowhere"
    (shop.folder / "empty").mkdir()
    troubles = (nowhere, shop.folder / "empty")
    ended = shop.run("manifest", "validate", *troubles, shop.source)
    assert ended.code == 69
    assert ended.out.splitlines() == [
        f"{nowhere}: not checked (SourceMissing)",
        f"{troubles[1]}: not checked (SourceEmpty)",
        f"{shop.source}: {COUNTED}",
    ]
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: -1")
    ended = shop.run("manifest", "validate", *troubles, shop.source, "--output", "json")
    assert (ended.code, ended.json["valid"]) == (65, False)
    assert [each["reason"] for each in ended.json["files"]] == ["SourceMissing", "SourceEmpty", "ArtifactInvalid"]
    assert all(len(each["problems"]) == 1 for each in ended.json["files"])


def test_every_manifest_below_a_folder_is_checked(shop: Shop) -> None:
    shutil.copytree(command.SAMPLE, shop.source / "more")
    (shop.source / "orders" / "artifact.yml").write_text("a: [b")
    ended = shop.run("manifest", "validate", shop.source)
    assert ended.code == 65
    assert ended.out.splitlines() == [
        f"{shop.source}/artifact.yml: {COUNTED}",
        f"{shop.source}/more/artifact.yml: {COUNTED}",
        f"{shop.source}/orders/artifact.yml: invalid",
    ]


def test_c1_a_folder_that_may_not_be_entered_does_not_hide_the_others(shop: Shop) -> None:
    command.require_root()
    shut = shop.source / "shut"
    shut.mkdir()
    shut.chmod(0)
    for arguments in (("validate", shop.source), ("validate", shop.manifest, shut)):
        ended = command.as_nobody(shop, "manifest", *arguments)
        assert ended.code == 69, ended.text
        assert f"{shut}" in ended.out
        assert "Permission denied (errno 13)" in ended.err
        assert f"artifact.yml: {COUNTED}" in ended.out


COMMENTED = """\
# Head
schema_version: '1'   # quotes stay
project: shop
env: demo
mode: docker

artifacts:
    # the first one
  - artifact_root: orders   # no id yet
    runtime_config_dir: config
    source_template: {path: templates/orders.yaml, parameters: {Stage: demo}}
  - id: catalog-00000000  # wrong
    artifact_root: "catalog"
    runtime_config_dir: config
    source_template:
        path: templates/catalog.yaml
# tail
"""


@pytest.fixture
def unsynced(shop: Shop) -> Shop:
    shop.manifest.write_text(COMMENTED)
    return shop


def test_ids_are_written_and_nothing_else_is_changed(unsynced: Shop) -> None:
    """Contract.md section 3: comments, quotes and order stay."""
    assert unsynced.reconcile().code == 65
    ended = unsynced.run("manifest", "sync-ids", unsynced.manifest, "--output", "json")
    assert (ended.code, ended.json["written"]) == (0, True)
    assert [(found["entry"], found["id"], found["wanted"]) for found in ended.json["differences"]] == [
        (0, "", "orders-2637b026"),
        (1, "catalog-00000000", "catalog-3a84c634"),
    ]
    text = unsynced.manifest.read_text()
    for kept in (
        "# Head",
        "schema_version: '1'   # quotes stay",
        "# the first one",
        "# no id yet",
        "# wrong",
        "# tail",
    ):
        assert kept in text
    assert 'artifact_root: "catalog"' in text
    assert unsynced.reconcile().code == 0
    again = unsynced.run("manifest", "sync-ids", unsynced.manifest)
    assert again.out == f"{unsynced.manifest}: every id is as computed\n"


def test_synced_ids_are_replaced_as_a_whole_or_not_at_all(unsynced: Shop) -> None:
    """A reader of the old file keeps it; a synced file is not even touched."""
    descriptor = os.open(unsynced.manifest, os.O_RDONLY)
    try:
        unsynced.manifest.chmod(0o640)
        assert unsynced.run("manifest", "sync-ids", "--artifact", unsynced.manifest).code == 0
        assert os.read(descriptor, 10_000).decode() == COMMENTED
    finally:
        os.close(descriptor)
    assert unsynced.manifest.stat().st_mode & 0o777 == 0o640
    before = command.snapshot(unsynced.folder)
    assert unsynced.run("manifest", "sync-ids", unsynced.manifest).code == 0
    assert command.snapshot(unsynced.folder) == before


def test_65_ids_that_differ_are_only_told_with_check(unsynced: Shop) -> None:
    """`IdsDiffer`: line and id; nothing is written."""
    before = command.snapshot(unsynced.folder)
    ended = unsynced.run("manifest", "sync-ids", "--check", unsynced.manifest)
    assert ended.code == 65
    assert f"{unsynced.manifest}:12: artifacts[1].id is not catalog-3a84c634" in ended.out
    assert command.snapshot(unsynced.folder) == before
    assert unsynced.run("manifest", "sync-ids", "--check", command.SAMPLE / "artifact.yml").code == 0


@pytest.mark.parametrize("content", ["a: [b", "[]", "artifacts: {}", "artifacts:\n  - 1\n", ""])
def test_65_a_manifest_whose_ids_cannot_be_computed(shop: Shop, content: str) -> None:
    shop.manifest.write_text(content)
    ended = shop.run("manifest", "sync-ids", shop.manifest)
    assert (ended.code, "failed (ArtifactInvalid): " in ended.err) == (65, True), ended.text
    assert shop.manifest.read_text() == content


@pytest.mark.parametrize("options", [(), ("--check",)])
@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere.yml", "SourceMissing"), ("nowhere/artifact.yml", "SourceMissing"), ("orders", "ArtifactInvalid")],
)
def test_what_is_no_manifest_file_is_said_to_be_what_it_is(
    shop: Shop, name: str, reason: str, options: tuple[str, ...]
) -> None:
    """A name that does not exist may be mounted later; a folder in its place will not become a file by waiting."""
    ended = shop.run("manifest", "sync-ids", *options, shop.source / name, "--output", "json")
    assert (ended.code, ended.json["reason"]) == (errors.MEANINGS[reason].exit_code, reason)
    assert str(shop.source / name) in ended.err


def test_ids_of_the_second_generation_are_written_where_settings_allow_them(shop: Shop) -> None:
    """Contract.md section 2: without `source_template`, and only with `manifest.require_ids: false`."""
    text = "artifacts:\n  - artifact_root: orders\n    runtime_config_dir: config\n"
    shop.manifest.write_text(text)
    config = shop.folder / "controller.yml"
    config.write_text("manifest: {require_ids: false}\n")
    assert shop.run("manifest", "sync-ids", shop.manifest).code == 65
    checked = shop.run("manifest", "sync-ids", "--check", shop.manifest, "--config", config, "--output", "json")
    wanted = identity.id_of_root("orders")
    assert (checked.code, [each["wanted"] for each in checked.json["differences"]]) == (65, [wanted])
    assert shop.manifest.read_text() == text
    assert shop.run("manifest", "sync-ids", shop.manifest, "--config", config).code == 0
    assert f"- id: {wanted}\n" in shop.manifest.read_text()


@pytest.mark.parametrize("subject", ["artifact", "settings"])
def test_a_schema_is_the_same_as_text_and_as_json(shop: Shop, subject: str) -> None:
    ended = shop.run("manifest", "schema", "--of", subject, "--output", "json")
    assert ended.json == json.loads(shop.run("manifest", "schema", "--of", subject).out)
    assert ended.json["$schema"]


def test_a_manifest_that_cannot_be_written_is_named(unsynced: Shop) -> None:
    command.require_root()
    ended = command.as_nobody(unsynced, "manifest", "sync-ids", unsynced.manifest)
    assert ended.code in (1, 69), ended.text
    assert "artifact.yml" in ended.err
    assert "errno 13" in ended.err
    assert unsynced.manifest.read_text() == COMMENTED


def test_every_manifest_below_a_folder_is_listed(shop: Shop) -> None:
    other = Shop(shop.folder / "artifacts" / "more")
    command.replace_text(other.manifest, "env: demo", "env: staging")
    (shop.source / "orders" / "artifact.yml").write_text("a: [b")
    ended = shop.run("manifest", "discover", shop.source)
    assert ended.out.splitlines()[:2] == [
        "artifact.yml (project shop, env demo, mode docker)",
        "more/artifacts/artifact.yml (project shop, env staging, mode docker)",
    ]
    found = shop.run("manifest", "discover", shop.source, "--output", "json").json["candidates"]
    assert [(each["path"], each["env"], bool(each["problem"])) for each in found] == [
        ("artifact.yml", "demo", False),
        ("more/artifacts/artifact.yml", "staging", False),
        ("orders/artifact.yml", "", True),
    ]


def test_nothing_found_is_said_and_no_failure(tmp_path: Path) -> None:
    assert command.run("manifest", "discover", tmp_path).out == f"{tmp_path}: no artifact.yml below this folder\n"
    assert command.run("manifest", "discover", tmp_path / "nowhere").code == 69
