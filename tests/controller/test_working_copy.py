"""E7: a folder that is somebody's git working copy is read like any other, and nothing of theirs is touched."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from controller import reconciler, settings, target, world
from controller.clock import Clock
from controller.sources import settling
from tests.fakes import command, tools

pytestmark = pytest.mark.process
SWITCHES = 60


@pytest.fixture
def shop(tmp_path: Path) -> command.Shop:
    """The sample in a working copy with branches "one" and "two", which differ in both entries."""
    tools.require("git")
    shop = command.Shop(tmp_path)
    _git(shop, "init", "--quiet", "--initial-branch=one")
    _git(shop, "add", "--all")
    _git(shop, "commit", "--quiet", "-m", "one")
    _git(shop, "switch", "--quiet", "-c", "two")
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 11")
    shop.edit("orders", "functions.yml", "    timeout: 30\n", "    timeout: 31\n")
    _git(shop, "add", "--all")
    _git(shop, "commit", "--quiet", "-m", "two")
    return shop


def _git(shop: command.Shop, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(shop.source), *identity, *words], check=True, capture_output=True)


def _branch(shop: command.Shop) -> str:
    """Which branch CONFIG_DIR shows; "torn" for parts of both."""
    text = (shop.documents()["functions.yml"] or b"").decode()
    return {(True, False): "one", (False, True): "two"}.get(
        ("timeout: 10\n" in text and "timeout: 30\n" in text, "timeout: 11\n" in text and "timeout: 31\n" in text),
        "torn",
    )


def test_e7_somebody_elses_working_copy_is_read_and_left_as_it_is(shop: command.Shop) -> None:
    """Of another owner, read-only, and locked by its user: a lock of theirs is never removed."""
    (shop.source / ".git" / "index.lock").write_text("")
    for path in [shop.source, *shop.source.rglob("*")]:
        os.chown(path, command.NOBODY, command.NOBODY)
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = command.snapshot(shop.source)
    assert shop.reconcile().code == 0
    assert shop.reconcile().code == 0
    assert command.snapshot(shop.source) == before
    assert _branch(shop) == "two"


def test_e7_while_branches_are_switched_each_publish_is_one_of_them(shop: command.Shop) -> None:
    """A pass in the middle of a switch waits until the tree holds still, or says that it does not."""
    flags = {("source", "directory", "path"): shop.source, ("config_dir",): shop.config}
    configured = settings.load(None, {**flags, ("policy", "max_removed"): "100%"})
    patience = settling.of_directories(configured, Clock())
    done = threading.Event()

    def switch() -> None:
        for number in range(SWITCHES):
            _git(shop, "switch", "--quiet", ("one", "two")[number % 2])
        done.set()

    switching = threading.Thread(target=switch)
    switching.start()
    shown = set()
    while not done.is_set():
        with target.Target(configured, settle=patience) as opened:
            ended = reconciler.reconcile_once(opened, world.Request(opened.rules))
        assert ended.reason in {"FirstPublish", "SourceChanged", "InSync", "RecordOnly", "SourceUnstable"}, (
            ended.message
        )
        shown.add(_branch(shop) if shop.config.exists() else "")
    switching.join()
    with target.Target(configured, settle=patience) as opened:
        assert not reconciler.reconcile_once(opened, world.Request(opened.rules)).failed
    assert _branch(shop) == "two"
    assert "torn" not in shown
