"""Several sources, and several targets of one source, in a controller that stays (faults.md E2, P10)."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import command, daemons, git_server, tools

pytestmark = pytest.mark.process


@dataclass
class Pair:
    """Two targets of one repository."""

    folder: Path
    server: git_server.GitServer
    author: git_server.Author

    def settings(self, **more: Any) -> Path:
        """controller.yml"""
        file = self.folder / "controller.yml"
        targets = {name: {"config_dir": name} for name in ("one", "other")}
        source = {"git": {"url": self.server.url("shop.git")}}
        file.write_text(json.dumps({"source": source, "state_dir": "state", "targets": targets, **more}))
        (self.folder / "state").mkdir(exist_ok=True)
        return file

    def push(self, old: str, new: str) -> None:
        """A commit."""
        command.replace_text(self.author.folder / "orders" / "config" / "functions.yml", old, new)
        self.author.publish()

    def shows(self, target: str, text: str) -> bool:
        """Whether its consumers see this."""
        return text in (self.folder / target / "functions.yml").read_text()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    tools.require("git", "ssh-keygen")
    with git_server.published(tmp_path, command.SAMPLE) as (server, author):
        yield Pair(tmp_path, server, author)


def _changed(target: str, reason: str) -> Callable[[daemons.Line], bool]:
    """A pass of this target that published something, and ended so."""
    return lambda line: (line.get("target"), line.get("reason"), line.get("changed")) == (target, reason, True)


def _ended(target: str, reason: str) -> Callable[[daemons.Line], bool]:
    """A pass of this target that ended so."""
    return lambda line: (line.get("target"), line.get("reason")) == (target, reason)


def test_what_one_target_hears_of_a_remote_wakes_the_other(pair: Pair) -> None:
    """Nothing but the signal is a reason to look within the hour; one question is enough for both."""
    with daemons.running("--config", pair.settings(interval="1h", rescan="1h")) as daemon:
        daemons.until(lambda: len({line["target"] for line in daemon.passes}) == 2)
        pair.push("memory_size: 256", "memory_size: 512")
        pair.server.requests.clear()
        seen = len(daemon.lines)
        daemon.signal(signal.SIGUSR1)
        for name in ("one", "other"):
            daemon.await_line(_changed(name, "SourceChanged"), since=seen)
            assert pair.shows(name, "memory_size: 512")
        assert len([one for one in pair.server.requests if one.startswith("GET ")]) <= 3
        assert daemon.end() in (0, 143), "the pass of the other may be under way"


def test_e2_drift_is_healed_while_the_remote_is_away(pair: Pair) -> None:
    """Intervals go on; the remote is asked by the back-off, which is an hour here."""
    settings = pair.settings(interval="200ms", rescan="200ms", retry={"first": "1h", "longest": "1h"})
    with daemons.running("--config", settings) as daemon:
        daemons.until(lambda: len({line["target"] for line in daemon.passes}) == 2)
        pair.server.faults.status = 503
        for name in ("one", "other"):
            daemon.await_line(_ended(name, "SourceUnavailable"))
        seen = len(daemon.lines)
        pair.server.requests.clear()
        for name in ("one", "other"):
            file = pair.folder / name / "functions.yml"
            file.write_text("functions: {}\n")
            daemon.await_line(_changed(name, "SourceUnavailable"), since=seen)
            assert pair.shows(name, "memory_size: 256")
        seen = len(daemon.lines)
        daemons.until(lambda: len(daemon.lines) > seen + 4)
        assert not pair.server.requests
        pair.server.faults.status = None
        daemon.signal(signal.SIGUSR1)
        daemon.await_line(lambda line: line.get("reason") == "InSync", since=seen)


def test_p10_every_folder_of_a_list_is_listened_to(tmp_path: Path) -> None:
    shop = command.Shop(tmp_path)
    shutil.copytree(shop.source, tmp_path / "copy")
    shutil.move(shop.source, tmp_path / "later")
    file = tmp_path / "controller.yml"
    sources = [{"directory": {"path": name}} for name in ("artifacts", "copy")]
    file.write_text(json.dumps({"source": sources, "config_dir": "config", "interval": "1h", "rescan": "1h"}))
    with daemons.running("--config", file) as daemon:
        daemon.await_pass("FirstPublish")
        seen = len(daemon.lines)
        command.replace_text(tmp_path / "copy" / "catalog" / "config" / "functions.yml", "timeout: 10", "timeout: 25")
        assert daemon.await_pass("SourceChanged", since=seen)["causes"] == ["files"]
        assert b"timeout: 25" in (shop.documents()["functions.yml"] or b"")
        shutil.move(tmp_path / "later", shop.source)
        daemons.until(lambda: b"timeout: 10" in (shop.documents()["functions.yml"] or b""))
