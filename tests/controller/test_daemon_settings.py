"""A controller that stays, at its start and when its settings are read again (faults.md I5, P14, P16, L2): what cannot
work is refused before it takes the place of what works.
"""

import http.server
import json
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller import cancellation, pulse, settings, worker
from tests.fakes import command, daemons, ports

pytestmark = pytest.mark.process

HOOK = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def shop(tmp_path: Path) -> command.Shop:
    """The sample artifact and a CONFIG_DIR."""
    return command.Shop(tmp_path)


@pytest.fixture
def port() -> Iterator[int]:
    """One that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def written(shop: command.Shop, **sections: Any) -> Path:
    """controller.yml of this shop, with sections replaced; None leaves one out."""
    usual = {"source": {"directory": {"path": "artifacts"}}, "config_dir": "config", "interval": "1h"}
    chosen = {key: value for key, value in {**usual, **sections}.items() if value is not None}
    file = shop.folder / "controller.yml"
    file.write_text(json.dumps(chosen), encoding="utf-8")
    return file


def answers(address: str) -> bool:
    """Whether somebody serves there."""
    with urllib.request.urlopen(f"{address}/healthz", timeout=30) as answer:  # noqa: S310 - an address of our own
        return bool(answer.status == 200)


# Read again


def test_settings_that_cannot_work_leave_those_that_do(shop: command.Shop, port: int) -> None:
    """I5, P14: whatever is wrong with them, the process lives, serves and converges as before."""
    at = f"127.0.0.1:{ports.free()[0]}"
    good: dict[str, Any] = {"http": {"listen": at, "webhook_secret": HOOK}}
    wrong: dict[str, tuple[str, dict[str, Any]]] = {
        "already in use": ("ListenFailed", {"http": {"listen": f"127.0.0.1:{port}"}}),
        "webhook_secret_file": ("SettingsInvalid", {"http": {"listen": at, "webhook_secret_file": "nowhere"}}),
        "too short": ("SettingsInvalid", {"http": {"listen": at, "webhook_secret": "short"}}),
        "notify.url": ("SettingsInvalid", {"notify": {"url": "ftp://nowhere.invalid"}}),
        "config_dir": ("SettingsInvalid", {"config_dir": None}),
        "no source": ("SettingsInvalid", {"source": {}}),
        "source.git.url": ("SettingsInvalid", {"source": {"git": {"url": "ext::x"}}, "state_dir": "state"}),
        "state_dir": ("SettingsInvalid", {"source": {"git": {"url": "https://nowhere.invalid/x"}}}),
        "foo": ("SettingsInvalid", {"foo": 1}),
    }
    with daemons.running("--config", written(shop, **good)) as daemon:
        daemon.await_pass("FirstPublish")
        for words, (reason, sections) in wrong.items():
            seen = len(daemon.lines)
            written(shop, **{**good, **sections})
            daemon.signal(signal.SIGHUP)
            told = daemon.await_line(lambda line: line["event"] == "settings not reloaded", since=seen)
            assert (told["reason"], told["level"]) == (reason, "error"), words
            assert words in json.dumps(told).lower()
            assert HOOK not in json.dumps(told)
        assert answers(daemon.address)
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
        daemon.await_pass("SourceChanged")
        assert [line["event"] for line in daemon.lines].count("ready") == 1, "nothing was taken down"
        assert daemon.ends_well()


def test_settings_that_fail_only_when_they_begin_give_way_to_those_before(shop: command.Shop) -> None:
    """I5, P14: whether the own port can be had on another address shows when it is free, and not before."""
    number = ports.free()[0]
    good = {"listen": f"127.0.0.1:{number}"}
    with daemons.running("--config", written(shop, http=good)) as daemon:
        daemon.await_pass("FirstPublish")
        written(shop, http={"listen": f"192.0.2.1:{number}"})
        seen = len(daemon.lines)
        daemon.signal(signal.SIGHUP)
        told = daemon.await_line(lambda line: line["event"] == "settings not reloaded", since=seen)
        assert told["reason"] == "ListenFailed"
        daemon.await_line(lambda line: line["event"] == "ready", since=seen)
        assert answers(f"http://127.0.0.1:{number}")
        written(shop, http=good, name="other")
        seen = len(daemon.lines)
        daemon.signal(signal.SIGHUP)
        daemon.await_line(lambda line: line.get("target") == "other" and line["event"] == "pass", since=seen)
        assert answers(f"http://127.0.0.1:{number}")
        assert daemon.ends_well()


def test_level_and_format_of_the_log_are_read_again_too(shop: command.Shop) -> None:
    with daemons.running("--config", written(shop, log={"level": "error"})) as daemon:
        daemons.until(lambda: shop.config.is_dir() and shop.documents()["functions.yml"] is not None)
        assert daemon.lines == []
        written(shop, log={"level": "info", "format": "console"})
        daemon.signal(signal.SIGHUP)
        daemons.until(lambda: any("InSync" in line for line in daemon.noise))
        assert any("settings reloaded" in line for line in daemon.noise)
        assert daemon.ends_well()


class _Receiver:
    """Keeps the events of messages."""

    def __init__(self) -> None:
        self.events: list[str] = []
        receiver = self

        class Requests(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.events.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["event"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture
def receiver() -> Iterator[_Receiver]:
    """Somebody who is told of failures."""
    made = _Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.mark.parametrize("way", ["reload", "restart"])
def test_i7_what_failed_before_recovers_after(shop: command.Shop, receiver: _Receiver, way: str) -> None:
    """Who was told of a failure is told of its end, also when new settings or a new process brought it."""
    telling = {"notify": {"url": receiver.url}}
    shop.published()
    with daemons.running("--config", written(shop, **telling, manifest={"path": "other.yml"})) as daemon:
        assert daemon.await_pass()["failed"]
        daemons.until(lambda: receiver.events == ["failed"])
        if way == "restart":
            assert daemon.ends_well()
        written(shop, **telling)
        if way == "restart":
            daemon.begin()
        else:
            daemon.signal(signal.SIGHUP)
        daemon.await_line(lambda line: line["event"] == "pass" and not line["failed"])
        daemons.until(lambda: receiver.events == ["failed", "recovered"])


# The start


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("config_dir is not set", ("--source", "artifacts")),
        ("no source is set", ("--config-dir", "config")),
        ("source.git.ref", ("--git", "https://nowhere.invalid/x", "--ref", "a..b", *("--config-dir", "config"))),
        ("source.git.url", ("--git", "https://u:pw@nowhere.invalid/x", "--config-dir", "config")),
        ("outside of CONFIG_DIR", ("--git", "https://nowhere.invalid/x", "--config-dir", "state")),
        ("at least 100ms", ("--source", "artifacts", "--config-dir", "config", "--config", "quick.yml")),
    ],
)
def test_what_could_never_work_does_not_stay(shop: command.Shop, words: str, arguments: tuple[str, ...]) -> None:
    """I5: 78 as with --once, before anybody is told that it is ready."""
    places = ("--state-dir", "state") if "--git" in arguments else ()
    (shop.folder / "quick.yml").write_text("interval: 1ms\n", encoding="utf-8")
    ended = command.child("reconcile", *arguments, *places, cwd=shop.folder)
    assert ended.code == 78, ended.text
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert '"ready"' not in ended.err
    assert "pw@" not in ended.err


def test_what_cannot_be_opened_any_more_is_a_failed_pass_and_no_bug() -> None:
    ended = worker.Worker(settings.load(None, {}), pulse.Pulse(), cancellation.Cancellation()).converge()
    assert (ended.report.reason, ended.seen) == ("SettingsInvalid", False)
    assert "config_dir" in ended.report.message


def test_l2_wishes_before_the_first_look_end_nothing(shop: command.Shop) -> None:
    """SIGHUP and SIGUSR1 while it still reads its settings, which are held back here."""
    held = shop.folder / "held.yml"
    os.mkfifo(held)
    with daemons.running("--config", held, *shop.target) as daemon:
        with held.open("w", encoding="utf-8") as wanted:  # opens once the other side has
            daemon.signal(signal.SIGHUP)
            daemon.signal(signal.SIGUSR1)
            wanted.write("interval: 1h\n")
        daemon.await_pass("FirstPublish")
        assert daemon.ends_well()


def test_a_suspension_that_is_over_is_noticed_at_its_end(shop: command.Shop) -> None:
    """P16: the interval is an hour."""
    shop.published()
    with daemons.running(*shop.target, "--interval", "1h") as daemon:
        daemon.await_pass("InSync")
        assert shop.about("suspend", "--for", "6s", "--reason", "upgrade").code == 0
        daemon.signal(signal.SIGUSR1)
        daemon.await_pass("Suspended")
        seen = len(daemon.lines)
        told = daemon.await_pass(since=seen)
        assert (told["causes"], told["reason"] == "Suspended") == (["interval"], False)
