"""The controller that stays, as a real process on a real folder (faults.md C4, C5, D1, L2, P11, P16, K2)."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from controller import failpoints
from tests.fakes import command, daemons, tools

pytestmark = pytest.mark.process


@pytest.fixture
def shop(tmp_path: Path) -> command.Shop:
    """The sample artifact and a CONFIG_DIR."""
    return command.Shop(tmp_path)


def _ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - an address of our own
        body = answer.read()
    return json.loads(body) if answer.headers["Content-Type"].startswith("application/json") else body.decode()


def test_a_change_in_the_folder_is_published_without_another_command(shop: command.Shop) -> None:
    with daemons.running(*shop.target, "--interval", "1h") as daemon:
        daemon.await_pass("FirstPublish")
        seen = len(daemon.lines)
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
        told = daemon.await_pass("SourceChanged", since=seen)
        assert b"timeout: 25" in (shop.documents()["functions.yml"] or b"")
        assert told["causes"] == ["files"]
        assert told["change_items"] == 1
        assert told["changed_to_published_s"] > 0
        assert {"fetch", "publish", "record"} <= set(told["phases"])
        assert daemon.ends_well()


def test_p10_without_events_the_rescan_finds_it(shop: command.Shop) -> None:
    settings = shop.folder / "controller.yml"
    settings.write_text("source: {directory: {path: artifacts, watch: false}}\nrescan: 100ms\ninterval: 1h\n")
    with daemons.running("--config", settings, "--config-dir", shop.config) as daemon:
        daemon.await_pass("FirstPublish")
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
        assert daemon.await_pass("SourceChanged")["causes"] == ["rescan"]


def test_p11_bad_content_and_its_fix(shop: command.Shop) -> None:
    """The old set stays live, the failure is told, and the fix does not wait for a back-off."""
    with daemons.running(*shop.target, "--interval", "1h") as daemon:
        daemon.await_pass("FirstPublish")
        before = shop.documents()
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: [")
        told = daemon.await_pass("ArtifactInvalid")
        assert told["level"] == "error"
        assert shop.documents() == before
        seen = len(daemon.lines)
        shop.edit("catalog", "functions.yml", "timeout: [", "timeout: 25")
        daemon.await_pass("SourceChanged", since=seen)


def test_a_hand_edit_is_healed_and_told_as_drift(shop: command.Shop) -> None:
    with daemons.running(*shop.target, "--interval", "200ms", "--listen", "127.0.0.1:0") as daemon:
        daemon.await_pass("FirstPublish")
        before = shop.documents()
        command.replace_text(shop.config / "functions.yml", "timeout: 10", "timeout: 99")
        daemon.await_pass("Drifted")
        assert shop.documents() == before
        assert "drift" in _ask(f"{daemon.address}/metrics")


def test_idle_passes_write_nothing(shop: command.Shop) -> None:
    with daemons.running(*shop.target, "--interval", "100ms") as daemon:
        daemon.await_line(lambda line: line.get("reason") == "InSync")
        before = command.snapshot(shop.config)
        daemons.until(lambda: len(daemon.passes) > 15)
        assert command.snapshot(shop.config) == before


def test_usr1_looks_now(shop: command.Shop) -> None:
    with daemons.running(*shop.target, "--interval", "1h") as daemon:
        daemon.await_pass("FirstPublish")
        seen = len(daemon.lines)
        daemon.signal(signal.SIGUSR1)
        daemon.await_line(lambda line: line.get("reason") == "InSync" and "signal" in line["causes"], since=seen)


def test_hup_reads_the_settings_again_and_keeps_the_old_on_error(shop: command.Shop) -> None:
    settings = shop.folder / "controller.yml"
    settings.write_text("source: {directory: {path: artifacts}}\ninterval: 1h\n")
    with daemons.running("--config", settings, "--config-dir", shop.config) as daemon:
        daemon.await_pass("FirstPublish")
        settings.write_text("intervall: 1h\n")
        daemon.signal(signal.SIGHUP)
        told = daemon.await_line(lambda line: line["event"] == "settings not reloaded")
        assert "interval" in json.dumps(told)
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
        daemon.await_pass("SourceChanged")
        settings.write_text("source: {directory: {path: artifacts}}\ninterval: 1h\nname: other\n")
        seen = len(daemon.lines)
        daemon.signal(signal.SIGHUP)
        told = daemon.await_line(lambda line: line["event"] == "pass" and line["target"] == "other", since=seen)
        assert told["reason"] == "InSync"
        assert daemon.ends_well()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_p16_between_passes_the_end_is_0(shop: command.Shop, number: int) -> None:
    """Nothing but the end wakes it."""
    settings = shop.folder / "controller.yml"
    settings.write_text("source: {directory: {path: artifacts, watch: false}}\nrescan: 1h\ninterval: 1h\n")
    with daemons.running("--config", settings, "--config-dir", shop.config) as daemon:
        daemon.await_pass("FirstPublish")
        assert daemon.end(number) == 0


def test_p16_suspension_survives_a_restart_and_resume_is_noticed(shop: command.Shop) -> None:
    with daemons.running(*shop.target, "--interval", "100ms") as daemon:
        daemon.await_pass("FirstPublish")
        assert shop.about("suspend", "--reason", "maintenance").code == 0
        daemon.await_pass("Suspended")
        assert daemon.ends_well()
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
        seen = len(daemon.lines)
        daemon.begin()
        assert "maintenance" in daemon.await_pass("Suspended", since=seen)["message"]
        assert shop.about("resume").code == 0
        daemon.await_pass("SourceChanged", since=seen)


def test_status_health_and_metrics_are_served(shop: command.Shop) -> None:
    with daemons.running(*shop.target, "--listen", "127.0.0.1:0") as daemon:
        daemon.await_pass("FirstPublish")
        assert _ask(f"{daemon.address}/v1/status")["applied_revision"].startswith("sha256:")
        assert _ask(f"{daemon.address}/healthz")
        assert _ask(f"{daemon.address}/readyz")
        assert "artifact_controller_" in _ask(f"{daemon.address}/metrics")


def test_the_service_manager_is_told(shop: command.Shop) -> None:
    """sd_notify: ready, the watchdog, stopping."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(shop.folder / "notify"))
        manager.settimeout(daemons.PATIENCE_S)
        environment = {"NOTIFY_SOCKET": str(shop.folder / "notify"), "WATCHDOG_USEC": "2000000"}
        with daemons.running(*shop.target, environment=environment) as daemon:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            daemon.end()
            told = b""
            while told != b"STOPPING=1":
                told = manager.recv(100)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--plan", "plan.json"),
        ("--detailed-exitcode",),
        ("--output", "json"),
        ("--git", "https://localhost/x", "--ref", "main", "--source", "y"),
    ],
    ids=lambda wrong: wrong[0],
)
def test_what_makes_no_sense_for_a_process_that_stays_is_refused(shop: command.Shop, wrong: tuple[str, ...]) -> None:
    ended = command.child("reconcile", "--config-dir", shop.config, "--source", shop.source, *wrong)
    assert ended.code in (64, 78), ended.text
    assert not shop.config.exists()


_REACHED = [
    step
    for step in failpoints.Step
    if step.name
    in {
        "LOCKED",
        "REMEMBERED",
        "OBSERVED",
        "FETCHED",
        "PROBED",
        "PARSED",
        "PLANNED",
        "ATTEMPTED",
        "PUBLISHED",
        "RECORDED",
    }
]


@pytest.mark.parametrize("step", _REACHED, ids=str)
def test_l2_a_signal_at_any_step_leaves_one_complete_generation(shop: command.Shop, step: failpoints.Step) -> None:
    """A second signal changes nothing; the next start converges without a person."""
    shop.published()
    before = shop.documents()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    with daemons.running(*shop.target, environment={failpoints.VARIABLE: f"{step}:term"}) as daemon:
        code = daemon.wait()
    after = shop.documents()
    assert code in (0, 143)
    assert (after == before) is (b"timeout: 25" not in (after["functions.yml"] or b""))
    assert code == 143 or after != before, "cut short says so"
    with daemons.running(*shop.target) as daemon:
        daemon.await_pass()
        assert b"timeout: 25" in (shop.documents()["functions.yml"] or b"")
        daemon.signal(signal.SIGTERM)
        assert daemon.ends_well()


def test_l3_stopped_for_a_while_it_looks_again_before_it_writes(shop: command.Shop) -> None:
    """As after a suspended virtual machine: meanwhile another controller has published."""
    with daemons.running(*shop.target, "--interval", "1h") as daemon:
        daemon.await_pass("FirstPublish")
        daemons.until(lambda: daemon.is_stopped_between_passes(shop))
        shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
        assert shop.reconcile().code == 0
        published = command.snapshot(shop.config, besides=(".controller",))
        seen = len(daemon.lines)
        daemon.signal(signal.SIGCONT)
        daemon.signal(signal.SIGUSR1)
        daemon.await_pass("InSync", since=seen)
        assert command.snapshot(shop.config, besides=(".controller",)) == published


def test_l2_as_the_first_process_of_a_container_it_ends_and_leaves_nobody(shop: command.Shop) -> None:
    """PID 1 gets no default actions from the kernel, and inherits what others leave."""
    tools.require("unshare")
    words = command.line("reconcile", *shop.target)
    inner = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *words]
    process = subprocess.Popen(
        inner, env=command.child_environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                if b"FirstPublish" in line:
                    break
            child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
            os.kill(int(child[0]), signal.SIGTERM)
            assert process.wait(timeout=daemons.PATIENCE_S) in (0, 143), "143: a look was cut"
    finally:
        process.kill()
        process.wait()


def test_i4_readiness_ends_soon_after_everything_fails(shop: command.Shop) -> None:
    """A few intervals, and not the longest that a build could take."""
    with daemons.running(*shop.target, "--interval", "200ms", "--listen", "127.0.0.1:0") as daemon:
        daemon.await_pass("FirstPublish")
        address = f"{daemon.address}/readyz"
        ready = _ask(address)
        assert ready["ready"]
        assert ready["limit_seconds"] < 20
        os.rename(shop.source, shop.folder / "away")
        daemons.until(lambda: _answers(address) == 503)
        os.rename(shop.folder / "away", shop.source)
        daemons.until(lambda: _answers(address) == 200)


def _answers(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - an address of our own
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
