"""I1, I2, I6: the webhook receiver as strangers meet it, over real sockets."""

import asyncio
import contextlib
import gzip
import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from controller import errors, runs, settings_sections
from controller.http import app, bounds, server, webhooks
from core import webhooks as genuine
from tests.fakes import deliveries, web

TIGHT = bounds.Limits(headers_s=1.0, body_s=1.0, max_body_bytes=1 << 20, wait_s=1.0)
"""For strangers that are slow: nobody wants to wait for them here either."""


@pytest.fixture(scope="module")
def shared() -> Iterator[web.Site]:
    """One server for tests that only look at answers."""
    with web.site(bounds.Limits(rate_per_minute=1_000_000)) as found:
        yield found


@pytest.fixture
def site() -> Iterator[web.Site]:
    with web.site() as found:
        yield found


@pytest.mark.parametrize("forge", deliveries.FORGES)
def test_a_push_asks_for_a_look_and_is_told_which_run_answers(site: web.Site, forge: str) -> None:
    answer = site.deliver(headers=deliveries.FORGES[forge](deliveries.BODY))
    assert answer.status == 202
    told = answer.json
    assert told == {
        "schema": "artifact-controller/delivery/v1", "result": "accepted", "run": told["run"],
        "status_url": f"/v1/runs/{told['run']}",
    }  # fmt: skip
    assert answer.headers["location"] == told["status_url"]
    assert site.ask(told["status_url"]).json["causes"] == ["webhook"]
    with site.runs.begun(runs.Cause.INTERVAL) as run:
        assert (run.id, run.causes) == (told["run"], frozenset({runs.Cause.WEBHOOK}))


def test_a_ping_and_other_events_ask_for_nothing(site: web.Site) -> None:
    ping = site.deliver(headers=deliveries.github(deliveries.BODY, event="ping"))
    other = site.deliver(headers=deliveries.github(deliveries.BODY, event="star"))
    assert (ping.status, ping.json["result"]) == (200, "pong")
    assert (other.status, other.json["result"]) == (200, "ignored")
    assert not site.runs.await_request(0)
    assert (site.count("ping"), site.count("ignored"), site.count("accepted")) == (1, 1, 0)


NOT_GENUINE = {
    "none": ({}, 401),
    "bearer": ({"Authorization": f"Bearer {deliveries.SECRET}"}, 401),
    "old algorithm only": ({"X-Hub-Signature": f"sha1={deliveries.digest(deliveries.BODY, kind='sha1')}"}, 401),
    "wrong": (deliveries.github(deliveries.BODY, "another secret of a good length"), 403),
    "empty": ({"X-Hub-Signature-256": ""}, 403),
    "of other JSON": (deliveries.github(json.dumps(json.loads(deliveries.BODY)).encode()), 403),
    "upper case": ({"X-Hub-Signature-256": f"sha256={deliveries.digest(deliveries.BODY).upper()}"}, 403),
    "wrong token": ({"X-Gitlab-Token": deliveries.SECRET[:-1]}, 403),
    "ten days old": (deliveries.standard(deliveries.BODY, now_s=1_000_000_000), 403),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_GENUINE)
def test_i1_what_is_not_genuine_gets_a_constant_answer_and_no_look(shared: web.Site, kind: str) -> None:
    headers, status = NOT_GENUINE[kind]
    answer = shared.deliver(headers=headers)
    wanted = {
        401: ("Unsigned", "a webhook needs a signature"),
        403: ("Refused", "the signature is wrong"),
    }[status]
    assert answer.status == status
    assert answer.json == {
        "schema": "artifact-controller/refusal/v1", "error": wanted[0], "message": wanted[1],
    }  # fmt: skip
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert not shared.runs.await_request(0)


def test_i1_two_signature_headers_are_refused(shared: web.Site) -> None:
    right = f"X-Hub-Signature-256: sha256={deliveries.digest(b'{}')}\r\n"
    head = "POST /v1/webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
    assert b" 403 " in shared.send(f"{head}{right}{right}\r\n{{}}".encode()).splitlines()[0]
    assert not shared.runs.await_request(0)


def test_i1_a_replay_is_at_most_one_look(site: web.Site) -> None:
    """The same delivery a thousand times: one run waits, and one more after it has begun."""
    headers = deliveries.github(deliveries.BODY)
    connection = site.connect()
    raw = request(headers)
    with contextlib.closing(connection):
        for _ in range(1000):
            connection.sendall(raw)
            assert read_answer(connection).startswith(b"HTTP/1.1 202")
    assert site.count("accepted") == 1000
    with site.runs.begun(runs.Cause.INTERVAL):
        assert not site.runs.await_request(0)


def request(headers: deliveries.Headers, body: bytes = deliveries.BODY) -> bytes:
    """A delivery in bytes."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["POST /v1/webhook HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


def read_answer(sock: socket.socket) -> bytes:
    """One answer of a connection that stays open."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = sock.recv(65536)
        assert piece, found
        found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]  # it is always there
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize("secret", ["", " ", "fifteen bytes..", "whsec_c2hvcnQga2V5"])
def test_i1_a_weak_secret_ends_the_start(secret: str) -> None:
    configured = settings_sections.Http.model_validate({"listen": ":0", "webhook_secret": secret})
    with pytest.raises(errors.ControllerError, match=r"http\.webhook_secret is too short") as caught:
        server.secret_of(configured)
    assert caught.value.meaning.exit_code == 78
    assert not secret.strip() or secret not in caught.value.message


def test_i1_the_secret_comes_from_a_file_or_a_value_but_not_from_both(tmp_path: Any) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{deliveries.SECRET}\n")
    told = settings_sections.Http(webhook_secret_file=file)
    assert server.secret_of(told) == deliveries.SECRET.encode()
    both = settings_sections.Http.model_validate({"webhook_secret_file": file, "webhook_secret": deliveries.SECRET})
    with pytest.raises(errors.ControllerError, match="both set"):
        server.secret_of(both)
    for content in (b"", b"\n", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(errors.ControllerError, match="secret_file"):
            server.secret_of(told)
    file.unlink()
    with pytest.raises(errors.ControllerError, match="No such file"):
        server.secret_of(told)


def test_i1_without_a_secret_there_is_no_receiver() -> None:
    with web.site(secret=None) as site:
        assert site.deliver().status == 404
        assert not site.runs.await_request(0)


def test_i1_no_get_delivers(shared: web.Site) -> None:
    for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS"):
        answer = shared.ask("/v1/webhook", method, deliveries.BODY, deliveries.github(deliveries.BODY))
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert not shared.runs.await_request(0)


# The body, as nobody should send it


def test_i2_an_empty_body_is_a_body(site: web.Site) -> None:
    assert site.deliver(b"", {}).status == 401
    assert site.deliver(b"", deliveries.github(b"x")).status == 403
    assert site.deliver(b"", deliveries.github(b"")).status == 202


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00not text",
        b"[" * 200_000,
        b'{"ref": [1, {"x": null}], "commits": 7, "repository": "no mapping"}',
        gzip.compress(b"0" * 10_000_000),
        b"0" * (1 << 20),
    ],
    ids=["invalid UTF-8", "deep", "wrong types", "a bomb", "1 MiB"],
)  # fmt: skip
def test_i2_what_is_in_a_body_does_not_matter(site: web.Site, body: bytes) -> None:
    """It is never taken apart: nothing in it can do harm, and nothing in it can be wrong."""
    headers = {**deliveries.github(body), "Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert site.deliver(body, headers).status == 202
    assert site.deliver(body, {**headers, "X-Hub-Signature-256": "sha256=0"}).status == 403


@pytest.mark.parametrize("genuine_one", [True, False])
def test_i2_a_mebibyte_and_one_is_too_large(site: web.Site, genuine_one: bool) -> None:
    body = b"0" * ((1 << 20) + 1)
    answer = site.deliver(body, deliveries.github(body) if genuine_one else {})
    assert (answer.status, answer.json["error"]) == (413, "TooLarge")
    assert not site.runs.await_request(0)
    assert site.count("too-large") == 1


def test_i2_a_promise_of_ten_gigabytes_is_not_waited_for(site: web.Site) -> None:
    head = b"POST /v1/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\nConnection: close\r\n\r\n"
    assert site.send(head).startswith(b"HTTP/1.1 413 ")


def test_i2_chunks_without_end_are_cut(site: web.Site) -> None:
    """10 GB in chunks: an answer after one MiB, and the connection ends soon after; nothing of it is kept."""
    head = b"POST /v1/webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"0" * 65536 + b"\r\n"
    sent, answered = 0, b""
    with contextlib.closing(site.connect()) as sock:
        sock.sendall(head)
        sock.setblocking(False)
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20:
                with contextlib.suppress(BlockingIOError):
                    answered += sock.recv(65536)
                with contextlib.suppress(BlockingIOError):
                    sent += sock.send(chunk)
        assert sent < 64 << 20
    assert site.count("too-large") == 1
    assert answered.startswith((b"HTTP/1.1 413 ", b""))
    assert site.deliver().status == 202


@pytest.mark.parametrize(
    ("head", "sent", "wanted"),
    [
        ("Content-Length: 99", b"{}", b"HTTP/1.1 408 "),
        ("Content-Length: 1", b"{}", b"HTTP/1.1 4"),
        ("Content-Length: -1", b"{}", b"HTTP/1.1 400 "),
        ("Content-Length: 1e3", b"{}", b"HTTP/1.1 400 "),
        ("Content-Length: 2\r\nContent-Length: 3", b"{}", b"HTTP/1.1 400 "),
        ("Transfer-Encoding: chunked", b"zz\r\n", b"HTTP/1.1 400 "),
        ("Transfer-Encoding: chunked", b"5\r\nab", b"HTTP/1.1 408 "),
        ("Transfer-Encoding: gzip", b"{}", b"HTTP/1.1 "),
    ],
)
def test_i2_lengths_that_lie(head: str, sent: bytes, wanted: bytes) -> None:
    with web.site(TIGHT) as site:
        lines = f"POST /v1/webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n\r\n".encode()
        answer = site.send(lines + sent)
        assert answer.startswith(wanted)
        assert b" 202 " not in answer
        assert not site.runs.await_request(0)
        assert site.warnings == []


def test_i2_a_body_that_ends_early_asks_for_nothing(site: web.Site) -> None:
    raw = request(deliveries.github(deliveries.BODY))
    with contextlib.closing(site.connect()) as sock:
        sock.sendall(raw[:-3])
        sock.shutdown(socket.SHUT_WR)
        answer = web.read_all(sock)
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert not site.runs.await_request(0)
    assert site.warnings == []


def test_i2_a_hundred_that_drip_keep_nobody_out() -> None:
    """Slow-loris: half of them in the headers, half in the body, and more than there are connections. /healthz answers
    all the while, and all of them are gone in the end."""
    limits = bounds.Limits(connections=64, headers_s=2.0, body_s=2.0)
    with web.site(limits) as site:
        slow = [site.connect() for _ in range(100)]
        try:
            for number, sock in enumerate(slow):
                raw = request({"X-Hub-Signature-256": "sha256=0"})
                with contextlib.suppress(ConnectionError):
                    sock.sendall(raw[:20] if number % 2 else raw[:-5])
                assert site.ask("/healthz").status == 200
            assert site.deliver().status == 202
            for sock in slow:
                assert not web.read_all(sock).startswith(b"HTTP/1.1 2")
        finally:
            for sock in slow:
                sock.close()
        assert site.warnings == []


def test_i2_a_drip_between_two_requests_is_cut() -> None:
    """Each byte anew would keep a connection for ever if time began with it."""
    with web.site(TIGHT) as site, contextlib.closing(site.connect()) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(sock).startswith(b"HTTP/1.1 200 ")
        sock.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 500:
                sock.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    assert sock.recv(100) == b""
                    return
        sock.settimeout(web.PATIENCE_S)
        assert web.read_all(sock) == b""


def test_i2_pipelined_requests_are_answered_one_after_the_other(site: web.Site) -> None:
    good = request(deliveries.github(deliveries.BODY))
    bad = request({})
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answered = site.send(good + bad + health + good + last)
    assert re.findall(rb"^HTTP/1.1 (\d+)", answered, re.MULTILINE) == [b"202", b"401", b"200", b"202", b"404"]


def test_i2_thousands_pipelined_and_nobody_reads(site: web.Site) -> None:
    """Who does not read is not answered for ever, and is in nobody's way."""
    with contextlib.closing(site.connect()) as sock:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(5000):
                sock.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        assert site.ask("/healthz").status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTPS/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"POST /v1/webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 200_000,
        b"GET /healthz HTTP/1.1\r\n\r\n",
    ],
    ids=["TLS", "zeros", "no HTTP", "version", "bytes in the path", "long header", "long chunk", "no host"],
)
def test_i2_what_is_not_http_is_refused(shared: web.Site, raw: bytes) -> None:
    assert shared.send(raw).startswith(b"HTTP/1.1 400 ")
    assert shared.ask("/healthz").status == 200
    assert shared.warnings == []


def test_i2_an_upgrade_is_not_followed(shared: web.Site) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"}
    assert shared.ask("/healthz", headers=headers).status == 200
    assert shared.warnings == []


# How often


def test_i6_a_burst_is_one_waiting_run(site: web.Site) -> None:
    """While one run goes on, hits of many clients at once are one run more."""
    headers = deliveries.github(deliveries.BODY)
    statuses: list[int] = []

    def hit() -> None:
        with contextlib.closing(site.connect()) as sock:
            for _ in range(50):
                sock.sendall(request(headers))
                statuses.append(int(read_answer(sock).split()[1]))

    with site.runs.begun(runs.Cause.INTERVAL) as first:
        threads = [threading.Thread(target=hit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) == {202}
        assert len(statuses) == 400
    assert site.runs.await_request(0)
    with site.runs.begun(runs.Cause.INTERVAL) as second:
        assert second.id != first.id
        assert not site.runs.await_request(0)


def test_i6_looks_have_a_rate() -> None:
    """A loop that looks at once whenever it is asked to is asked only so often; the rest is told when to come again."""
    found: list[web.Answer] = []
    with web.site(bounds.Limits(rate_per_minute=3)) as site:
        for _ in range(5):
            found.append(site.deliver())
            if site.runs.await_request(0):
                with site.runs.begun(runs.Cause.INTERVAL):
                    pass
        assert [answer.status for answer in found] == [202, 202, 202, 429, 429]
        answer = found[-1]
        assert 1 <= int(answer.headers["retry-after"]) <= 20
        assert answer.json["error"] == "TooMany"
        assert site.deliver(headers={}).status == 401
        assert site.count("limited") == 2


def test_i6_strangers_do_not_use_up_what_the_forge_may_do() -> None:
    with web.site(bounds.Limits(rate_per_minute=1)) as site:
        for _ in range(20):
            assert site.deliver(headers={"X-Gitlab-Token": "wrong"}).status == 403
        assert site.deliver().status == 202


def test_every_result_of_a_delivery_is_counted_under_its_name() -> None:
    from controller import metrics

    assert sorted(webhooks.RESULTS) == sorted(metrics.DELIVERIES)
    assert {str(verdict) for verdict in genuine.Verdict} < set(metrics.DELIVERIES)


# The entry itself, without sockets

NAMES = st.sampled_from(
    ["x-hub-signature-256", "x-gitlab-token", "webhook-signature", "content-length", "transfer-encoding", "x-github-event"]
)  # fmt: skip
MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda body, more: {"type": "http.request", "body": body, "more_body": more}, st.binary(), st.booleans()),
        st.just({"type": "http.request"}),
        st.just({"type": "http.disconnect"}),
    ),
    max_size=5,
)  # fmt: skip
SMALL = bounds.Limits(max_body_bytes=16)


@hypothesis.settings(max_examples=1000)
@hypothesis.given(
    headers=st.lists(st.tuples(NAMES.map(str.encode), st.binary(max_size=100)), max_size=6),
    messages=MESSAGES,
    method=st.sampled_from(["POST", "GET", "PATCH"]),
    path=st.sampled_from(["/v1/webhook", "/v1/webhook/", "/v1/webhook/x", "/V1/WEBHOOK"]),
    query=st.binary(max_size=20),
)
def test_i2_fuzz(
    headers: list[tuple[bytes, bytes]], messages: list[dict[str, Any]], method: str, path: str, query: bytes
) -> None:
    """Any headers, any pieces: always one whole answer of 4xx, never a look, never a bug."""
    warnings: list[str] = []
    told = web.served(warn=warnings.append)
    sent = answer_of(app.Application(told, SMALL), messages, method=method, path=path, query=query, headers=headers)
    assert 400 <= sent[0]["status"] < 500
    assert sum(message["type"] == "http.response.start" for message in sent) == 1
    assert not sent[-1].get("more_body", False)
    assert not told.targets()[0].asked.await_request(0)
    assert warnings == []


@hypothesis.given(pieces=st.lists(st.binary(max_size=8), min_size=1, max_size=4))
def test_i2_a_genuine_body_in_any_pieces(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    told = web.served()
    sent = answer_of(app.Application(told, SMALL), messages, headers=deliveries.raw(deliveries.github(body)))
    assert sent[0]["status"] == (202 if len(body) <= 16 else 413)
    assert told.targets()[0].asked.await_request(0) == (len(body) <= 16)


def answer_of(application: app.Application, messages: list[dict[str, Any]], **scope: Any) -> list[dict[str, Any]]:
    """What an ASGI server is given to send."""
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    usual = {"type": "http", "method": "POST", "path": "/v1/webhook", "query_string": b"", "headers": []}
    given = {**usual, **scope}
    given["query_string"] = given.pop("query", b"")
    asyncio.run(application(given, receive, send))
    return sent
