"""What is kept of a git source beside the record and beyond one look: the newest applied commit, who may read the clone,
and the checkout that is in use (faults.md E4, E8, P9, P13)."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from controller import errors, settings_sources
from controller.sources import git
from tests.fakes import command, git_server, tools


class Shop:
    """A target that follows a repository with the sample in it."""

    def __init__(self, folder: Path) -> None:
        tools.require("git", "ssh-keygen")
        self.folder = folder
        self.author = git_server.Author(folder / "work", folder / "shop.git")
        shutil.copytree(command.SAMPLE, folder / "work" / ".deploy")
        self.functions = folder / "work" / ".deploy" / "orders" / "config" / "functions.yml"
        self.settings = folder / "controller.yml"
        self.settings.write_text(
            f"source: {{git: {{url: 'file://{self.author.bare}', path: .deploy}}}}\n"
            f"config_dir: {folder}/config\nstate_dir: {folder}/state\n"
        )

    def commit(self, memory: int) -> str:
        """A commit whose function wants this much; it is not pushed."""
        text = self.functions.read_text()
        before = next(line for line in text.splitlines() if "memory_size:" in line)
        after = before.partition("memory_size:")[0] + f"memory_size: {memory}"
        self.functions.write_text(text.replace(before, after, 1))
        return self.author.commit(str(memory))

    def push(self, commit: str) -> None:
        """The branch shows this commit, whatever it showed before."""
        self.author.git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/main")

    def reconcile(self) -> command.Ended:
        """One pass."""
        return command.child("reconcile", "--once", "--config", self.settings)

    @property
    def shown(self) -> str:
        """What consumers see."""
        return (self.folder / "config" / "functions.yml").read_text()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_commit_that_changes_nothing_raises_the_floor_too(shop: Shop) -> None:
    """The path has a dot in front. A bad commit and its revert come together: nothing to do. The bad one alone, later,
    is behind what was found applied."""
    shop.push(shop.commit(256))
    assert shop.reconcile().code == 0
    bad = shop.commit(999)
    shop.push(shop.commit(256))
    assert "InSync" in shop.reconcile().text
    before = (shop.folder / "state" / "state.db").read_bytes()
    assert shop.reconcile().code == 0
    assert (shop.folder / "state" / "state.db").read_bytes() == before, "an idle pass writes nothing"
    shop.push(bad)
    (shop.folder / "state" / "source" / "applied").unlink()
    refused = shop.reconcile()
    assert "SourceRewound" in refused.text
    assert "999" not in shop.shown


def test_another_name_of_the_same_commit_is_recorded(shop: Shop) -> None:
    commit = shop.commit(256)
    shop.push(commit)
    assert shop.reconcile().code == 0
    shop.author.git("push", "--quiet", "origin", f"{commit}:refs/heads/stable")
    shop.settings.write_text(shop.settings.read_text().replace("path: .deploy", "path: .deploy, ref: stable"))
    assert "InSync" in shop.reconcile().text
    told = command.child("status", "--config", shop.settings, "--output", "json").text
    assert json.loads(told)["git"]["applied"] == {"ref": "refs/heads/stable", "commit": commit}


def test_e3_drift_that_is_left_alone_raises_the_floor_too(shop: Shop) -> None:
    """What the commit asks for is what was applied; that somebody changed CONFIG_DIR is another matter."""
    shop.push(shop.commit(256))
    assert shop.reconcile().code == 0
    shop.settings.write_text(shop.settings.read_text() + "policy: {self_heal: false}\n")
    drifted = shop.folder / "config" / "functions.yml"
    drifted.write_text(shop.shown.replace("256", "300"))
    bad = shop.commit(999)
    shop.push(shop.commit(256))
    assert "DriftLeftAlone" in shop.reconcile().text
    shop.push(bad)
    (shop.folder / "state" / "source" / "applied").unlink()
    assert "SourceRewound" in shop.reconcile().text


@pytest.mark.parametrize("lost", ["damaged", "gone"])
def test_the_floor_outlives_the_record(shop: Shop, lost: str) -> None:
    old = shop.commit(256)
    shop.push(old)
    assert shop.reconcile().code == 0
    shop.push(shop.commit(512))
    assert shop.reconcile().code == 0
    shop.push(old)
    record = shop.folder / "state" / "state.db"
    if lost == "damaged":
        record.write_bytes(b"nonsense" * 100)
    else:
        record.unlink()
    assert "SourceRewound" in shop.reconcile().text
    assert "512" in shop.shown


def test_a_floor_that_is_lost_everywhere_is_told_once(shop: Shop) -> None:
    shop.push(shop.commit(256))
    assert "RecordRebuilt" not in shop.reconcile().text
    shutil.rmtree(shop.folder / "state")
    told = shop.reconcile()
    assert told.code == 0
    assert "RecordRebuilt" in told.text
    assert "which commit was applied last" in told.text
    assert "RecordRebuilt" not in shop.reconcile().text


def _repository(shop: Shop) -> git.Repository:
    configured = settings_sources.GitSource.model_validate({"url": f"file://{shop.author.bare}", "path": ".deploy"})
    return git.Repository(configured, shop.folder / "clone", deadline_s=60)


def test_p13_the_clone_is_for_nobody_else(shop: Shop) -> None:
    """Also one that was open before."""
    shop.push(shop.commit(256))
    found = _repository(shop).fetch("")
    places = (found.root.parents[2], found.root.parents[1], found.root.parent, found.root.parents[1] / "mirror.git")
    assert [stat.S_IMODE(place.stat().st_mode) for place in places] == [0o700] * 4
    for place in places:
        place.chmod(0o750)
    _repository(shop).fetch("")
    assert [stat.S_IMODE(place.stat().st_mode) for place in places] == [0o700] * 4


def test_e8_a_checkout_in_use_stays_whatever_is_looked_at_meanwhile(shop: Shop) -> None:
    shop.push(shop.commit(256))
    used = _repository(shop).fetch("")
    for memory in (300, 301, 302):
        shop.push(shop.commit(memory))
        _repository(shop).fetch("")
    assert (used.root / "artifact.yml").exists() or any(used.root.iterdir())
    root = used.root
    del used
    shop.push(shop.commit(303))
    _repository(shop).fetch("")
    assert not root.exists()


def test_a_key_that_is_over_signs_no_old_commit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever signs writes the date. A key that is valid signs commits of any date."""
    public = shop.author.key.with_suffix(".pub").read_text()
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2019-06-01T00:00:00Z")
    shop.author.publish(sign=True)
    verify = {"policy": "head", "allowed_signers_file": str(shop.author.signers)}
    wanted = {"url": f"file://{shop.author.bare}", "verify": verify}
    repository = git.Repository(settings_sources.GitSource.model_validate(wanted), shop.folder / "clone", deadline_s=60)
    shop.author.signers.write_text(f'author@example.org valid-before="20200101" {public}')
    with pytest.raises(errors.ControllerError) as refused:
        repository.fetch("")
    assert refused.value.reason == "SourceUntrusted"
    shop.author.signers.write_text(f'author@example.org valid-after="20200101" {public}')
    assert repository.fetch("").commit
