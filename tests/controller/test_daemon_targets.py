"""Several targets in one controller that stays, as a real process on real folders (faults.md C2, L2, P16): each converges
by itself, whatever befalls another.
"""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller import failpoints
from tests.fakes import command, daemons, deliveries, docker_stub, several, silent

pytestmark = pytest.mark.process

OLD, NEW = "timeout: 10", "timeout: 25"
LISTEN = {"listen": "127.0.0.1:0", "webhook_secret": deliveries.SECRET}


def of(target: str, reason: str = "") -> Callable[[daemons.Line], bool]:
    """A pass of this target."""
    return lambda line: line["event"] == "pass" and line["target"] == target and reason in ("", line["reason"])


def edit(shop: command.Shop, old: str = OLD, new: str = NEW) -> None:
    """Change one function."""
    shop.edit("catalog", "functions.yml", old, new)


def shows(shop: command.Shop, text: str) -> bool:
    """Whether consumers see this."""
    return text.encode() in (shop.documents()["functions.yml"] or b"")


def ask(url: str, body: bytes | None = None) -> tuple[int, Any]:
    """The status and the JSON of an answer, to a genuine delivery where there is a body."""
    headers = deliveries.github(body) if body is not None else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:  # noqa: S310 - an address of our own
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def events(daemon: daemons.Daemon, since: int = 0) -> list[tuple[str, str]]:
    """Target and reason of each pass."""
    return [(line["target"], line["reason"]) for line in daemon.lines[since:] if line["event"] == "pass"]


# C2: whatever befalls one


@contextmanager
def _broken(stacks: several.Stacks) -> Iterator[str]:
    edit(stacks["bad"], OLD, "timeout: [")
    yield "ArtifactInvalid"


@contextmanager
def _gone(stacks: several.Stacks) -> Iterator[str]:
    os.rename(stacks["bad"].source, stacks.folder / "elsewhere")
    yield "SourceMissing"


@contextmanager
def _silent(stacks: several.Stacks) -> Iterator[str]:
    """A remote that takes connections and never says a word: the look hangs for as long as its deadline is."""
    with silent.listening() as remote:
        stacks.set("bad", source=remote.source, state_dir=str(stacks.folder / "state"), deadlines={"git": "1h"})
        stacks.write()
        yield ""


@contextmanager
def _locked(stacks: several.Stacks) -> Iterator[str]:
    """Another controller holds the lock on CONFIG_DIR."""
    stacks["bad"].config.mkdir()
    held = {failpoints.VARIABLE: f"{failpoints.Step.REMEMBERED}:sleep"}
    with daemons.running(*stacks["bad"].target, environment=held) as other:
        daemons.until(lambda: other.process.poll() is None and stacks["bad"].reconcile("--wait", "0s").code == 75)
        yield ""


@contextmanager
def _stuck(stacks: several.Stacks) -> Iterator[str]:
    """An engine that answers nothing: the look at the stack hangs for as long as its deadline is."""
    with pytest.MonkeyPatch.context() as patched:
        docker_stub.DockerStub(stacks.folder / "stub").first_on(patched).does("", "exec sleep 3600")
        (stacks.folder / "compose.yml").write_text("services: {}\n")
        stack = {"compose_files": [str(stacks.folder / "compose.yml")]}
        stacks.set("bad", stack=stack, deadlines={"probe": "1h"})
        stacks.write()
        yield ""


@pytest.mark.parametrize("poison", [_broken, _gone, _silent, _locked, _stuck], ids=lambda one: one.__name__)
def test_c2_one_that_is_poisoned_or_hangs_does_not_delay_the_others(
    tmp_path: Path, poison: Callable[[several.Stacks], Any]
) -> None:
    stacks = several.Stacks(tmp_path, "bad", "good", lock_wait="1h")
    with poison(stacks) as reason, daemons.running("--config", stacks.file) as daemon:
        daemon.await_line(of("good", "FirstPublish"))
        if reason:
            assert daemon.await_line(of("bad"))["reason"] == reason
        edit(stacks["good"])
        told = daemon.await_line(of("good", "SourceChanged"))
        assert told["causes"] == ["files"]
        assert shows(stacks["good"], NEW)
        assert {found for found in events(daemon) if found[0] == "bad"} <= {("bad", reason)}
        code = daemon.end()
    assert code in ((0, 143) if reason else (143,)), "what hung was cut short"


def test_c2_the_poison_is_cured_without_waiting_for_the_back_off(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "bad", "good", retry={"first": "1h", "longest": "1h"})
    edit(stacks["bad"], OLD, "timeout: [")
    with daemons.running("--config", stacks.file) as daemon:
        daemon.await_line(of("bad", "ArtifactInvalid"))
        daemon.await_line(of("good", "FirstPublish"))
        edit(stacks["bad"], "timeout: [", NEW)
        daemon.await_line(of("bad", "FirstPublish"))
        assert shows(stacks["bad"], NEW)


def test_c2_a_bug_in_the_passes_of_one_is_its_own(tmp_path: Path) -> None:
    """It is hit only by the one that has something to publish."""
    stacks = several.Stacks(tmp_path, "bad", "good", interval="100ms")
    stacks["good"].published()
    environment = {failpoints.VARIABLE: f"{failpoints.Step.ATTEMPTED}:raise"}
    with daemons.running("--config", stacks.file, environment=environment) as daemon:
        told = daemon.await_line(of("bad", "Bug"))
        assert told["level"] == "error"
        trace = daemon.await_line(lambda line: line["event"] == "bug")
        assert trace["target"] == "bad"
        seen = len(daemon.lines)
        for _ in range(3):
            seen = daemon.lines.index(daemon.await_line(of("good", "InSync"), since=seen), seen) + 1
        assert daemon.ends_well()


def test_c2_what_is_suspended_stays_so_alone(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "one", "two")
    for name in ("one", "two"):
        stacks[name].published()
    assert stacks["one"].about("suspend", "--reason", "maintenance").code == 0
    with daemons.running("--config", stacks.file) as daemon:
        daemon.await_line(of("one", "Suspended"))
        for name in ("one", "two"):
            edit(stacks[name])
        daemon.await_line(of("two", "SourceChanged"))
        assert not shows(stacks["one"], NEW)
        assert daemon.ends_well()
    assert stacks["one"].about("resume").code == 0
    with daemons.running("--config", stacks.file) as daemon:
        daemon.await_line(of("one", "SourceChanged"))


# after


def test_one_that_is_after_another_waits_for_it(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "front", "back")
    stacks.set("front", after=["back"])
    stacks.write()
    with daemons.running("--config", stacks.file) as daemon:
        daemon.await_line(of("front"))
        assert [name for name, reason in events(daemon) if reason == "FirstPublish"] == ["back", "front"]


def test_one_that_is_after_a_failure_is_not_run_and_woken_when_that_is_over(tmp_path: Path) -> None:
    """Nobody's interval or back-off is over by then."""
    stacks = several.Stacks(tmp_path, "front", "back", "end", retry={"first": "1h", "longest": "1h"})
    stacks.set("front", after=["back"])
    stacks.set("end", after=["front"])
    stacks.write()
    edit(stacks["back"], OLD, "timeout: [")
    with daemons.running("--config", stacks.file) as daemon:
        told = daemon.await_line(of("front"))
        assert (told["reason"], told["failed"]) == ("AfterFailed", True)
        assert "back" in told["message"]
        daemon.await_line(of("end", "AfterFailed"))
        assert stacks["front"].documents()["functions.yml"] is None
        edit(stacks["back"], "timeout: [", NEW)
        daemon.await_line(of("end", "FirstPublish"))
        published = [name for name, reason in events(daemon) if reason == "FirstPublish"]
        assert published == ["back", "front", "end"]
        assert "after" in daemon.await_line(of("front", "FirstPublish"))["causes"]
        assert daemon.ends_well()


def test_c2_one_that_is_not_run_shows_it_until_it_is(tmp_path: Path) -> None:
    """C2: its record says so like after any failure, and nothing else of it changes. Of somebody else's CONFIG_DIR it
    writes nothing."""
    stacks = several.Stacks(tmp_path, "back", "front", "robbed", retry={"first": "1h", "longest": "1h"})
    for name in ("front", "robbed"):
        stacks.set(name, after=["back"], state_dir=str(tmp_path / f"{name}-state"))
    stacks.write()
    assert command.run("reconcile", "--once", "--config", stacks.file).code == 0
    thief = ("--source", stacks["back"].source, "--config-dir", stacks["robbed"].config, "--take-over")
    assert command.run("reconcile", "--once", *thief, "--state-dir", tmp_path / "robbed-state").code == 0
    before = command.snapshot(tmp_path / "robbed-state"), stacks["front"].documents()
    edit(stacks["back"], OLD, "timeout: [")

    def conditions() -> dict[str, tuple[str, str]]:
        shown = command.run("status", "--config", stacks.file, "--target", "front", "--output", "json").json
        return {one["type"]: (one["status"], one["reason"]) for one in shown["conditions"]}

    with daemons.running("--config", stacks.file) as daemon:
        for name in ("front", "robbed"):
            daemon.await_line(of(name, "AfterFailed"))
        told = conditions()
        assert told["Ready"] == ("False", "AfterFailed")
        assert told["SourceReady"] == ("True", "Read"), "it was not looked at"
        (row, *_) = command.run("history", "--config", stacks.file, "--target", "front", "--output", "json").json[
            "rows"
        ]
        assert (row["reason"], row["message"]) == ("AfterFailed", "not converged: the last pass of back failed")
        assert (command.snapshot(tmp_path / "robbed-state"), stacks["front"].documents()) == before
        edit(stacks["back"], "timeout: [", OLD)
        daemon.await_line(lambda line: of("front")(line) and not line["failed"])
        assert conditions()["Ready"][0] == "True"
        assert daemon.end() == 0


def test_one_that_waits_for_another_ends_at_once(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "front", "back")
    stacks.set("front", after=["back"])
    stacks.write()
    with _silent_back(stacks), daemons.running("--config", stacks.file) as daemon:
        daemon.await_line(lambda line: line["event"] == "ready")
        assert daemon.end() in (0, 143)
        assert events(daemon) == []


@contextmanager
def _silent_back(stacks: several.Stacks) -> Iterator[None]:
    with silent.listening() as remote:
        stacks.set("back", source=remote.source, state_dir=str(stacks.folder / "state"), deadlines={"git": "1h"})
        stacks.write()
        yield


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_l2_an_end_is_the_end_of_all(tmp_path: Path, number: int) -> None:
    stacks = several.Stacks(tmp_path, "one", "two", "three", rescan="1h")
    stacks.unwatched()
    with daemons.running("--config", stacks.file) as daemon:
        for name in stacks.shops:
            daemon.await_line(of(name, "FirstPublish"))
        assert daemon.end(number) == 0


def test_l2_the_publish_of_any_is_finished(tmp_path: Path) -> None:
    """SIGTERM in the middle of it; the other one looks all the time."""
    stacks = several.Stacks(tmp_path, "one", "two", interval="100ms")
    stacks["two"].published()
    edit(stacks["one"])
    environment = {failpoints.VARIABLE: "switch:term"}
    with daemons.running("--config", stacks.file, environment=environment) as daemon:
        assert daemon.wait() in (0, 143)
    assert shows(stacks["one"], NEW) or stacks["one"].documents()["functions.yml"] is None
    with daemons.running("--config", stacks.file) as daemon:
        daemon.await_line(of("one"))
        assert shows(stacks["one"], NEW)


def test_l2_usr1_asks_all(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "one", "two")
    with daemons.running("--config", stacks.file) as daemon:
        for name in stacks.shops:
            daemon.await_line(of(name, "FirstPublish"))
        seen = len(daemon.lines)
        daemon.signal(signal.SIGUSR1)
        for name in stacks.shops:
            daemon.await_line(lambda line, name=name: of(name)(line) and "signal" in line["causes"], since=seen)  # type: ignore[misc]  # a loop's value


def test_l2_hup_adds_removes_and_changes_targets_and_leaves_the_others(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "stays", "goes", "changes", http=LISTEN)
    with daemons.running("--config", stacks.file) as daemon:
        for name in stacks.shops:
            daemon.await_line(of(name, "FirstPublish"))
        address, seen = daemon.address, len(daemon.lines)
        runs = ask(f"{address}/v1/webhook", b"{}")[1]["runs"]
        gone = stacks.shops["goes"]
        del stacks.settings["goes"]
        stacks.add("comes")
        stacks.set("changes", interval="100ms")
        stacks.write()
        daemon.signal(signal.SIGHUP)
        daemon.await_line(of("comes", "FirstPublish"), since=seen)
        daemon.await_line(lambda line: of("changes")(line) and line["causes"] == ["interval"], since=seen)
        again = daemon.await_line(lambda line: line["event"] == "ready", since=seen)
        assert again["targets"] == ["stays", "changes", "comes"]
        assert again["http"] == address.removeprefix("http://"), "nobody was sent away"
        told = ask(f"{address}/healthz")[1]
        assert [one["name"] for one in told["targets"]] == ["stays", "changes", "comes"]
        assert ask(f"{address}{runs[0]['status_url']}?wait=true")[1]["target"] == "stays"
        assert ask(f"{address}{runs[1]['status_url']}")[0] == 404, "it went with its target"
        seen = len(daemon.lines)
        edit(gone)
        edit(stacks["stays"])
        daemon.await_line(of("stays", "SourceChanged"), since=seen)
        assert shows(gone, OLD)
        assert daemon.ends_well()


def test_l2_hup_with_wrong_settings_of_one_moves_none(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "one", "two")
    with daemons.running("--config", stacks.file) as daemon:
        for name in stacks.shops:
            daemon.await_line(of(name, "FirstPublish"))
        stacks.set("two", interval="soon")
        stacks.write()
        daemon.signal(signal.SIGHUP)
        told = daemon.await_line(lambda line: line["event"] == "settings not reloaded")
        assert "interval" in json.dumps(told["at"])
        for name in stacks.shops:
            edit(stacks[name])
            daemon.await_line(of(name, "SourceChanged"))


def test_c2_one_that_hangs_does_not_hold_up_new_settings_of_others(tmp_path: Path) -> None:
    """The one that hangs changed too, and begins anew once it has ended; it is cut by nothing but its deadline."""
    stacks = several.Stacks(tmp_path, "good", "bad")
    with _silent(stacks), daemons.running("--config", stacks.file) as daemon:
        daemon.await_line(of("good", "FirstPublish"))
        stacks.set("bad", interval="2h")
        stacks.set("good", interval="100ms")
        stacks.write()
        daemon.signal(signal.SIGHUP)
        daemon.await_line(lambda line: of("good")(line) and line["causes"] == ["interval"])
        edit(stacks["good"])
        daemon.await_line(of("good", "SourceChanged"))
        assert daemon.end() == 143


# HTTP


def test_a_webhook_is_for_all_or_for_the_one_in_its_path(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "one", "two", http=LISTEN)
    stacks.unwatched()
    with daemons.running("--config", stacks.file) as daemon:
        for name in stacks.shops:
            daemon.await_line(of(name, "FirstPublish"))
        seen = len(daemon.lines)
        code, told = ask(f"{daemon.address}/v1/webhook/two", b"{}")
        assert (code, told["status_url"]) == (202, f"/v1/runs/{told['run']}")
        ended = ask(f"{daemon.address}{told['status_url']}?wait=true")[1]
        assert (ended["target"], ended["outcome"]["causes"]) == ("two", ["webhook"])
        assert "one" not in [name for name, _ in events(daemon, seen)]
        code, told = ask(f"{daemon.address}/v1/webhook", b"{}")
        assert (code, [one["target"] for one in told["runs"]]) == (202, ["one", "two"])
        for one in told["runs"]:
            assert ask(f"{daemon.address}{one['status_url']}?wait=true")[1]["target"] == one["target"]
        assert ask(f"{daemon.address}/v1/webhook/three", b"{}")[0] == 404
        code, told = ask(f"{daemon.address}/v1/status")
        assert [(one["target"], one["result"]["name"]) for one in told["targets"]] == [("one", "one"), ("two", "two")]
        assert ask(f"{daemon.address}/v1/status/two")[1]["name"] == "two"
        assert daemon.ends_well()
