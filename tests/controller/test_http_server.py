"""I3, I4, I5: what the server shows, to whom, and that it starts or says why not."""

import contextlib
import http.client
import itertools
import re
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from controller import clock, errors, pulse, runs, settings, settings_sections, status
from controller.http import answers, bounds, server
from tests.fakes import command, daemons, deliveries, web

GETS = ("/healthz", "/readyz", "/metrics", "/v1/status", "/v1/runs/nobody")
HOSTILE = "\x1b]0;owned\x07<script>alert(1)</script>\u202e\n&'"


class Stopped(clock.Clock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        object.__setattr__(self, "moments", [1000.0])  # the real one cannot be changed

    def monotonic_s(self) -> float:
        """As it was set."""
        return float(sum(vars(self)["moments"]))

    def move(self, seconds: float) -> None:
        """Later."""
        vars(self)["moments"].append(seconds)


@pytest.fixture
def site() -> Any:
    with web.site() as found:
        yield found


def ended(asked: runs.Runs, **outcome: Any) -> str:
    """The id of a run that is over."""
    run_id = asked.request(runs.Cause.WEBHOOK)
    with asked.begun(runs.Cause.INTERVAL) as run:
        asked.end(run, outcome)
    return run_id


# Health


def test_i4_while_images_are_made_a_check_may_be_older() -> None:
    """Only for as long as that: failures after it show within a few intervals."""
    machine = Stopped()
    beats = pulse.Pulse(machine)
    with web.site(beats=beats, machine=machine) as site:
        machine.move(5.0)
        beats.good(5.0)
        machine.move(95.0)
        assert site.ask("/readyz").json["limit_seconds"] == 95.0, "a pass takes five seconds"
        assert site.ask("/readyz").status == 200
        machine.move(1.0)
        assert site.ask("/readyz").status == 503
        beats.enter("build", 900.0)
        assert site.ask("/readyz").status == 200
        machine.move(100.0)
        beats.enter("publish", 60.0)
        assert site.ask("/readyz").status == 200, "the pass goes on"
        beats.rest()
        assert site.ask("/readyz").status == 503
        beats.enter("build", 900.0)
        machine.move(700.0)
        beats.enter("publish", 60.0)
        beats.good(702.0)
        beats.rest()
        assert site.ask("/readyz").json["limit_seconds"] == 92.0, "images are not made in every pass"


def test_i4_health_is_the_pulse() -> None:
    """Alive while a step has its time, however long that is; dead once it is over, or the loop ended."""
    machine = Stopped()
    beats = pulse.Pulse(machine)
    with web.site(beats=beats, machine=machine) as site:
        beats.enter("build", 900.0)
        machine.move(900.0)
        answer = site.ask("/healthz")
        assert (answer.status, answer.json) == (200, {
            "schema": "artifact-controller/health/v1", "alive": True, "step": "build", "seconds": 900.0, "limit_seconds": 915.0,
        })  # fmt: skip
        machine.move(16.0)
        assert (site.ask("/healthz").status, site.ask("/healthz").json["alive"]) == (503, False)
        beats.enter("deciding", 60.0)
        assert site.ask("/healthz").status == 200
        beats.end()
        assert site.ask("/healthz").status == 503


def test_i4_readiness_is_a_recent_good_check() -> None:
    machine = Stopped()
    beats = pulse.Pulse(machine)
    with web.site(beats=beats, machine=machine) as site:
        answer = site.ask("/readyz")
        assert (answer.status, answer.json["ready"], answer.json["seconds_since_good"]) == (503, False, None)
        beats.good()
        machine.move(90.0)
        assert (site.ask("/readyz").status, site.ask("/readyz").json["limit_seconds"]) == (200, 90.0)
        machine.move(0.1)
        answer = site.ask("/readyz")
        assert (answer.status, answer.json["ready"], answer.json["seconds_since_good"]) == (503, False, 90.1)


# Runs


def test_a_run_from_its_request_to_its_end(site: web.Site) -> None:
    url = site.deliver().json["status_url"]
    assert (site.ask(url).json["state"], site.ask(url).json["outcome"]) == ("waiting", {})
    with site.runs.begun(runs.Cause.INTERVAL) as run:
        assert site.ask(url).json["state"] == "running"
        site.runs.end(run, {"reason": "InSync", "failed": False, "generation": 7})
    told = site.ask(f"{url}?wait=true").json
    assert told == {
        "schema": "artifact-controller/run/v1", "id": run.id, "target": "default", "state": "ended", "causes": ["webhook"],
        "requested_at": run.requested_at, "outcome": {"reason": "InSync", "failed": False, "generation": 7},
    }  # fmt: skip


def test_waiting_ends_with_the_run(site: web.Site) -> None:
    """It begins before the run does, and everything else is answered meanwhile."""
    url = site.deliver().json["status_url"]
    found: list[web.Answer] = []
    waiting = threading.Thread(target=lambda: found.append(site.ask(f"{url}?wait=true")))
    waiting.start()
    for _ in range(20):
        assert site.ask("/healthz").status == 200
    with site.runs.begun(runs.Cause.INTERVAL):
        assert site.ask(url).json["state"] == "running"
        assert not found
    waiting.join(web.PATIENCE_S)
    assert found[0].json["state"] == "ended"


def test_waiting_is_bounded_in_time_and_number() -> None:
    with web.site(bounds.Limits(wait_s=0.2)) as site:
        assert site.ask(f"{site.deliver().json['status_url']}?wait=true").json["state"] == "waiting"
    with web.site(bounds.Limits(waiters=0)) as site:
        answer = site.ask(f"{site.deliver().json['status_url']}?wait=true")
        assert (answer.status, answer.headers["retry-after"], answer.json["error"]) == (503, "5", "TooManyWait")
        assert site.ask(f"/v1/runs/{ended(site.runs)}?wait=true").status == 200, "there is nothing to wait for"


def test_who_leaves_does_not_keep_the_place() -> None:
    with web.site(bounds.Limits(waiters=1)) as site:
        url = site.deliver().json["status_url"]
        ask = f"GET {url}?wait=true HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

        def is_taken() -> bool:
            with contextlib.closing(site.connect()) as sock:
                sock.settimeout(0.1)
                sock.sendall(ask)
                with contextlib.suppress(TimeoutError):
                    return sock.recv(100).startswith(b"HTTP/1.1 503 ")
                return False

        with contextlib.closing(site.connect()) as first:
            first.sendall(ask)
            while not is_taken():
                pass
        while is_taken():
            pass


@pytest.mark.parametrize(
    ("path", "code"),
    [("/v1/runs/nobody", 404), ("/v1/runs/nobody?wait=true", 404), ("/v1/runs/", 404), ("/v1/runs/a/b", 404)],
)
def test_runs_that_never_were(site: web.Site, path: str, code: int) -> None:
    assert site.ask(path).status == code


@pytest.mark.parametrize("query", ["wait=yes", "wait=", "wait=true&wait=true", "wait=TRUE", "wait=%ff"])
def test_waiting_is_asked_for_in_one_way(site: web.Site, query: str) -> None:
    assert site.ask(f"/v1/runs/{ended(site.runs)}?{query}").status == 400


# Status


def test_status_is_made_once_for_all_who_ask_at_the_same_time() -> None:
    made: list[int] = []

    def make() -> dict[str, str]:
        made.append(1)
        return {"name": "shop"}

    machine = Stopped()
    with web.site(status=make, machine=machine) as site:
        for _ in range(5):
            assert site.ask("/v1/status").json == {"schema": "artifact-controller/status/v1", "name": "shop"}
        assert len(made) == 1
        machine.move(1.0)
        assert site.ask("/v1/status").status == 200
        assert len(made) == 2


def test_a_status_that_cannot_be_had_and_a_bug_in_it() -> None:
    def fail() -> Any:
        raise errors.ControllerError("StateUnreadable", "/srv/state/state.db: Permission denied")

    with web.site(status=fail, places={"/srv/state": "STATE_DIR"}) as site:
        answer = site.ask("/v1/status")
        assert (answer.status, answer.json["error"]) == (503, "StateUnreadable")
        assert answer.json["message"] == "STATE_DIR/state.db: Permission denied"

    def break_() -> Any:
        raise ValueError(deliveries.SECRET)

    with web.site(status=break_) as site:
        answer = site.ask("/v1/status")
        assert (answer.status, answer.json["error"]) == (500, "Bug")
        assert site.warnings == ["a bug ended an answer over HTTP: ValueError"]
        assert site.ask("/healthz").status == 200


def test_a_status_that_hangs_holds_up_nothing_else() -> None:
    free = threading.Event()

    def hang() -> Any:
        free.wait(web.PATIENCE_S)
        return {}

    with web.site(status=hang) as site:
        asking = threading.Thread(target=lambda: site.ask("/v1/status"))
        asking.start()
        assert site.ask("/healthz").status == 200
        assert site.deliver().status == 202
        free.set()
        asking.join(web.PATIENCE_S)


def test_the_status_over_http_is_that_of_the_command(tmp_path: Path) -> None:
    """And names no folder of the machine, not in a failure either (I3)."""
    shop = command.Shop(tmp_path).published()
    configured = settings.load(None, {("config_dir",): shop.config, ("source", "directory", "path"): shop.source})
    shop.manifest.write_text("nonsense: [")
    shop.reconcile()
    from controller import target

    def look() -> Any:
        with target.Target(configured) as opened:
            return status.payload(opened)

    with web.site(status=look, places=status.places(configured)) as site:
        over_http = site.ask("/v1/status")
    told = shop.about("status", "--output", "json").json
    assert over_http.status == 200
    assert set(over_http.json) == set(told)
    assert over_http.json["applied_revision"] == told["applied_revision"] is not None
    assert str(tmp_path) not in over_http.body.decode()


# I3


def test_i3_read_only_for_every_method(site: web.Site) -> None:
    for path in (*GETS, "/nowhere"):
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            answer = site.ask(path, method, b"{}")
            assert answer.status == (404 if path == "/nowhere" else 405)
            assert answer.json["error"] in ("NotFound", "MethodNotAllowed")
    assert not site.runs.await_request(0)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/healthz/", "//healthz", "/HEALTHZ", "/metrics/../v1/status", "/v1/", "/v1/status/..%2f..%2fetc%2fpasswd",
        "/%00", "/v1/runs/..%2f..%2fetc", "/%2e%2e/%2e%2e/etc/passwd", "/docs", "/openapi.json", "/v1/webhook/git/hub", "*",
        "http://evil.example/healthz/", "/v1/runs/%0d%0aX-Injected:%201", "/<script>", "/" + "a" * 8000,
    ],
)  # fmt: skip
def test_i3_path_tricks_lead_nowhere(path: str) -> None:
    """A constant answer: no redirect, nothing of the request in it, not even of a name that it answers to."""
    with (
        web.site(names=["evil.example"]) as site,
        contextlib.closing(http.client.HTTPConnection(*site.place, timeout=web.PATIENCE_S)) as connection,
    ):
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", "evil.example")
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
    assert answer.status == 404
    assert not {"location", "x-injected"} & {name.lower() for name, _ in answer.getheaders()}
    assert b"there is nothing at this path" in body or b"there is no such run, or it was too long ago" in body
    for trace in (b"evil", b"script", b"etc", b"aaaa"):
        assert trace not in body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_i3_a_page_whose_name_leads_here_gets_nothing(site: web.Site, host: str) -> None:
    """DNS rebinding: a browser asks with the name of the page. Health and signed deliveries show nothing."""
    for path in GETS[1:]:
        answer = site.ask(path, headers={"Host": host})
        assert (answer.status, answer.json["error"]) == (421, "WrongHost")
    assert site.ask("/healthz", headers={"Host": host}).status == 200
    assert site.deliver(headers={**deliveries.github(deliveries.BODY), "Host": host}).status == 202


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "10.1.2.3", "[::1]", "[::1]:80", "LocalHost:1", "ctl", "CTL.lan.:80"]
)
def test_i3_addresses_and_own_names_are_answered(host: str) -> None:
    with web.site(names=["ctl:8080", "ctl.lan"]) as site:
        assert site.ask("/v1/status", headers={"Host": host}).status == 200


def test_i3_health_is_told_by_any_name() -> None:
    """Probes ask by the name of the container, some of them with HEAD."""
    with web.site() as site:
        asked = [site.ask("/healthz", method=method, headers={"Host": "elsewhere"}) for method in ("GET", "HEAD")]
        assert [one.status for one in asked] == [200, 200]


def test_i3_names_come_from_the_settings() -> None:
    """The host of `listen`, and `http.names`."""
    configured = settings_sections.Http(listen="localhost:0", names=("ctl.lan",))
    found = web.served()
    with server.serving(configured, found.targets, found.metrics) as address:
        site = web.Site(found, address=address)
        assert [site.ask("/v1/status", headers={"Host": one}).status for one in ("ctl.lan", "ctl")] == [200, 421]


def test_a_status_is_shown_again_until_a_pass_ends_or_its_time_is_over() -> None:
    """Who asks without a password makes the engine be asked no more often than passes do."""
    numbers = itertools.count(1)
    machine = Stopped()
    with web.site(status=lambda: {"number": next(numbers)}, machine=machine, status_kept_s=30.0) as site:

        def shown(after_s: float) -> int:
            machine.move(after_s)
            return int(site.ask("/v1/status").json["number"])

        assert [shown(10.0) for _ in range(3)] == [1, 1, 1]
        ended(site.runs)
        assert [shown(2.0), shown(2.0)] == [2, 2]
        ended(site.runs)
        assert shown(0.1) == 3
        ended(site.runs)
        assert [shown(0.5), shown(0.6)] == [3, 4], "never more than one in a second"
        assert [shown(29.0), shown(2.0)] == [4, 5]


@pytest.mark.parametrize("path", [*GETS, "/nowhere"])
def test_i3_every_answer_has_the_headers_that_keep_browsers_quiet(site: web.Site, path: str) -> None:
    answer = site.ask(path, headers={"Origin": "https://evil.example", "Host": "evil.example"})
    assert {name: answer.headers[name] for name in answers.HEADERS} == dict(answers.HEADERS)
    assert not {"server", "access-control-allow-origin", "set-cookie", "x-powered-by"} & set(answer.headers)
    assert b"evil" not in answer.body


def test_i3_names_in_answers_are_harmless() -> None:
    """K2: nothing that a terminal or a browser obeys, in keys and in values; P13: no password in an address."""
    told = {HOSTILE: [HOSTILE, {"deep": (HOSTILE,)}], "url": "https://user:hunter2hunter2@git.example/x"}
    with web.site(status=lambda: told) as site:
        ended_run = ended(site.runs, message=HOSTILE)
        for path in ("/v1/status", f"/v1/runs/{ended_run}"):
            answer = site.ask(path)
            assert answer.headers["content-type"] == "application/json"
            assert not set(answer.body) & set(b"\x1b\x07<>&'"), path
            assert answer.body.isascii()
            assert answer.body.count(b"\n") == 1
            assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", str(answer.json))
            assert "hunter2" not in answer.body.decode()
            assert "<script>alert(1)</script>" in str(answer.json), "as text it is what it was"


def test_i3_nothing_is_told_of_secrets_and_folders(tmp_path: Path) -> None:
    places = {str(tmp_path): "CONFIG_DIR"}
    with web.site(status=lambda: {"record": f"{tmp_path}/x is damaged"}, places=places) as site:
        run_id = ended(site.runs, message=f"{tmp_path}: no such directory", hint=str(tmp_path))
        site.deliver(headers={"X-Gitlab-Token": "wrong"})
        for path in (*GETS, f"/v1/runs/{run_id}"):
            body = site.ask(path).body.decode()
            assert str(tmp_path) not in body
            assert deliveries.SECRET not in body
        assert site.ask("/v1/status").json["record"] == "CONFIG_DIR/x is damaged"


def test_i3_by_default_only_this_machine_may_ask() -> None:
    with web.site(listen=":0") as site:
        assert site.address.startswith("127.0.0.1:")
        assert site.ask("/healthz").status == 200


# I5


def test_i5_a_port_in_use_ends_the_start() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(errors.ControllerError, match=f"http.listen {listen}: Address already in use") as caught:
            server.Server(listen, web.served()).start()
    assert (caught.value.reason, caught.value.meaning.exit_code) == ("ListenFailed", 69)


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "[2001:db8::1]:0", "[fe80::1%nosuch]:0", "no-such-host.invalid:0"])
def test_i5_an_address_that_is_not_ours_ends_the_start(listen: str) -> None:
    with pytest.raises(errors.ControllerError, match=re.escape(f"http.listen {listen}: ")) as caught:
        server.Server(listen, web.served()).start()
    assert caught.value.reason == "ListenFailed"


@pytest.mark.parametrize(
    "listen", ["8080", "", "localhost", "localhost:http", ":99999", "http://x:1", "a b:1", "::1:80", ":-1"]
)
def test_i5_what_is_no_address_is_a_wrong_setting(listen: str) -> None:
    with pytest.raises(ValueError, match="write HOST:PORT"):
        settings_sections.Http(listen=listen)
    with pytest.raises(errors.ControllerError) as caught:
        server.Server(listen, web.served()).start()
    assert caught.value.reason == "SettingsInvalid"


def test_i5_ipv6_and_names() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python knows no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with web.site(listen="[::1]:0") as site:
        assert site.address.startswith("[::1]:")
        assert site.ask("/healthz").status == 200
    with web.site(listen="localhost:0") as site:
        assert site.ask("/healthz").status == 200


def test_i5_the_same_port_again_right_after_the_end() -> None:
    """As when settings are reloaded: connections of before do not hold the port."""
    with web.site() as site:
        lingering = site.connect()
        site.ask("/healthz")
        listen = site.address
    with contextlib.closing(lingering), web.site(listen=listen) as again:
        assert again.ask("/healthz").status == 200


def test_settings_without_an_address_start_nothing() -> None:
    found = web.served()
    configured = settings_sections.Http.model_validate({"webhook_secret": "short"})
    before = threading.active_count()
    with server.serving(configured, found.targets, found.metrics) as address:
        assert address == ""
        assert threading.active_count() == before


def test_settings_reach_the_server() -> None:
    found = web.served()
    configured = settings_sections.Http.model_validate(
        {"listen": ":0", "webhook_secret": deliveries.SECRET, "max_body_bytes": 10, "rate_per_minute": 1}
    )
    with server.serving(configured, found.targets, found.metrics) as address:
        site = web.Site(found, address=address)
        assert site.deliver().status == 413
        assert site.deliver(b"{}").status == 202
        assert site.ask("/v1/status").json["name"] == "default"
        with site.runs.begun(runs.Cause.INTERVAL):
            assert site.deliver(b"{}").status == 429


# The end


def test_the_end_does_not_wait_for_anybody() -> None:
    """Somebody waits for a run, somebody sends slowly, somebody is idle: the server ends, its thread too, and who waits
    for a run is told how far it is."""
    with web.site() as site:
        url = site.deliver().json["status_url"]
        waiting, slow, idle = site.connect(), site.connect(), site.connect()
        waiting.sendall(f"GET {url}?wait=true HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        slow.sendall(b"POST /v1/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        site.ask("/healthz")
    daemons.until(lambda: not [thread.name for thread in threading.enumerate() if thread.name == "http"])
    with contextlib.closing(waiting):
        assert b'"state": "waiting"' in web.read_all(waiting)
    for sock in (slow, idle):
        with contextlib.closing(sock):
            assert not web.read_all(sock).startswith(b"HTTP/1.1 2")
    with pytest.raises(ConnectionRefusedError):
        site.connect()


def test_stopping_twice_or_before_the_start_is_nothing() -> None:
    never = server.Server("127.0.0.1:0", web.served())
    never.stop()
    once = server.Server("127.0.0.1:0", web.served())
    once.start()
    once.stop()
    once.stop()


def test_the_page_describes_every_answer(site: web.Site) -> None:
    """docs/http.md: keys of each schema, and every path, no more and no less."""
    text = (command.ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    wanted = {
        schema: set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", keys)))
        for schema, keys in re.findall(r"^\| `([a-z]+)/v1` \| (.*) \|$", text, re.MULTILINE)
    }
    delivered = site.deliver()
    answers_ = [delivered, *map(site.ask, ("/healthz", "/readyz", "/nowhere", delivered.json["status_url"]))]
    found = {answer.json["schema"].split("/")[1]: set(answer.json) - {"schema"} for answer in answers_}
    assert found == wanted
    paths = re.findall(r"^\| `(GET|POST) (/[\w/]+)` \|", text, re.MULTILINE)
    assert len(paths) == 8
    for method, path in paths:
        other = "POST" if method == "GET" else "GET"
        assert site.ask(path, other).status == 405, path
