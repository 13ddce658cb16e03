"""I7: whoever is to be told may be away, slow or broken: passes go on, nothing piles up, nobody is flooded."""

import base64
import collections
import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller import clock, errors, notify, settings_sections

PATIENCE_S = 120.0
FIELDS = {"target": "shop", "reason": "NoManifest", "message": "no manifest", "revision": "sha256:1", "run": "a-1"}
TOKEN = "T0ps3cret"


class Target:
    """A receiver whose answers are scripted, 200 when the script is over. `None` answers nothing until the end."""

    def __init__(self, *script: int | None) -> None:
        self.script = collections.deque(script)
        self.messages: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.arrived = threading.Semaphore(0)
        self.over = threading.Event()
        target = self

        class Requests(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                target.messages.append(json.loads(body))
                target.headers.append({name.lower(): value for name, value in self.headers.items()})
                target.paths.append(self.path)
                status = target.script.popleft() if target.script else 200
                target.arrived.release()
                if status is None:
                    target.over.wait(PATIENCE_S)
                    return
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks/{TOKEN}?key={TOKEN}"

    def await_message(self) -> None:
        """Until one more has come."""
        assert self.arrived.acquire(timeout=PATIENCE_S)

    def stop(self) -> None:
        """Gone."""
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def target() -> Iterator[Callable[..., Target]]:
    started: list[Target] = []

    def start(*script: int | None) -> Target:
        started.append(Target(*script))
        return started[-1]

    yield start
    for each in started:
        each.stop()


class Counts:
    """What became of messages, and somebody who waits for it."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self._changed = threading.Condition()

    def notification(self, result: str) -> None:
        """One more."""
        with self._changed:
            self.results.append(result)
            self._changed.notify_all()

    def await_results(self, *wanted: str) -> None:
        """Until these are all."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.results) >= len(wanted), timeout=PATIENCE_S)
            assert sorted(self.results) == sorted(wanted)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "PAUSE_S", 0.01)


@contextlib.contextmanager
def notifier(
    url: str, *, deadline: float = PATIENCE_S, on: tuple[str, ...] = ("failed", "recovered", "changed")
) -> Iterator[tuple[notify.Notifier, Counts, list[str]]]:
    counts, warnings = Counts(), list[str]()
    configured = settings_sections.Notify.model_validate({"url": url, "deadline": deadline, "on": on})
    with notify.notifying(configured, counts, warn=warnings.append) as found:
        assert found is not None
        yield found, counts, warnings


def test_a_message_is_json_that_programs_and_chats_understand(target: Callable[..., Target]) -> None:
    receiver = target()
    with notifier(receiver.url) as (found, counts, warnings):
        found.tell("failed", {**FIELDS, "message": "bad \x1b[31m\u202e name", "phases": {"read": 0.1}})
        counts.await_results("delivered")
    assert receiver.messages == [{
        "schema": "artifact-controller/notification/v1", "event": "failed", "target": "shop", "reason": "NoManifest",
        "message": "bad \\x1b[31m\\u202e name", "revision": "sha256:1", "run": "a-1", "phases": {"read": 0.1},
        "text": "shop failed (NoManifest): bad \\x1b[31m\\u202e name",
    }]  # fmt: skip
    assert receiver.headers[0]["content-type"] == "application/json"
    assert receiver.paths == [f"/hooks/{TOKEN}?key={TOKEN}"]
    assert warnings == []


def test_only_what_was_asked_for_is_told(target: Callable[..., Target]) -> None:
    receiver = target()
    with notifier(receiver.url, on=("recovered",)) as (found, counts, _):
        for event in ("failed", "changed", "recovered", "nonsense"):
            found.tell(event, FIELDS)
        counts.await_results("delivered")
    assert [message["event"] for message in receiver.messages] == ["recovered"]


def test_i7_equal_messages_in_a_row_are_one(target: Callable[..., Target]) -> None:
    """Of another run and another duration they are equal still; of another reason, revision or target they are not."""
    receiver = target()
    with notifier(receiver.url) as (found, counts, _):
        for number in range(20):
            found.tell("failed", {**FIELDS, "run": f"a-{number}", "seconds": number})
        found.tell("failed", {**FIELDS, "revision": "sha256:2"})
        found.tell("recovered", FIELDS)
        found.tell("failed", FIELDS)
        found.tell("failed", {**FIELDS, "target": "other"})
        counts.await_results(*["repeated"] * 19, *["delivered"] * 5)
    assert [message["event"] for message in receiver.messages] == ["failed", "failed", "recovered", "failed", "failed"]


def test_i7_a_storm_is_cut_off(target: Callable[..., Target]) -> None:
    receiver = target(None)
    with notifier(receiver.url) as (found, counts, _):
        for number in range(200):
            found.tell("failed", {**FIELDS, "message": str(number)})
        dropped = counts.results.count("dropped")
        assert counts.results.count("limited") == 200 - notify.RATE.at_once
        assert dropped in (notify.RATE.at_once - notify.QUEUED, notify.RATE.at_once - notify.QUEUED - 1)
        receiver.over.set()


def test_i7_the_oldest_makes_room_while_the_receiver_is_slow(target: Callable[..., Target]) -> None:
    receiver = target(None)
    with notifier(receiver.url) as (found, counts, _):
        found.tell("failed", {**FIELDS, "message": "first"})
        receiver.await_message()
        for number in range(notify.QUEUED + 3):
            found.tell("failed", {**FIELDS, "message": str(number)})
        counts.await_results(*["dropped"] * 3)
        receiver.over.set()
        counts.await_results(*["dropped"] * 3, *["delivered"] * (notify.QUEUED + 1))
    told = [message["message"] for message in receiver.messages]
    assert told == ["first", "first", *(str(number) for number in range(3, notify.QUEUED + 3))]


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_i7_one_more_try_where_it_may_help(target: Callable[..., Target], status: int) -> None:
    receiver = target(status)
    with notifier(receiver.url) as (found, counts, warnings):
        found.tell("failed", FIELDS)
        counts.await_results("delivered")
    assert len(receiver.messages) == 2
    assert warnings == []


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301, 302, 307])
def test_i7_no_more_where_it_does_not_and_no_redirect_is_followed(target: Callable[..., Target], status: int) -> None:
    receiver = target(status)
    with notifier(receiver.url) as (found, counts, warnings):
        found.tell("failed", FIELDS)
        counts.await_results("failed")
    assert len(receiver.messages) == 1
    assert warnings == [f"a notification could not be delivered: the receiver answers {status}"]


def test_i7_failures_are_told_once_and_the_end_of_them_too(target: Callable[..., Target]) -> None:
    receiver = target(*[500] * 6)
    with notifier(receiver.url) as (found, counts, warnings):
        for number in range(3):
            found.tell("failed", {**FIELDS, "message": str(number)})
        counts.await_results(*["failed"] * 3)
        found.tell("recovered", FIELDS)
        counts.await_results(*["failed"] * 3, "delivered")
    assert warnings == [
        "a notification could not be delivered: the receiver answers 500",
        "notifications are delivered again",
    ]


def test_i7_what_was_not_delivered_may_be_told_again(target: Callable[..., Target]) -> None:
    receiver = target(500, 500)
    with notifier(receiver.url) as (found, counts, _):
        found.tell("failed", FIELDS)
        counts.await_results("failed")
        found.tell("failed", FIELDS)
        counts.await_results("failed", "delivered")


def nobody() -> str:
    """An address where nobody listens."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_i7_nobody_there() -> None:
    with notifier(f"http://{nobody()}/{TOKEN}") as (found, counts, warnings):
        found.tell("failed", FIELDS)
        counts.await_results("failed")
    assert warnings == ["a notification could not be delivered: ConnectionRefusedError: Connection refused"]


def test_i7_an_answer_that_does_not_come_has_a_deadline(target: Callable[..., Target]) -> None:
    receiver = target(None, None)
    with notifier(receiver.url, deadline=0.1) as (found, counts, warnings):
        found.tell("failed", FIELDS)
        counts.await_results("failed")
    assert warnings == ["a notification could not be delivered: no answer in time"]


def test_i7_no_tls_where_it_should_be(target: Callable[..., Target]) -> None:
    receiver = target()
    with notifier(receiver.url.replace("http:", "https:")) as (found, counts, warnings):
        found.tell("failed", FIELDS)
        counts.await_results("failed")
    assert receiver.messages == []
    assert TOKEN not in warnings[0]
    assert warnings[0].startswith("a notification could not be delivered: SSL")


def test_i7_garbage_instead_of_an_answer() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"

        def answer() -> None:
            for _ in range(2):
                taken, _ = listening.accept()
                with contextlib.closing(taken):
                    taken.recv(65536)
                    taken.sendall(b"\x00\xff nonsense\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        with notifier(url) as (found, counts, warnings):
            found.tell("failed", FIELDS)
            counts.await_results("failed")
        answering.join(PATIENCE_S)
    assert len(warnings) == 1


def test_i7_telling_never_raises_and_never_waits(target: Callable[..., Target]) -> None:
    receiver = target(None)
    with notifier(receiver.url, deadline=0.1) as (found, _, _):
        found.tell("failed", {"message": object(), "x": {1: {2, 3}}})
        found.tell("failed", None)  # type: ignore[arg-type]  # on purpose
        found.tell(None, {})  # type: ignore[arg-type]  # on purpose


def test_after_the_end_nothing_is_told_and_the_end_does_not_wait_for_ever(target: Callable[..., Target]) -> None:
    receiver = target(None)
    to = notify.destination_of(receiver.url)
    found = notify.Notifier(settings_sections.Notify(), to, notify.Plumbing(Counts()))
    found.stop()
    found.tell("failed", FIELDS)
    again = notify.Notifier(settings_sections.Notify(), to, notify.Plumbing(Counts(), machine=clock.Clock()))
    again.tell("failed", FIELDS)
    receiver.await_message()
    again.stop(0.01)
    assert len(receiver.messages) == 1


def test_a_name_and_password_in_the_address_are_sent_as_such(target: Callable[..., Target]) -> None:
    receiver = target()
    with notifier(receiver.url.replace("//", "//me:p%40ss@")) as (found, counts, _):
        found.tell("failed", FIELDS)
        counts.await_results("delivered")
    assert receiver.headers[0]["authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert "p%40ss" not in receiver.paths[0]


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/", "x", "http://", "http://h:99999/", "http://[::1/", "http://h/\r\nX: y", "http://h/ x", f"file:///{TOKEN}", "http://é/"],
)  # fmt: skip
def test_what_is_no_address_is_a_wrong_setting_that_is_not_shown(url: str) -> None:
    with pytest.raises(errors.ControllerError) as caught, notifier(url):
        pass
    assert caught.value.reason == "SettingsInvalid"
    assert caught.value.message == "notify.url: write an http:// or https:// address"


def test_the_address_may_come_from_a_file(tmp_path: Path, target: Callable[..., Target]) -> None:
    receiver = target()
    file = tmp_path / "url"
    file.write_text(receiver.url + "\n")
    counts = Counts()
    with notify.notifying(settings_sections.Notify(url_file=file), counts) as found:
        assert found is not None
        found.tell("failed", FIELDS)
        counts.await_results("delivered")
    with pytest.raises(ValueError, match="failed"):
        settings_sections.Notify.model_validate({"on": ["often"]})


def test_without_an_address_nobody_is_told() -> None:
    with notify.notifying(settings_sections.Notify(), Counts()) as found:
        assert found is None
