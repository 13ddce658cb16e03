"""B8: the real command where two targets, or two controllers, claim one CONFIG_DIR or one state directory.

Each of two shops has a source and settings of its own; what they share is given by each test.
"""

import json
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller import cancellation, owners, pulse, settings, worker
from core import ownership, policy
from manifests import owner_file
from tests.fakes import command
from tests.fakes.command import Ended, Shop


@dataclass
class Two:
    """Two shops; `theirs` publishes into the CONFIG_DIR of `ours`, with a record of its own."""

    ours: Shop
    theirs: Shop

    def second(self, *more: str | Path, state: Path | None = None) -> Ended:
        """A pass of the second controller."""
        place = state or self.theirs.folder / "state"
        given = ("--source", self.theirs.source, "--config-dir", self.ours.config, "--state-dir", place)
        return self.theirs.run("reconcile", "--once", *given, *more)

    def named(self, shop: Shop, name: str, **more: Any) -> Path:
        """Settings with this name."""
        file = shop.folder / f"{name}.yml"
        file.write_text(json.dumps({"name": name, **more}), encoding="utf-8")
        return file

    @property
    def owner(self) -> dict[str, Any]:
        """What CONFIG_DIR says."""
        found = json.loads((self.ours.config / ownership.NAME).read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def two(tmp_path: Path) -> Two:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    found = Two(Shop(tmp_path / "ours"), Shop(tmp_path / "theirs"))
    found.theirs.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    return found


def refused(ended: Ended) -> str:
    """The sentence of a refusal."""
    assert ended.code == 77, ended.text
    assert "Traceback" not in ended.err
    line = next(line for line in ended.err.splitlines() if line.startswith("failed (OwnedByOther): "))
    assert "--take-over" in ended.err
    return line


def test_b8_a_second_controller_with_another_source_is_refused(two: Two) -> None:
    """B8: it says who owns it, and neither CONFIG_DIR nor the owner's record is touched."""
    two.ours.published()
    before = command.snapshot(two.ours.config)
    said = refused(two.second())
    assert f"folder artifacts ({two.owner['sources'][0]['digest']})" in said
    assert f"since {two.owner['since']}" in said
    assert command.snapshot(two.ours.config) == before
    assert two.ours.reconcile().out.startswith("nothing to do (InSync)")


def test_b8_the_one_refused_knows_it(two: Two) -> None:
    """Its own record says why; `status` of either shows whose CONFIG_DIR is."""
    two.ours.published()
    refused(two.second())
    given = ("--config-dir", two.ours.config, "--state-dir", two.theirs.folder / "state")
    told = two.theirs.run("status", *given, "--output", "json").json
    ready = next(one for one in told["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "OwnedByOther")
    assert told["owner"]["id"] == two.owner["id"]
    text = two.ours.about("status").out
    assert "owner       a target without a name" in text


def test_b8_two_controllers_with_one_record_are_told_apart_too(two: Two) -> None:
    """By default the record is in CONFIG_DIR, and then both have the same one: nothing is written into it."""
    two.ours.published()
    before = command.snapshot(two.ours.config)
    given = ("--source", two.theirs.source, "--config-dir", two.ours.config)
    refused(two.theirs.run("reconcile", "--once", *given))
    refused(two.theirs.run("diff", *given))
    assert command.snapshot(two.ours.config) == before


def test_b8_targets_of_different_names_are_refused(two: Two) -> None:
    two.ours.reconcile("--config", two.named(two.ours, "shop"))
    ended = two.ours.reconcile("--config", two.named(two.ours, "other"))
    assert "kept by target shop (project shop), " in refused(ended)
    assert "this is target other" in refused(ended)
    assert two.ours.reconcile().code == 0, "a one-shot without a name, of the same source, goes on working"


def test_b8_diff_shows_it_and_changes_nothing(two: Two) -> None:
    two.ours.published()
    before = command.snapshot(two.ours.folder)
    given = ("--source", two.theirs.source, "--config-dir", two.ours.config)
    ended = two.theirs.run("diff", *given, "--output", "json")
    assert ended.code == 77
    assert [one["reason"] for one in ended.json["blockers"]] == ["OwnedByOther"]
    assert ended.json["changes"]
    assert command.snapshot(two.ours.folder) == before


def test_b8_it_is_taken_over_when_told_and_the_former_owner_is_refused(two: Two) -> None:
    """B8, and back again: what is taken over is published at once; nobody takes it back by itself."""
    two.ours.published()
    first = two.owner
    assert two.second("--take-over").code == 0
    assert b"timeout: 25" in (two.ours.documents()["functions.yml"] or b"")
    assert two.owner["id"] != first["id"]
    refused(two.ours.reconcile())
    assert b"timeout: 25" in (two.ours.documents()["functions.yml"] or b"")
    assert two.second().out.startswith("nothing to do (InSync)")
    assert two.ours.reconcile("--take-over").code == 0
    assert "taken over" in refused(two.second()) or "follows" in refused(two.second())


def test_b8_what_is_ours_is_not_taken_over(two: Two) -> None:
    two.ours.published()
    before = command.snapshot(two.ours.config)
    assert two.ours.reconcile("--take-over").out.startswith("nothing to do (InSync)")
    assert command.snapshot(two.ours.config) == before


def test_b8_a_blocked_take_over_takes_nothing(two: Two) -> None:
    """Nothing is written by a pass that is refused for another reason."""
    two.ours.published()
    owner = two.owner
    manifest = two.theirs.manifest.read_text(encoding="utf-8")
    two.theirs.manifest.write_text(
        manifest.replace("artifact_root:", "required_secret_env: [NOWHERE]\n    artifact_root:", 1), encoding="utf-8"
    )
    ended = two.second("--take-over")
    assert (ended.code, "SecretsMissing" in ended.err) == (77, True), ended.text
    assert two.owner == owner
    assert two.ours.reconcile().out.startswith("nothing to do (InSync)")


def test_b8_a_suspension_is_no_dead_end_for_who_takes_over(two: Two) -> None:
    """A target that was renamed while it was suspended: the pass needs the suspension lifted, and who lifts it has to
    say that the former owner gives way. That alone takes nothing over."""
    former, renamed = (("--config", two.named(two.ours, name)) for name in ("former", "renamed"))
    assert two.ours.reconcile(*former).code == 0
    assert two.ours.about("suspend", "--reason", "a test", *former).code == 0
    assert "Suspended" in two.ours.reconcile("--take-over", *renamed).err
    refused(two.ours.about("resume", *renamed))
    assert two.ours.about("resume", "--take-over", *renamed).out == "suspension lifted\n"
    assert two.owner["name"] == "former"
    assert two.ours.reconcile("--take-over", *renamed).code == 0
    assert two.owner["name"] == "renamed"


def test_b8_one_state_directory_of_two_config_dirs_is_refused(two: Two) -> None:
    """Found at once, while the first CONFIG_DIR is still there to be asked."""
    state = two.ours.folder / "state"
    assert two.ours.reconcile("--state-dir", state).code == 0
    before = command.snapshot(state)
    other = ("reconcile", "--once", "--source", two.ours.source, "--config-dir", two.ours.folder / "second")
    ended = two.ours.run(*other, "--state-dir", state)
    assert str(two.ours.config) in refused(ended)
    assert not (two.ours.folder / "second").exists()
    assert command.snapshot(state) == before
    shutil.rmtree(two.ours.config)
    assert two.ours.run(*other, "--state-dir", state).code == 0, "the target moved"


def test_b8_one_state_directory_of_two_config_dirs_in_one_place(two: Two) -> None:
    """Where both are mounted at the same path, the second claims anew, and the first is refused from then on."""
    state, aside = two.ours.folder / "state", two.ours.folder / "first"
    assert two.ours.reconcile("--state-dir", state).code == 0
    two.ours.config.rename(aside)
    two.ours.config.mkdir()
    assert two.ours.reconcile("--state-dir", state).code == 0
    second = two.ours.folder / "second"
    two.ours.config.rename(second)
    aside.rename(two.ours.config)
    assert "taken over, or claimed anew" in refused(two.ours.reconcile("--state-dir", state))


def test_b8_a_copy_with_its_record_is_a_target_of_its_own(two: Two) -> None:
    two.ours.published()
    copy = two.ours.folder / "copy"
    shutil.copytree(two.ours.config, copy, symlinks=True)
    ended = two.ours.run("reconcile", "--once", "--source", two.ours.source, "--config-dir", copy)
    assert ended.code == 0, ended.text


def test_b8_a_pipeline_s_artifact_is_refused_where_somebody_follows(two: Two) -> None:
    two.ours.published()
    before = command.snapshot(two.ours.config)
    given = ("deploy", "--artifact", two.theirs.manifest, "--out", two.ours.config)
    assert "it would undo" in refused(two.theirs.run(*given))
    assert command.snapshot(two.ours.config) == before
    assert two.theirs.run(*given, "--take-over").code == 0
    assert two.owner["sources"] == []
    refused(two.ours.reconcile())
    assert two.ours.run("deploy", "--artifact", two.ours.manifest, "--out", two.ours.config).code == 0


def test_b8_a_pipeline_claims_nothing(two: Two) -> None:
    """L7: a `deploy` of the folder that is followed goes on working; one before anybody follows claims nothing."""
    assert two.theirs.run("deploy", "--artifact", two.theirs.manifest, "--out", two.ours.config).code == 0
    assert not (two.ours.config / ownership.NAME).exists()
    two.ours.published()
    assert two.ours.run("deploy", "--artifact", two.ours.manifest, "--out", two.ours.config).code == 0
    assert len(two.owner["sources"]) == 1


def test_b8_a_pipeline_s_artifact_from_below_the_followed_folder(two: Two) -> None:
    """L7: whoever follows the folder has that artifact too; one of another project there is another one."""
    given = ("--source", two.ours.folder, "--manifest", "artifacts/artifact.yml", "--config-dir", two.ours.config)
    assert two.ours.run("reconcile", "--once", *given).code == 0
    assert two.ours.run("deploy", "--artifact", two.ours.manifest, "--out", two.ours.config).code == 0
    other = two.ours.folder / "other"
    shutil.copytree(two.theirs.source, other)
    command.replace_text(other / "artifact.yml", "project: shop", "project: another")
    refused(two.ours.run("deploy", "--artifact", other / "artifact.yml", "--out", two.ours.config))


def test_b8_who_steers_is_asked_for_the_name_and_the_record(two: Two) -> None:
    two.ours.reconcile("--config", two.named(two.ours, "shop"))
    other = ("--config", two.named(two.theirs, "other"), "--config-dir", two.ours.config)
    before = command.snapshot(two.ours.config)
    refused(two.theirs.run("suspend", "--reason", "x", *other))
    refused(two.theirs.run("resume", *other))
    assert command.snapshot(two.ours.config) == before
    assert two.ours.about("suspend", "--reason", "x").code == 0
    assert two.ours.about("resume").code == 0


def test_b8_a_rollback_of_somebody_else_s_is_refused(two: Two) -> None:
    two.ours.reconcile("--config", two.named(two.ours, "shop"))
    two.ours.edit("catalog", "functions.yml", "timeout: 10", "timeout: 40")
    two.ours.reconcile()
    before = command.visible(two.ours.config)
    other = ("--config", two.named(two.theirs, "other"), "--config-dir", two.ours.config)
    refused(two.theirs.run("rollback", *other))
    assert command.visible(two.ours.config) == before
    assert two.ours.about("rollback").code == 0


def test_b8_a_lost_record_and_a_fresh_runner_go_on(two: Two) -> None:
    """B5, L7: a one-shot with an empty state directory and the same source is the same target."""
    two.ours.published()
    owner = two.owner
    for name in ("one", "two"):
        assert two.ours.reconcile("--state-dir", two.ours.folder / name).code == 0
        assert two.owner == owner
    assert two.ours.reconcile().out.startswith("nothing to do (InSync)")


def test_b8_the_same_paths_in_another_container_are_no_proof(two: Two) -> None:
    """Two copies of one compose file mount their artifacts at one path: the project tells them apart."""
    two.ours.published()
    two.ours.source.rename(two.ours.folder / "aside")
    shutil.copytree(two.theirs.source, two.ours.source)
    command.replace_text(two.ours.manifest, "project: shop", "project: another")
    ended = two.ours.reconcile("--state-dir", two.ours.folder / "fresh")
    assert "its artifact is of project another" in refused(ended)


def test_b8_a_torn_file_heals_and_is_never_taken_for_nobody_s(two: Two) -> None:
    two.ours.published()
    owner, file = two.owner, two.ours.config / ownership.NAME
    file.write_bytes(file.read_bytes()[:20])
    assert "does not say any more who keeps it" in refused(two.second())
    assert two.ours.reconcile().code == 0
    assert two.owner == {**owner, "since": two.owner["since"]}


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_b8_something_else_in_its_place(two: Two, kind: str) -> None:
    two.ours.published()
    file = two.ours.config / ownership.NAME
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("nowhere")
    ended = two.ours.reconcile()
    assert ended.code == (73 if kind == "folder" else 0), ended.text
    assert "Traceback" not in ended.err
    assert kind == "folder" or stat.S_ISREG(file.lstat().st_mode)


def test_b8_an_older_applier_that_clears_the_folder_takes_the_owner_along(two: Two) -> None:
    """It is claimed anew under the id of the record, so that nobody else of this target is refused."""
    state = two.ours.folder / "state"
    assert two.ours.reconcile("--state-dir", state).code == 0
    owner = two.owner
    for path in two.ours.config.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert two.ours.reconcile("--state-dir", state).code == 0
    assert two.owner["id"] == owner["id"]


def test_b8_the_file_is_readable_names_no_secret_and_is_no_foreign_one(two: Two) -> None:
    """A10, P13: readable for everybody who reads CONFIG_DIR, so it says nothing of paths and addresses."""
    before = os.umask(0o077)
    try:
        two.ours.published()
    finally:
        os.umask(before)
    file = two.ours.config / ownership.NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert str(two.ours.folder) not in file.read_text(encoding="utf-8")
    assert "ForeignFile" not in two.ours.reconcile().err
    assert two.ours.about("doctor").out.count("owner: ") == 1


SAME = (
    ("https://host/team/shop.git", "https://user:secret@HOST:443/team/shop"),
    ("https://host/team/shop", "ssh://git@host/team/shop.git"),
    ("git@host:team/shop.git", "ssh://git@host:22/team/shop/"),
    ("file:///srv/shop.git", "file:///srv/./shop.git/"),
)
DIFFERENT = (
    ("https://host/team/shop", "https://host/team/other"),
    ("https://host/team/shop", "https://other/team/shop"),
    ("https://host:8443/team/shop", "https://host/team/shop"),
    ("https://host/Team/shop", "https://host/team/shop"),
)


def of_git(url: str, **more: str) -> tuple[ownership.Source, ...]:
    """The identity of a repository."""
    flags: dict[tuple[str, ...], str] = {("source", "git", key): value for key, value in {"url": url, **more}.items()}
    return tuple(owners.sources(settings.load(None, flags)))


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_repository_by_several_addresses(one: str, other: str) -> None:
    assert of_git(one, ref="main") == of_git(other, ref="v2")
    assert "secret" not in str(of_git(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_repositories(one: str, other: str) -> None:
    assert of_git(one) != of_git(other)
    assert of_git(one) != of_git(one, path="below")


def test_b8_a_controller_that_stays_takes_over_once(two: Two) -> None:
    """Two that were both told to take over must not do so in turn for ever."""
    two.ours.published()
    given = settings.load(None, {("config_dir",): two.ours.config, ("source", "directory", "path"): two.theirs.source})
    stays = worker.Worker(given, pulse.Pulse(), cancellation.Cancellation(), allowed=policy.Permissions(take_over=True))
    assert not stays.converge().report.failed
    assert two.ours.reconcile("--take-over").code == 0
    assert stays.converge().report.reason == "OwnedByOther"


def test_b8_in_step_costs_one_small_read(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.ours.published()
    reads: list[Path] = []
    real = owner_file.read

    def counted(path: Path) -> ownership.Owner | str | None:
        reads.append(path)
        return real(path)

    monkeypatch.setattr(owner_file, "read", counted)
    assert two.ours.reconcile().out.startswith("nothing to do (InSync)")
    assert reads == [two.ours.config]
