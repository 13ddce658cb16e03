"""`reconcile --once` and `deploy` over real folders: what is published, what is told, what is left alone."""

import json
import shutil
import threading
from pathlib import Path

import pytest
import yaml

from controller.sources import directory
from core import digest
from manifests import checkout
from tests.fakes import command
from tests.fakes.command import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_the_first_pass_publishes_and_says_what(shop: Shop) -> None:
    ended = shop.reconcile()
    assert ended.code == 0
    assert "+ function orders-create  change: NewInSource" in ended.out
    assert ended.out.splitlines()[-2] == "Plan: 11 to add, 0 to change, 0 to remove"
    assert ended.out.splitlines()[-1].endswith("3 functions, 3 routes, 1 table, 1 bucket, 0 layers")
    assert ended.err.startswith("note: NoStack: ")
    functions = yaml.safe_load(shop.documents()["functions.yml"] or b"")
    assert list(functions["functions"]) == ["orders-create", "orders-report", "catalog-list"]
    assert functions["defaults"]["environment"]["LOG_LEVEL"] == "${LOG_LEVEL}"


def test_c7_the_entry_that_lost_is_named(shop: Shop) -> None:
    """C7: the same key in two entries is decided by the order of `artifacts[]`, and reported."""
    ended = shop.reconcile("--output", "json")
    change = next(change for change in ended.json["plan"]["changes"] if change["name"] == "LOG_LEVEL")
    assert change["provenance"] == {
        "entry": "orders-2637b026",
        "file": "orders/config/functions.yml",
        "line": 3,
        "overrides": ["catalog-3a84c634"],
    }


def test_f7_a_second_pass_says_nothing_to_do_and_writes_nothing(shop: Shop) -> None:
    """F7: not an inode and not a time below CONFIG_DIR (the record included) or the source."""
    shop.published()
    before = command.snapshot(shop.folder)
    ended = shop.reconcile("--output", "json")
    assert ended.code == 0
    assert command.snapshot(shop.folder) == before
    assert shop.reconcile().out == f"nothing to do (InSync): {ended.json['message']}\n"
    assert command.snapshot(shop.folder) == before
    assert shop.reconcile("--detailed-exitcode").code == 0


def test_f7_a_second_pass_in_a_new_process_writes_nothing_either(shop: Shop) -> None:
    shop.published()
    before = command.snapshot(shop.folder)
    ended = command.child("reconcile", "--once", *shop.target)
    assert (ended.code, ended.out.startswith("nothing to do (InSync)")) == (0, True)
    assert command.snapshot(shop.folder) == before


def test_f7_a_deleted_cache_changes_nothing_but_time(shop: Shop) -> None:
    shop.published()
    documents = shop.documents()
    (shop.config / ".controller" / "cache.db").unlink()
    ended = shop.reconcile()
    assert (ended.code, ended.out.startswith("nothing to do (InSync)")) == (0, True)
    assert shop.documents() == documents


def test_detailed_exit_codes_tell_changes_from_none(shop: Shop) -> None:
    assert shop.diff("--detailed-exitcode").code == 2
    assert shop.reconcile("--detailed-exitcode").code == 2
    assert shop.reconcile("--detailed-exitcode").code == 0
    assert shop.diff("--detailed-exitcode").code == 0


def test_a_change_in_the_source_is_a_change(shop: Shop) -> None:
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    ended = shop.reconcile("--detailed-exitcode")
    assert ended.code == 2
    assert "~ function catalog-list  change: ChangedInSource, reload" in ended.out
    assert "~ timeout: 10 -> 25" in ended.out
    assert b"timeout: 25" in (shop.documents()["functions.yml"] or b"")


def test_a_hand_edit_a_deleted_route_and_a_foreign_function_are_told_apart(shop: Shop) -> None:
    """A7, contract.md section 4: drift is healed, what was never ours stays and is reported."""
    shop.published()
    live = shop.config / "functions.yml"
    live.write_text(live.read_text().replace("timeout: 10", "timeout: 999") + "  theirs:\n    image: x:1\n")
    routes = yaml.safe_load((shop.config / "routing.yml").read_text())
    del routes["routes"][0]
    (shop.config / "routing.yml").write_text(yaml.safe_dump(routes))
    ended = shop.reconcile("--output", "json")
    assert (ended.code, ended.json["reason"]) == (0, "Drifted")
    told = {(change["kind"], change["name"]): change for change in ended.json["plan"]["changes"]}
    assert told["function", "catalog-list"]["reason"] == "EditedInConfigDir"
    assert told["route", "/orders:POST"]["reason"] == "MissingInConfigDir"
    assert {change["cause"] for change in told.values()} == {"drift"}
    assert ended.json["plan"]["foreign"] == [{"kind": "function", "name": "theirs"}]
    assert "Foreign: function theirs is not ours: kept" in ended.err
    functions = yaml.safe_load(shop.documents()["functions.yml"] or b"")["functions"]
    assert functions["catalog-list"]["timeout"] == 10
    assert "theirs" in functions
    assert len(yaml.safe_load(shop.documents()["routing.yml"] or b"")["routes"]) == 3
    assert shop.reconcile().out.startswith("nothing to do (InSync)")


def test_drift_is_left_alone_when_told_so(shop: Shop) -> None:
    shop.published()
    live = shop.config / "functions.yml"
    live.write_text(live.read_text().replace("timeout: 10", "timeout: 999"))
    before = shop.documents()
    ended = shop.reconcile(environment={"CONTROLLER_POLICY__SELF_HEAL": "false"})
    assert (ended.code, "DriftLeftAlone" in ended.out) == (0, True)
    assert shop.documents() == before


def test_a11_a_volume_that_lost_its_content_is_published_again(shop: Shop) -> None:
    """A11: the record stands elsewhere and says "applied"; the disk counts."""
    state = ("--state-dir", str(shop.folder / "state"))
    assert shop.reconcile(*state).code == 0
    documents = shop.documents()
    shutil.rmtree(shop.config)
    shop.config.mkdir()
    ended = shop.reconcile(*state, "--detailed-exitcode")
    assert ended.code == 2
    assert shop.documents() == documents


def test_f4_unknown_fields_are_told_kept_and_stop_nothing(shop: Shop) -> None:
    """F4: a field of a newer minor version is a warning, and what passes through is published."""
    command.replace_text(shop.manifest, "mode: docker", "mode: docker\nnext_thing: 1")
    shop.edit("catalog", "functions.yml", "timeout: 10", 'timeout: 10\n    runtime_hint: "next"')
    ended = shop.reconcile()
    assert ended.code == 0
    assert "next_thing" in ended.err
    assert b"runtime_hint: next" in (shop.documents()["functions.yml"] or b"")
    assert "next_thing" in shop.reconcile().err, "an unchanged source keeps its warnings"


def test_a_dockerfile_needs_a_build_until_told_otherwise(shop: Shop) -> None:
    """69 with the way out; nothing is written."""
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    recipe = shop.source / "catalog" / "functions" / "catalog-list" / "Dockerfile"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("FROM scratch\n")
    before = command.visible(shop.config)
    ended = shop.reconcile()
    assert ended.code == 69
    assert "failed (DockerUnavailable): " in ended.err
    assert "catalog-list" in ended.err
    assert "--skip-images" in ended.err
    assert command.visible(shop.config) == before
    assert shop.reconcile("--skip-images").code == 0
    assert b"timeout: 25" in (shop.documents()["functions.yml"] or b"")


def test_c3_the_same_revision_is_applied_as_soon_as_its_secret_is_set(shop: Shop) -> None:
    """C3, contract.md section 7: refused with the names, retried without a new revision, also from the secret file."""
    command.replace_text(
        shop.manifest,
        "runtime_config_dir: config\n    source_template:\n      path: templates/catalog.yaml",
        "runtime_config_dir: config\n    required_secret_env: [AUTH_PASS, API_KEY]\n"
        "    source_template:\n      path: templates/catalog.yaml",
    )
    for _ in range(2):
        ended = shop.reconcile(environment={"API_KEY": "canary-value"})
        assert (ended.code, "SecretsMissing" in ended.err) == (77, True)
        assert "AUTH_PASS" in ended.err
        assert "API_KEY" not in ended.err
        assert shop.documents() == dict.fromkeys(command.DOCUMENTS)
    secrets = shop.folder / "stack.env"
    secrets.write_text("# comment\nexport AUTH_PASS=canary-value\n")
    ended = shop.reconcile("--secret-env", secrets, environment={"API_KEY": "canary-value"})
    assert ended.code == 0, ended.text
    assert "canary-value" not in ended.text


def test_c7_the_order_of_artifacts_decides(shop: Shop) -> None:
    """C7: the same entries in another order give the documents of that order."""
    shop.edit("catalog", "functions.yml", 'LOG_LEVEL: "info"', 'LOG_LEVEL: "debug"')
    shop.published()
    assert b'LOG_LEVEL: "${LOG_LEVEL}"' in (shop.documents()["functions.yml"] or b"")
    head, orders, catalog = _entries(shop.manifest.read_text())
    tail = catalog[catalog.index("generator:") :]
    shop.manifest.write_text(head + catalog[: catalog.index("generator:")] + orders + tail)
    assert shop.reconcile().code == 0
    functions = shop.documents()["functions.yml"] or b""
    assert b"LOG_LEVEL: debug" in functions
    assert next(iter(yaml.safe_load(functions)["functions"])) == "catalog-list"


def _entries(text: str) -> tuple[str, str, str]:
    first, second = (text.index(f"  - id: {name}") for name in ("orders", "catalog"))
    return text[:first], text[first:second], text[second:]


def test_c7_a_conflict_of_functions_is_reported(shop: Shop) -> None:
    """C7: a function that two entries define belongs to the later one, and the earlier one is named."""
    shop.edit("catalog", "functions.yml", "functions:\n", "functions:\n  orders-report:\n    image: other:1\n")
    ended = shop.reconcile("--output", "json")
    change = next(change for change in ended.json["plan"]["changes"] if change["name"] == "orders-report")
    assert change["provenance"]["entry"] == "catalog-3a84c634"
    assert change["provenance"]["overrides"] == ["orders-2637b026"]
    assert "orders-report" in ended.err
    published = yaml.safe_load(shop.documents()["functions.yml"] or b"")
    assert published["functions"]["orders-report"] == {"image": "other:1"}


@pytest.mark.process
def test_c7_no_hash_seed_changes_a_byte(shop: Shop) -> None:
    """C7: eight processes, eight seeds, the same bytes and the same revision."""
    found = set()
    for seed in range(8):
        out = shop.folder / f"config-{seed}"
        ended = command.child(
            "deploy", "--artifact", shop.manifest, "--out", out, "--output", "json",
            environment={"PYTHONHASHSEED": str(seed)},
        )  # fmt: skip
        assert ended.code == 0, ended.text
        found.add((ended.json["revision"], tuple(command.documents(out).items())))
    assert len(found) == 1


def test_deploy_gives_the_same_documents_as_reconcile(shop: Shop) -> None:
    shop.published()
    out = shop.folder / "deployed"
    ended = shop.run("deploy", "--artifact", shop.manifest, "--out", out)
    assert (ended.code, ended.out.splitlines()[-1].startswith("done (FirstPublish)")) == (0, True)
    assert command.documents(out) == shop.documents()
    again = shop.run("deploy", "--artifact", shop.manifest, "--out", out, "--no-cache")
    assert again.out.startswith("nothing to do (InSync)")


def test_deploy_allows_an_artifact_root_outside_its_folder(shop: Shop) -> None:
    """Contract.md section 2: `deploy` has no source, so nothing can be left."""
    shutil.move(shop.source / "catalog", shop.folder / "catalog")
    command.replace_text(shop.manifest, "artifact_root: catalog", "artifact_root: ../catalog")
    assert shop.reconcile().code == 65
    ended = shop.run("deploy", "--artifact", shop.manifest, "--out", shop.folder / "deployed")
    assert ended.code == 0, ended.text


def test_publish_files_is_the_other_mode(shop: Shop) -> None:
    settings = {"CONTROLLER_POLICY__PUBLISH": "files"}
    assert shop.reconcile(environment=settings).code == 0
    assert not (shop.config / "functions.yml").is_symlink()
    before = command.snapshot(shop.folder)
    ended = shop.reconcile(environment=settings)
    assert (ended.code, ended.out.startswith("nothing to do (InSync)")) == (0, True)
    assert command.snapshot(shop.folder) == before


def test_a6_plain_files_are_adopted_and_foreign_things_kept(shop: Shop) -> None:
    """A6: what an older applier left becomes a generation; nothing that is not ours is lost."""
    shop.config.mkdir()
    (shop.config / "functions.yml").write_text("functions:\n  theirs:\n    image: x:1\n")
    (shop.config / "routing.yml").write_text("routes: []\n")
    (shop.config / "README").write_text("mine\n")
    ended = shop.reconcile()
    assert ended.code == 0, ended.text
    assert "ForeignFile: README" in ended.err
    assert (shop.config / "README").read_text() == "mine\n"
    assert (shop.config / "functions.yml").is_symlink()
    assert "theirs" in yaml.safe_load(shop.documents()["functions.yml"] or b"")["functions"]


def test_c6_a_source_that_changes_while_it_is_read_is_never_published_torn(shop: Shop) -> None:
    """C6: what is published is what the recorded revision stands for, or the pass says `SourceUnstable`."""
    shop.published()
    stop = threading.Event()
    functions, routing = shop.document("catalog", "functions.yml"), shop.document("catalog", "routing.yml")
    text, routes = functions.read_text(), routing.read_text()

    def rewrite() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            _replaced(functions, text.replace("timeout: 10", f"timeout: {100 + number}"))
            _replaced(routing, routes.replace("/catalog", f"/catalog-{number}"))

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen, refused = [], 0
    try:
        for _ in range(12):
            ended = shop.reconcile("--output", "json")
            assert ended.code == 0 or ended.json["reason"] in ("SourceUnstable", "ArtifactInvalid"), ended.text
            refused += ended.code == 69
            if ended.code == 0:
                seen.append((ended.json["revision"], shop.documents()))
    finally:
        stop.set()
        writer.join()
    assert seen or refused
    for revision, published in seen:
        assert _revision_of(shop, published, text, routes) == revision


def _replaced(path: Path, text: str) -> None:
    """Put whole: an empty routing.yml would be a document too."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def _revision_of(shop: Shop, published: dict[str, bytes | None], text: str, routes: str) -> str:
    """The revision of a source that asks for exactly what was published."""
    timeout = yaml.safe_load(published["functions.yml"] or b"")["functions"]["catalog-list"]["timeout"]
    path = yaml.safe_load(published["routing.yml"] or b"")["routes"][2]["path"]
    shop.document("catalog", "functions.yml").write_text(text.replace("timeout: 10", f"timeout: {timeout}"))
    shop.document("catalog", "routing.yml").write_text(routes.replace("/catalog", path))
    ended = shop.diff("--output", "json")
    assert ended.code == 0, ended.text
    revision = ended.json["revision"]
    assert isinstance(revision, str)
    return revision


def test_c6_a_source_that_never_holds_still_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """C6: 69 and the way out; nothing is changed."""
    shop.published()
    before = command.visible(shop.config)
    functions = shop.document("catalog", "functions.yml")
    text = functions.read_text()
    numbers = iter(range(1000))
    of_bytes = digest.of_bytes

    def changing(content: bytes) -> str:
        functions.write_text(f"{text}# {next(numbers)}\n")
        return of_bytes(content)

    monkeypatch.setattr(digest, "of_bytes", changing)
    functions.write_text(f"{text}# new\n")
    ended = shop.reconcile()
    monkeypatch.undo()
    assert (ended.code, "failed (SourceUnstable): " in ended.err) == (69, True), ended.text
    assert command.visible(shop.config) == before


def test_c5_leftovers_of_editors_are_no_manifests(shop: Shop) -> None:
    shop.published()
    for name in ("artifact.yml.bak", "artifact.yml~", ".artifact.yml.swp", "4913"):
        (shop.source / name).write_text("no: [yaml")
    assert shop.reconcile().out.startswith("nothing to do (InSync)")


def test_a_folder_that_looks_changed_but_is_not_is_no_change(shop: Shop) -> None:
    """Only content counts: a touched tree costs reading, and no generation."""
    shop.published()
    for path in shop.source.rglob("*.yml"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    ended = shop.reconcile("--output", "json")
    assert (ended.json["reason"], ended.json["generation"]) == ("InSync", 1)


def test_the_revision_is_the_same_wherever_the_source_stands(shop: Shop) -> None:
    first = shop.diff("--output", "json").json["revision"]
    shutil.copytree(shop.source, shop.folder / "elsewhere")
    second = shop.run("diff", "--source", shop.folder / "elsewhere", "--config-dir", shop.config, "--output", "json")
    assert json.loads(second.out)["revision"] == first


def test_one_of_several_manifests_is_chosen_by_name(shop: Shop) -> None:
    other = shop.source / "staging"
    shutil.copytree(command.SAMPLE, other)
    command.replace_text(other / "artifact.yml", "env: demo", "env: staging")
    ambiguous = shop.reconcile()
    assert (ambiguous.code, "failed (AmbiguousManifest): " in ambiguous.err) == (65, True)
    for candidate in ("artifact.yml (project shop, env demo", "staging/artifact.yml (project shop, env staging"):
        assert candidate in ambiguous.err
    assert shop.reconcile("--env", "staging").code == 0
    assert shop.reconcile("--manifest", "staging/artifact.yml").out.startswith("nothing to do")
    missing = shop.reconcile("--env", "production")
    assert (missing.code, "failed (NoManifest): " in missing.err) == (65, True)
    assert "staging/artifact.yml" in missing.err


def test_the_check_of_a_manifest_counts_what_a_pass_would_publish(shop: Shop) -> None:
    found = directory.validate(shop.manifest, checkout.DEFAULT_RULES)
    assert found.contents == "3 functions, 3 routes, 1 table, 1 bucket, 0 layers"
