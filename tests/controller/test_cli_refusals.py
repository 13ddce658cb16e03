"""Every way in which a command ends otherwise than well: exit code, words, and a CONFIG_DIR that stays as it is."""

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller import errors
from core import items
from tests.fakes import command
from tests.fakes.command import Ended, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@dataclass(frozen=True, slots=True)
class Case:
    """A fault in the source, and what the pass after it must say."""

    reason: str
    code: int
    change: Callable[[Shop], object]
    says: str = ""
    options: tuple[str, ...] = ()


def emptied(shop: Shop) -> None:
    """Every file gone; the folder is still there."""
    shutil.rmtree(shop.source)
    shop.source.mkdir()


def a_file(shop: Shop) -> None:
    """A file where the folder should be."""
    shutil.rmtree(shop.source)
    shop.source.write_text("x")


def nothing_wanted(shop: Shop) -> None:
    """A valid artifact that asks for nothing."""
    for entry in ("orders", "catalog"):
        shop.document(entry, "functions.yml").write_text("functions: {}\n")
        shop.document(entry, "routing.yml").write_text("routes: []\n")
        shop.document(entry, "resources.yml").unlink()


def no_artifacts(shop: Shop) -> None:
    """A manifest with 0 artifacts."""
    text = shop.manifest.read_text()
    shop.manifest.write_text(text[: text.index("artifacts:")] + "artifacts: []\n")


def mostly_gone(shop: Shop) -> None:
    """The entry that brings most of it is gone from the manifest."""
    text = shop.manifest.read_text()
    start, end = text.index("  - id: orders"), text.index("  - id: catalog")
    shop.manifest.write_text(text[:start] + text[end:])


def dockerfile(shop: Shop) -> None:
    """A function that needs a build."""
    recipe = shop.source / "catalog" / "functions" / "catalog-list" / "Dockerfile"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("FROM scratch\n")


def requires_a_stack(shop: Shop) -> None:
    """`runtime_stack` in the manifest."""
    stack = 'runtime_stack: {api_version: "1.0", mode: docker, esb_version: latest}'
    command.replace_text(shop.manifest, "mode: docker", f"mode: docker\n{stack}")


def wants_a_secret(shop: Shop) -> None:
    """A required secret that is not set."""
    command.replace_text(
        shop.manifest, "artifact_root: orders", "artifact_root: orders\n    required_secret_env: [AUTH_PASS]"
    )


def in_the_way(shop: Shop) -> None:
    """A directory stands where a document must go (A6)."""
    (shop.config / "functions.yml").unlink()
    (shop.config / "functions.yml").mkdir()


def unreadable(shop: Shop) -> None:
    """Nobody remembers what was applied, and what is live cannot be read: what is foreign in it is not known."""
    shutil.rmtree(shop.state.parent)
    (shop.config / "functions.yml").write_text("functions: [")


def changed(shop: Shop) -> None:
    """A new revision, so that there is something to do."""
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")


CASES = {
    "C1 missing": Case("SourceMissing", 69, lambda shop: shutil.rmtree(shop.source), "no such file"),
    "C1 a file": Case(
        "SourceMissing", 69, a_file, "directory"
    ),
    "C1 empty": Case("SourceEmpty", 77, emptied, "empty, or not mounted"),
    "C1 nothing wanted": Case("SourceEmpty", 77, nothing_wanted, "asks for nothing"),
    "C1 mostly gone": Case("ShrinkGuard", 77, mostly_gone, "would remove 5 of 8 things"),
    "C1 no artifacts": Case("ArtifactInvalid", 65, no_artifacts, "artifact.yml:6"),
    "65 a bad document": Case(
        "ArtifactInvalid", 65, lambda shop: shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: -1"),
        "catalog/config/functions.yml:7:5: functions.catalog-list.timeout:",
    ),
    "65 not YAML": Case("ArtifactInvalid", 65, lambda shop: shop.manifest.write_text("a: [b"), "artifact.yml:2:1: "),
    "65 a document is missing": Case(
        "ArtifactInvalid", 65, lambda shop: shop.document("catalog", "routing.yml").unlink(), "routing.yml"
    ),
    "65 an id differs": Case(
        "ArtifactInvalid", 65,
        lambda shop: command.replace_text(shop.manifest, "catalog-3a84c634", "catalog-00000000"),
        "catalog-3a84c634",
    ),
    "65 no such manifest": Case("NoManifest", 65, changed, "env production", ("--env", "production")),
    "65 not a saved plan": Case("PlanUnreadable", 65, changed, "not a saved plan", ("--plan", "artifacts/artifact.yml")),
    "65 no saved plan": Case("PlanUnreadable", 65, changed, "nowhere.json", ("--plan", "nowhere.json")),
    "69 a build": Case("DockerUnavailable", 69, dockerfile, "catalog-list"),
    "73 something in the way": Case("PathObstructed", 73, in_the_way, "functions.yml"),
    "73 unreadable, and no record": Case("ConfigDirUnreadable", 73, unreadable, "functions.yml"),
    "76 strict": Case("StackIncompatible", 76, requires_a_stack, "nothing is observable", ("--strict",)),
    "77 secrets": Case("SecretsMissing", 77, wants_a_secret, "AUTH_PASS"),
    "78 two sources": Case("SettingsInvalid", 78, changed, "not both", ("--git", "https://git.example/x.git")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_refused_pass_says_why_and_changes_nothing(
    shop: Shop, name: str, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1, P2, P6: the documented code, place or number, the way out; CONFIG_DIR is exactly as before."""
    case = CASES[name]
    monkeypatch.chdir(shop.folder)
    shop.published()
    case.change(shop)
    before = command.visible(shop.config)
    ended = shop.reconcile(*case.options, "--output", output)
    assert ended.code == case.code == errors.MEANINGS[case.reason].exit_code, ended.text
    assert f"failed ({case.reason}): " in ended.err
    assert case.says in ended.err
    assert ended.err.splitlines()[-1] == f"hint: {errors.MEANINGS[case.reason].hint}"
    assert "Traceback" not in ended.err
    assert command.visible(shop.config) == before
    if output == "text":
        assert ended.out == ""
    elif ended.out:
        assert (ended.json["reason"], ended.json["exit_code"], ended.json["failed"]) == (case.reason, case.code, True)


@pytest.mark.parametrize("name", CASES)
def test_a_refused_pass_creates_no_documents(shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """P1: where nothing was published yet, nothing is visible afterwards either."""
    case = CASES[name]
    if case.reason in ("ShrinkGuard", "PathObstructed", "ConfigDirUnreadable"):
        return  # these need something published
    monkeypatch.chdir(shop.folder)
    case.change(shop)
    ended = shop.reconcile(*case.options)
    if name == "C1 nothing wanted":
        assert ended.code == 0, "nothing was live, so nothing is lost"
        return
    assert ended.code == case.code
    assert not shop.config.exists(), "a pass that failed leaves no directory that was not there"


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("C1")])
def test_c1_the_way_back_needs_no_person(shop: Shop, name: str) -> None:
    """C1: the source is there again, and the next pass is in sync."""
    shop.published()
    documents = shop.documents()
    CASES[name].change(shop)
    assert shop.reconcile().code != 0
    if shop.source.is_dir():
        shutil.rmtree(shop.source)
    else:
        shop.source.unlink(missing_ok=True)
    shutil.copytree(command.SAMPLE, shop.source)
    assert shop.reconcile().code == 0
    assert shop.documents() == documents
    assert "Ready       True" in shop.about("status").out


def test_c1_an_unmounted_source_is_an_empty_folder(shop: Shop) -> None:
    """C1: the mount is not there yet; the mount point is."""
    command.require_root()
    shop.published()
    before = command.visible(shop.config)
    script = 'mount -t tmpfs none "$1" && shift && exec "$@"'
    ended = command.child(
        "reconcile", "--once", *shop.target, prefix=("unshare", "-m", "sh", "-c", script, "sh", str(shop.source))
    )
    assert (ended.code, "failed (SourceEmpty): " in ended.err) == (77, True), ended.text
    assert command.visible(shop.config) == before


def test_c1_an_unreadable_source_is_named(shop: Shop) -> None:
    """C1: permissions, as another user: 69, the path, nothing changed."""
    command.require_root()
    shop.published()
    shop.document("catalog", "functions.yml").chmod(0)
    command.give_away(shop.config)
    before = command.visible(shop.config)
    ended = command.as_nobody(shop, "reconcile", "--once", *shop.target)
    assert (ended.code, "catalog/config/functions.yml" in ended.err) == (69, True), ended.text
    assert "failed (SourceUnreadable): " in ended.err
    shop.source.chmod(0)
    ended = command.as_nobody(shop, "reconcile", "--once", *shop.target)
    assert (ended.code, "failed (SourceUnreadable): " in ended.err) == (69, True), ended.text
    shop.source.chmod(0o755)
    assert command.visible(shop.config) == before


def test_what_may_not_be_read_is_no_wrong_usage(shop: Shop) -> None:
    """C1, A9: each path that a person names, without permission: the reason that a script can act on, never 64."""
    command.require_root()
    shop.published()
    command.give_away(shop.config)
    secret, plan, settings = (shop.folder / name for name in ("stack.env", "plan.json", "controller.yml"))
    for path in (secret, plan, settings):
        path.write_text("{}\n")
        path.chmod(0)
    given = ("reconcile", "--once", *shop.target)
    wants_a_secret(shop)
    before = command.visible(shop.config)
    assert command.as_nobody(shop, *given, "--secret-env", secret).code == 78
    assert command.as_nobody(shop, *given, "--config", settings).code == 78
    assert command.as_nobody(shop, *given, "--plan", plan).code == 65
    shop.document("catalog", "functions.yml").chmod(0)
    assert command.as_nobody(shop, "manifest", "validate", shop.source).code == 69
    shop.manifest.chmod(0)
    assert command.as_nobody(shop, "manifest", "validate", shop.manifest).code == 69
    assert command.as_nobody(shop, "deploy", "--artifact", shop.manifest, "--out", shop.config).code == 69
    assert command.visible(shop.config) == before
    shop.config.chmod(0)
    assert command.as_nobody(shop, *given).code == 73


def test_c1_removals_are_allowed_for_this_revision_only(shop: Shop) -> None:
    """C1: the guard names the revision; naming it lets this one through and no other."""
    shop.published()
    mostly_gone(shop)
    refused = shop.reconcile("--output", "json").json
    assert shop.reconcile("--allow-shrink", "sha256:000000").code == 77
    ended = shop.reconcile("--allow-shrink", refused["revision"])
    assert (ended.code, ended.out.splitlines()[-1].startswith("done (SourceChanged)")) == (0, True), ended.text
    assert b"orders-create" not in (shop.documents()["functions.yml"] or b"")


def test_c1_an_empty_source_is_allowed_by_policy_or_by_revision(shop: Shop) -> None:
    shop.published()
    nothing_wanted(shop)
    assert shop.reconcile().code == 77
    ended = shop.reconcile(environment={"CONTROLLER_POLICY__ALLOW_EMPTY": "true"})
    assert ended.code == 0, ended.text
    assert shop.documents() == {
        "functions.yml": b"functions: {}\n",
        "routing.yml": b"routes: []\n",
        "resources.yml": b"resources: {}\n",
    }


def test_c1_a_source_without_manifest_may_be_allowed_too(shop: Shop) -> None:
    shop.published()
    emptied(shop)
    assert shop.reconcile().code == 77
    ended = shop.reconcile(environment={"CONTROLLER_POLICY__ALLOW_EMPTY": "true"})
    assert ended.code == 0, ended.text
    assert shop.documents()["functions.yml"] == b"functions: {}\n"
    shutil.rmtree(shop.source)
    missing = shop.reconcile(environment={"CONTROLLER_POLICY__ALLOW_EMPTY": "true"})
    assert missing.code == 69, "a folder that is gone is never what somebody meant"


def test_every_problem_is_told_not_only_the_first(shop: Shop) -> None:
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: -1")
    shop.edit("catalog", "functions.yml", "memory_size: 128", "memory_size: lots")
    shop.edit("orders", "routing.yml", "/orders/{id}/report", "/(a+)+$")
    ended = shop.reconcile("--output", "json")
    assert ended.code == 65
    found = {(problem["file"], problem["key"]) for problem in ended.json["problems"]}
    assert len(found) == 3
    assert ended.err.count("error: ") == 3
    for _, key in found:
        assert key in ended.err


def test_72_a_held_and_a_suspended_target_are_left_alone(shop: Shop) -> None:
    """77 with the person's words; lifted by the command that the hint names."""
    shop.published()
    changed(shop)
    assert shop.about("suspend", "--reason", "release freeze").code == 0
    before = command.visible(shop.config)
    ended = shop.reconcile()
    assert (ended.code, "release freeze" in ended.err) == (77, True)
    assert "controller resume" in ended.err
    assert command.visible(shop.config) == before
    assert shop.about("resume").code == 0
    assert shop.reconcile().code == 0
    assert shop.about("rollback").code == 0
    before = command.visible(shop.config)
    ended = shop.reconcile()
    assert (ended.code, "failed (Held): " in ended.err) == (77, True)
    assert "controller resume --held" in ended.err
    assert command.visible(shop.config) == before


def test_65_all_entries_together_are_more_than_one_document_may_hold(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`DocumentTooLarge`: each entry is within its limit; what they make together could not be read back."""
    shop.published()
    changed(shop)
    before = command.visible(shop.config)
    monkeypatch.setattr(items, "MAX_DOCUMENT_BYTES", 100)
    ended = shop.reconcile()
    assert (ended.code, "failed (DocumentTooLarge): " in ended.err) == (65, True), ended.text
    assert "functions.yml" in ended.err
    assert command.visible(shop.config) == before


def test_75_another_controller_is_at_work(shop: Shop) -> None:
    """B1: the loser says who holds it; `--wait 0` does not wait, and nothing is recorded of it."""
    shop.published()
    changed(shop)
    with command.locked(shop.config):
        before = command.snapshot(shop.folder)
        for arguments in (("reconcile", "--once", *shop.target), ("rollback", "--config-dir", str(shop.config))):
            ended = shop.run(*arguments, "--wait", "0")
            assert (ended.code, "failed (LockBusy): " in ended.err) == (75, True), ended.text
            assert f"process {os.getpid()}" in ended.err or "pid" in ended.err or "holds" in ended.err
        patient = shop.reconcile("--wait", "20s")
        assert patient.code == 75
        assert shop.hours.ahead_s >= 20
        assert command.snapshot(shop.folder) == before
        assert shop.diff("--detailed-exitcode").code == 2, "looking needs no lock"
    assert shop.reconcile("--wait", "0").code == 0


def test_75_an_older_applier_is_at_work(shop: Shop) -> None:
    """Contract.md section 4: the lock file of a living process is honoured."""
    shop.published()
    changed(shop)
    lock = shop.config / ".artifact-merge.lock"
    lock.write_text(f"{os.getppid()}\n")
    before = command.visible(shop.config)
    ended = shop.reconcile("--wait", "0")
    assert (ended.code, "failed (LockBusy): " in ended.err) == (75, True), ended.text
    assert command.visible(shop.config) == before
    lock.unlink()
    assert shop.reconcile("--wait", "0").code == 0


UNUSABLE: dict[str, tuple[Callable[[Shop], object], str]] = {
    "a file": (lambda shop: shop.config.write_text("x"), "not a directory"),
    "no parent": (lambda shop: None, "nowhere"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a9_a_config_dir_that_cannot_be_used(shop: Shop, name: str) -> None:
    """A9: 73 with the path and the errno; nothing is created."""
    prepare, says = UNUSABLE[name]
    prepare(shop)
    config = shop.config if name == "a file" else shop.folder / "nowhere" / "config"
    before = command.snapshot(shop.folder)
    ended = shop.run("reconcile", "--once", "--source", shop.source, "--config-dir", config)
    assert (ended.code, "failed (ConfigDirUnusable): " in ended.err) == (73, True), ended.text
    assert str(config) in ended.err
    assert says in ended.err
    assert command.snapshot(shop.folder) == before


def test_a9_a_config_dir_of_somebody_else(shop: Shop) -> None:
    """A9: no permission: path and errno, the old set stays live, and it heals once it may be written."""
    command.require_root()
    shop.published()
    changed(shop)
    state = ("--state-dir", str(shop.folder / "state"))
    (shop.folder / "state").mkdir()
    command.give_away(shop.folder / "state")
    before = command.visible(shop.config)
    ended = command.as_nobody(shop, "reconcile", "--once", *shop.target, *state)
    assert ended.code == 73, ended.text
    assert "errno 13" in ended.err
    assert str(shop.config) in ended.err
    assert command.visible(shop.config) == before
    command.give_away(shop.config)
    assert command.as_nobody(shop, "reconcile", "--once", *shop.target, *state).code == 0


def test_a9_a_full_disk_below_config_dir(shop: Shop) -> None:
    """A9, P2: no space: 73 and the step; the old set stays live; the next pass after the repair converges."""
    command.require_root()
    shop.config.mkdir()
    with command.mounted(shop.config, "size=256k"):
        state = ("--state-dir", str(shop.folder / "state"))
        assert shop.reconcile(*state).code == 0
        changed(shop)
        filler = shop.config / "filler"
        command.fill(filler)
        before = command.documents(shop.config)
        ended = shop.reconcile(*state)
        assert ended.code == 73, ended.text
        assert "errno 28" in ended.err
        assert command.documents(shop.config) == before
        filler.unlink()
        assert shop.reconcile(*state).code == 0
        assert command.documents(shop.config) != before


def test_a10_readable_for_the_gateway_whatever_the_umask(shop: Shop) -> None:
    """A10: 0644 and 0755 under umask 077; the record stays private."""
    before = os.umask(0o077)
    try:
        shop.published()
    finally:
        os.umask(before)
    for name in command.DOCUMENTS:
        assert stat.S_IMODE((shop.config / name).stat().st_mode) == 0o644
    assert stat.S_IMODE((shop.config / "..data").stat().st_mode) == 0o755
    assert stat.S_IMODE(shop.config.stat().st_mode) == 0o755
    assert stat.S_IMODE(shop.state.stat().st_mode) == 0o600
    assert stat.S_IMODE(shop.state.parent.stat().st_mode) == 0o700


def test_70_a_bug_ends_with_a_code_and_a_hint(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """K4: the traceback shows places, no values; CONFIG_DIR is whole."""
    from controller import planning

    def broken(*_: object) -> None:
        canary = "canary-value"
        raise ZeroDivisionError(len(canary))

    shop.published()
    changed(shop)
    before = command.visible(shop.config)
    monkeypatch.setattr(planning, "decide", broken)
    ended = shop.reconcile()
    assert (ended.code, "failed (Bug): ZeroDivisionError" in ended.err) == (70, True)
    assert "Traceback" in ended.err
    assert command.visible(shop.config) == before


def test_every_reason_of_the_table_is_reached_by_a_test() -> None:
    """A reason that nothing reaches would be a promise nobody checks."""
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [reason for reason in errors.MEANINGS if reason not in text] == []


def ended_as(ended: Ended, reason: str) -> bool:
    """Whether a run ended with this reason and its code."""
    return ended.code == errors.MEANINGS[reason].exit_code and f"failed ({reason}): " in ended.err


def test_nothing_to_roll_back_to(shop: Shop) -> None:
    shop.published()
    before = command.visible(shop.config)
    assert ended_as(shop.about("rollback"), "NothingToRollBackTo")
    assert ended_as(shop.about("rollback", "sha256:123"), "NothingToRollBackTo")
    assert command.visible(shop.config) == before


def test_an_unwritable_file_for_a_plan(shop: Shop) -> None:
    assert ended_as(shop.diff("--out", shop.folder / "nowhere" / "plan.json"), "Unwritable")
