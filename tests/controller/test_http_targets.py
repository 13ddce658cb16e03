"""The HTTP server of a controller of several targets (faults.md C2, I1, I4, I6): each is told and asked for itself."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from controller import errors, pulse, runs
from controller.http import bounds, shown
from tests.fakes import command, deliveries, loops, web


@contextmanager
def site(*targets: shown.Shown, limits: bounds.Limits = bounds.USUAL) -> Iterator[web.Site]:
    """A server of these targets."""
    with web.site(limits, targets=lambda: targets) as found:
        yield found


def test_i4_health_names_the_one_that_hangs() -> None:
    machine = loops.FakeClock()
    beats = {name: pulse.Pulse(machine) for name in ("one", "two", "three")}  # type: ignore[arg-type]  # a clock by its methods
    with site(*(web.target(name, beats=one) for name, one in beats.items())) as found:
        assert found.ask("/healthz").status == 200
        machine.sleep(100.0)
        for name in ("one", "three"):
            beats[name].enter("waiting", 30.0)
        told = found.ask("/healthz")
        assert (told.status, told.json["alive"], told.json["hung"]) == (503, False, ["two"])
        assert [(one["name"], one["alive"], one["step"]) for one in told.json["targets"]] == [
            ("one", True, "waiting"),
            ("two", False, "starting"),
            ("three", True, "waiting"),
        ]
        assert set(found.ask("/healthz", headers={"Host": "evil.example"}).json) == {"schema", "alive"}, "I3"
        beats["two"].enter("waiting", 30.0)
        beats["three"].end()
        assert found.ask("/healthz").json["hung"] == ["three"]


def test_i4_ready_when_all_are() -> None:
    one, two = web.target("one"), web.target("two")
    with site(one, two) as found:
        one.beats.good()
        told = found.ask("/readyz")
        assert (told.status, told.json["ready"]) == (503, False)
        assert [(one["name"], one["ready"]) for one in told.json["targets"]] == [("one", True), ("two", False)]
        two.beats.good()
        assert found.ask("/readyz").status == 200


def test_i4_nobody_is_ready_before_the_first_has_begun() -> None:
    with site() as found:
        assert (found.ask("/healthz").status, found.ask("/readyz").status) == (200, 503)


def _fails() -> dict[str, Any]:
    raise errors.ControllerError("StateUnreadable", "/srv/two/state.db: no access")


def test_c2_a_status_that_cannot_be_had_hides_no_other() -> None:
    with site(web.target("one"), web.target("two", status=_fails, places={"/srv/two": "STATE_DIR"})) as found:
        told = found.ask("/v1/status")
        assert (told.status, told.json["schema"]) == (200, "artifact-controller/status-set/v1")
        assert [(row["target"], row["exit_code"]) for row in told.json["targets"]] == [("one", 0), ("two", 1)]
        first, second = (row["result"] for row in told.json["targets"])
        assert first == {"schema": "artifact-controller/status/v1", "name": "one"}
        assert second["schema"] == "artifact-controller/error/v1"
        assert (second["reason"], second["message"]) == ("StateUnreadable", "STATE_DIR/state.db: no access")
        assert found.ask("/v1/status/one").json == {"schema": "artifact-controller/status/v1", "name": "one"}
        assert found.ask("/v1/status/two").status == 503
        assert found.ask("/v1/status/three").status == 404
    with site(web.target("one", status=_fails), web.target("two", status=_fails)) as found:
        assert found.ask("/v1/status").status == 503


def test_c2_a_status_that_hangs_holds_up_no_other() -> None:
    begun, ending = threading.Event(), threading.Event()

    def hangs() -> dict[str, Any]:
        begun.set()
        ending.wait(web.PATIENCE_S)
        return {"name": "two"}

    with site(web.target("one"), web.target("two", status=hangs)) as found:
        waiting = threading.Thread(target=lambda: found.ask("/v1/status"))
        waiting.start()
        assert begun.wait(web.PATIENCE_S)
        assert found.ask("/v1/status/one").status == 200
        ending.set()
        waiting.join()


def test_i6_a_delivery_asks_all_or_one() -> None:
    one, two = web.target("one"), web.target("two")
    with site(one, two) as found:
        told = found.ask("/v1/webhook/two", "POST", deliveries.BODY, deliveries.github(deliveries.BODY))
        assert (told.status, set(told.json)) == (202, {"schema", "result", "run", "status_url"})
        assert told.headers["location"] == told.json["status_url"]
        assert (one.asked.busy, two.asked.busy) == (False, True)
        told = found.deliver()
        assert told.status == 202
        assert [run["target"] for run in told.json["runs"]] == ["one", "two"]
        for run in told.json["runs"]:
            answer = found.ask(run["status_url"]).json
            assert (answer["id"], answer["target"], answer["state"]) == (run["run"], run["target"], "waiting")
        assert told.json["runs"][1]["run"] == two.asked.request(runs.Cause.SIGNAL), "all that come before it begins"


@pytest.mark.parametrize("path", ["/v1/webhook/one", "/v1/webhook/nobody"])
def test_i1_without_a_signature_nobody_learns_which_targets_there_are(path: str) -> None:
    with site(web.target("one"), web.target("two")) as found:
        assert found.ask(path, "POST", b"{}").json["error"] == "Unsigned"
        assert found.ask(path, "POST", b"{}", deliveries.github(b"other")).json["error"] == "Refused"


def test_c2_who_floods_one_target_leaves_the_others_their_looks() -> None:
    one, two = web.target("one"), web.target("two")
    limits = bounds.Limits(rate_per_minute=1)
    with site(one, two, limits=limits) as found:
        codes = []
        for path in ("/v1/webhook/one", "/v1/webhook/one", "/v1/webhook/two", "/v1/webhook"):
            told = found.ask(path, "POST", b"{}", deliveries.github(b"{}"))
            codes.append(told.status)
            for target in (one, two):
                with target.asked.begun(runs.Cause.INTERVAL):
                    """Nobody waits any more."""
        assert codes == [202, 429, 202, 202]


def test_the_page_describes_the_answers_about_several() -> None:
    """docs/http.md: the keys of each, no more and no less."""
    text = (command.ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(/[\w/]+)` \| `[\w-]+/v1`: (.*) \|$", text, re.MULTILINE))
    with site(web.target("one"), web.target("two")) as found:
        answers = {path: found.ask(path).json for path in ("/healthz", "/readyz", "/v1/status")}
        answers["/v1/webhook"] = found.deliver().json
    assert set(rows) == set(answers)
    for path, told in answers.items():
        named = set(re.findall(r"`(\w+)`", rows[path]))
        assert set(told) - {"schema"} <= named, path
