"""`diff --against`: two folders or commits, with no target, engine, network or write; what a pull request would change."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import command, jobs, tools
from tests.fakes.command import Ended, Shop

DOCKERFILE = "FROM esb-lambda-base:latest\nCOPY . /function\n"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The sample artifact in a repository, one of whose functions brings a Dockerfile."""
    tools.require("git")
    shop = Shop(tmp_path / "work")
    context = shop.source / "catalog" / "functions" / "catalog-list"
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text(DOCKERFILE)
    git(shop, "init", "--quiet", "--initial-branch=main")
    commit(shop)
    return shop


def git(shop: Shop, *words: str) -> str:
    names = {f"GIT_{who}_{what}": "nobody@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *words], cwd=shop.folder, env=environment, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def commit(shop: Shop) -> str:
    git(shop, "add", "--all")
    git(shop, "commit", "--quiet", "--message", "a change")
    return git(shop, "rev-parse", "HEAD")


def compared(shop: Shop, *more: str | Path) -> Ended:
    return shop.run("diff", "--source", shop.source, *more)


def body(shop: Shop, *more: str | Path) -> dict[str, Any]:
    ended = compared(shop, *more, "--output", "json")
    assert ended.code == 0, ended.text
    assert ended.json["schema"] == "artifact-controller/comparison/v1"
    return ended.json


def test_the_same_content_is_no_difference(shop: Shop) -> None:
    for against in (("--against-revision", "HEAD"), ("--against", shutil.copytree(shop.source, shop.folder / "copy"))):
        ended = compared(shop, *against, "--detailed-exitcode")
        assert (ended.code, ended.out) == (0, "Plan: 0 to add, 0 to change, 0 to remove · InSync: nothing to do\n")
        assert "BasesNotAsked" in ended.err
        assert "esb-lambda-base:latest" in ended.err


def test_a_change_is_shown_with_its_place_image_and_provisioner(shop: Shop) -> None:
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    shop.edit("orders", "resources.yml", "BillingMode", "StreamSpecification: {}\n      BillingMode")
    (shop.source / "catalog" / "functions" / "catalog-list" / "code").write_text("new\n")
    ended = compared(shop, "--against-revision", "HEAD", "--detailed-exitcode")
    assert ended.code == 2, ended.text
    assert "~ function catalog-list  change: ChangedInSource, rebuild  [" in ended.out
    assert "catalog/config/functions.yml:5]" in ended.out
    assert "~ timeout: 10 -> 25" in ended.out
    assert "~ table orders  change: ChangedInSource, not-convergeable" in ended.out
    assert "* image registry:5010/shop/catalog-list:v1  change: ImageInputChanged, build and push" in ended.out
    assert "> provisioner  ResourcesChanged" in ended.out
    assert ended.out.splitlines()[-1].startswith("Plan: 0 to add, 2 to change, 0 to remove · 1 image to build")


def test_what_moved_to_another_entry_says_where_it_was(shop: Shop) -> None:
    """Provenance of both sides, also in JSON; of what goes, the place that it had."""
    shop.document("catalog", "routing.yml").write_text("routes: []\n")
    document = shop.document("orders", "functions.yml")
    document.write_text("functions:" + document.read_text().partition("functions:")[2])
    shop.edit("catalog", "functions.yml", '"info"', '"another"')
    found = body(shop, "--against-revision", "HEAD")
    told = {(one["operation"], one["name"]): one for one in found["changes"]}
    gone, moved = told["remove", "/catalog:GET"], told["change", "LOG_LEVEL"]
    assert gone["provenance"] == gone["provenance_before"]
    assert gone["provenance"]["file"] == "catalog/config/routing.yml"
    assert moved["provenance"]["file"] == "catalog/config/functions.yml"
    assert moved["provenance_before"]["file"] == "orders/config/functions.yml"
    ended = compared(shop, "--against-revision", "HEAD")
    assert ended.out.count("      before: ") == 1
    assert "      before: orders-2637b026 orders/config/functions.yml:3" in ended.out


def test_two_commits_whatever_lies_in_the_folder(shop: Shop) -> None:
    first = git(shop, "rev-parse", "HEAD")
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    second = commit(shop)
    shutil.rmtree(shop.source)
    found = body(shop, "--revision", second, "--against-revision", "HEAD~1")
    assert (found["source"]["commit"], found["against"]["commit"]) == (second, first)
    assert [(one["operation"], one["name"]) for one in found["changes"]] == [("change", "catalog-list")]
    assert found["images"] == []


def test_nothing_is_written_and_no_engine_is_asked(shop: Shop, tmp_path: Path) -> None:
    """Not the repository (its index is not even refreshed), not the folder, nothing left in the temporary directory."""
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    (shop.source / "catalog" / "functions" / "catalog-list" / "Dockerfile").touch()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = command.snapshot(shop.folder)
    ended = command.child(
        *("diff", "--source", shop.source, "--against-revision", "HEAD", "--detailed-exitcode"),
        environment={"TMPDIR": str(scratch), "HOME": "/nowhere"},
        cwd=tmp_path,
    )
    assert ended.code == 2, ended.text
    assert command.snapshot(shop.folder) == before
    assert list(scratch.iterdir()) == []


def test_a_repository_of_somebody_else_is_read(shop: Shop) -> None:
    """A mounted checkout belongs to whoever made it: git's own check would refuse it (safe.directory)."""
    if os.geteuid() != 0:
        pytest.skip("gives files away: as root only")
    command.give_away(shop.folder)
    assert compared(shop, "--against-revision", "HEAD").code == 0


def test_e5_a_configuration_of_the_repository_starts_nothing(shop: Shop, tmp_path: Path) -> None:
    """E5: hooks, a file system monitor, filters and helpers of a hostile clone."""
    trap = tmp_path / "trap"
    script = shop.folder / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch {trap}\n")
    script.chmod(0o755)
    (shop.folder / ".gitattributes").write_text("* filter=evil diff=evil\n")
    for key in ("core.fsmonitor", "filter.evil.smudge", "filter.evil.process", "diff.evil.command", "core.pager"):
        git(shop, "config", key, str(script))
    git(shop, "config", "core.hooksPath", str(shop.folder))
    assert compared(shop, "--against-revision", "HEAD").code == 0
    assert not trap.exists()


def test_a_linked_work_tree_and_a_packed_repository(shop: Shop) -> None:
    git(shop, "gc", "--quiet")
    git(shop, "worktree", "add", "--quiet", "linked", "HEAD")
    linked = shop.folder / "linked" / "artifacts"
    ended = shop.run("diff", "--source", linked, "--against-revision", "main", "--detailed-exitcode")
    assert ended.code == 0, ended.text


def test_another_folder_at_a_commit(shop: Shop) -> None:
    """Both said: the other side is that folder, as its own repository had it."""
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    shutil.copytree(shop.source, shop.folder / "staging")
    commit(shop)
    shutil.rmtree(shop.folder / "staging")
    words = ("--against", shop.folder / "staging", "--against-revision", "HEAD")
    assert body(shop, *words)["differs"] is False
    shop.edit("catalog", "functions.yml", "timeout: 25", "timeout: 30")
    (change,) = body(shop, *words)["changes"]
    assert change["fields"] == [{"path": "timeout", "before": "25", "after": "30"}]


@pytest.mark.parametrize("revision", ["absent", "0" * 40, "--help", "main:artifacts"])
def test_69_a_commit_that_is_not_in_the_clone(shop: Shop, revision: str) -> None:
    ended = compared(shop, f"--against-revision={revision}")
    assert (ended.code, "failed (RevisionMissing): " in ended.err) == (69, True), ended.text
    assert revision in ended.err


def test_69_a_folder_in_no_repository(shop: Shop, tmp_path: Path) -> None:
    folder = shutil.copytree(shop.source, tmp_path / "alone")
    ended = shop.run("diff", "--source", folder, "--against-revision", "HEAD")
    assert (ended.code, "failed (RevisionMissing): " in ended.err) == (69, True), ended.text


def test_65_a_broken_side_is_told_at_its_places(shop: Shop) -> None:
    """Where the folder lies, whichever side of it was read."""
    shop.edit("catalog", "functions.yml", "timeout: 10", 'timeout: "no"')
    job = jobs.Job(shop.folder)
    ended = shop.run("diff", "--source", shop.source, "--against-revision", "HEAD", environment=job.environment())
    assert ended.code == 65
    (found,) = jobs.annotations(ended.out)
    assert (found.properties["file"], found.properties["line"]) == ("artifacts/catalog/config/functions.yml", "7")


def test_65_a_dockerfile_that_cannot_be_read_for_certain(shop: Shop) -> None:
    (shop.source / "catalog" / "functions" / "catalog-list" / "Dockerfile").write_text("FROM ${UNKNOWN}\n")
    job = jobs.Job(shop.folder)
    ended = shop.run("diff", "--source", shop.source, "--against-revision", "HEAD", environment=job.environment())
    assert (ended.code, job.values()["reason"]) == (65, "DockerfileInvalid")
    (found,) = jobs.annotations(ended.out)
    assert found.properties["file"] == "artifacts/catalog/functions/catalog-list/Dockerfile"


def broken(shop: Shop) -> None:
    shop.edit("catalog", "functions.yml", "timeout: 10", 'timeout: "no"')


def without_manifest(shop: Shop) -> None:
    shop.manifest.rename(shop.manifest.with_suffix(".away"))


def without_folder(shop: Shop) -> None:
    shop.source.rename(shop.folder / "elsewhere")


@pytest.mark.parametrize("damage", [broken, without_manifest, without_folder])
def test_a_base_that_is_no_artifact_is_a_note_and_everything_is_new(shop: Shop, damage: Any) -> None:
    good = shutil.copytree(shop.source, shop.folder.parent / "good")
    damage(shop)
    commit(shop)
    shutil.rmtree(shop.source, ignore_errors=True)
    shutil.copytree(good, shop.source)
    ended = compared(shop, "--against-revision", "HEAD", "--detailed-exitcode")
    assert ended.code == 2, ended.text
    assert "note: NothingBefore: " in ended.err
    assert ended.out.splitlines()[-1].startswith("Plan: 11 to add, 0 to change, 0 to remove · 1 image to build")
    assert ended.out.splitlines()[-1].endswith(" · provisioner will run")


def test_a_base_that_is_not_there_at_all_is_an_error(shop: Shop) -> None:
    """A path that is mistyped must not look like a first artifact."""
    ended = compared(shop, "--against", shop.folder / "absent")
    assert (ended.code, "failed (SourceMissing): " in ended.err) == (69, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--revision", "HEAD"), "--revision is about two sources"),
        (("--against-revision", ""), "--against-revision is empty"),
        (("--against", "x", "--revision", ""), "--revision is empty"),
        (("--against-revision", "HEAD", "--config-dir", "x"), "--config-dir is about a target"),
        (("--against", "x", "--out", "plan.json"), "--out is about a target"),
        (("--against", "x", "--git", "file:///x"), "--git is about a target"),
    ],
)
def test_64_options_that_do_not_fit(shop: Shop, arguments: tuple[str, ...], words: str) -> None:
    ended = compared(shop, *arguments)
    assert (ended.code, words in ended.err) == (64, True), ended.text


def test_78_no_folder_is_named(shop: Shop) -> None:
    ended = shop.run("diff", "--against", shop.source)
    assert (ended.code, "pass --source DIR" in ended.err) == (78, True)


def test_secrets_and_a_stack_that_are_required_from_now_on_are_told(shop: Shop) -> None:
    """Nobody has to have them for the comparison."""
    copy = shutil.copytree(shop.source, shop.folder.parent / "copy")
    text = shop.manifest.read_text()
    shop.manifest.write_text(
        text.replace("    artifact_root: catalog", "    artifact_root: catalog\n    required_secret_env: [NEW_TOKEN]")
    )
    assert shop.manifest.read_text() != text
    found = body(shop, "--against", copy)
    assert "required from now on: NEW_TOKEN" in [one["message"] for one in found["notices"]]


@pytest.mark.parametrize("form", ["github", "junit", "sarif"])
def test_every_form_tells_the_comparison(shop: Shop, form: str) -> None:
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    job = jobs.Job(shop.folder)
    words = ("--against-revision", "HEAD", "--detailed-exitcode", "--output", form)
    ended = shop.run("diff", "--source", shop.source, *words, environment=job.environment())
    assert ended.code == 2
    assert "1 to change" in ended.text
    if form == "github":
        assert (job.values()["changed"], job.values()["exit-code"]) == ("true", "2")
        assert "timeout: 10 → 25" in job.summary.read_text()
