"""`reconcile --once`, `diff`, `suspend` and `resume` of several targets side by side: none waits for one that hangs, what is printed has one
order whoever ends first, and a signal ends them all (faults.md C2, L2, P16)."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller import cancellation, errors, failpoints, output, patience, progress, reconciler, settings, signals
from controller.commands import several as commands
from controller.commands import steps
from tests.fakes import command, daemons, git_server, jobs, several, silent

OLD, NEW = "timeout: 10", "timeout: 25"


# What hangs


@pytest.fixture
def remote() -> Iterator[silent.Silent]:
    with silent.listening() as made:
        yield made


def hanging(folder: Path, remote: silent.Silent, *names: str) -> several.Stacks:
    """Targets by name, the first of which, `slow`, follows the remote that never answers."""
    stacks = several.Stacks(folder, "slow", *names, deadlines={"git": "1h"}, lock_wait="1h")
    stacks.set("slow", source=remote.source, state_dir=str(folder / "state"))
    stacks.write()
    return stacks


class Started:
    """A command that runs. What it prints is in files, so that nobody has to read it meanwhile."""

    def __init__(self, stacks: several.Stacks, *line: str | Path, environment: dict[str, str] | None = None) -> None:
        self.out, self.err = stacks.folder / "out", stacks.folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command.line(*line, "--config", stacks.file),
                env=command.child_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def runs_on(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def ended(self) -> command.Ended:
        """Wait for its end."""
        code = self.process.wait(timeout=daemons.PATIENCE_S)
        return command.Ended(128 - code if code < 0 else code, self.out.read_text(), self.err.read_text())


@contextlib.contextmanager
def started(stacks: several.Stacks, *line: str | Path, **more: Any) -> Iterator[Started]:
    """Gone after the block, whatever happens."""
    made = Started(stacks, *line, **more)
    try:
        yield made
    finally:
        if made.runs_on:
            made.process.kill()
        made.process.wait()


def shows(shop: command.Shop, text: str) -> bool:
    """Whether consumers see this."""
    return text.encode() in (shop.documents()["functions.yml"] or b"")


def codes(ended: command.Ended) -> dict[str, int]:
    """Of each target, in the order in which they are told."""
    return {row["target"]: row["exit_code"] for row in ended.json["targets"]}


@pytest.mark.process
def test_c2_one_that_hangs_delays_no_other(tmp_path: Path, remote: silent.Silent) -> None:
    """Its remote is asked and never answers: another is published meanwhile, and what is after that one too."""
    stacks = hanging(tmp_path, remote, "front", "back")
    stacks.set("front", after=["back"])
    stacks.write()
    with started(stacks, "reconcile", "--once", "--output", "json") as running:
        remote.await_question()
        for name in ("back", "front"):
            daemons.until(lambda name=name: shows(stacks[name], OLD))  # type: ignore[misc]  # a loop's value
        assert running.runs_on, "the first one still waits"
        remote.close()
        ended = running.ended()
    assert (ended.code, codes(ended)) == (69, {"slow": 69, "back": 0, "front": 0})


@pytest.mark.process
def test_c2_a_busy_lock_of_one_delays_no_other(tmp_path: Path) -> None:
    stacks = several.Stacks(tmp_path, "busy", "good", lock_wait="1h")
    stacks["busy"].config.mkdir()
    with contextlib.ExitStack() as held:
        held.enter_context(command.locked(stacks["busy"].config))
        with started(stacks, "reconcile", "--once") as running:
            daemons.until(lambda: shows(stacks["good"], OLD))
            assert running.runs_on
            held.close()
            assert running.ended().code == 0
    assert shows(stacks["busy"], OLD)


@pytest.mark.process
@pytest.mark.parametrize("words", [("suspend", "--reason", "not now"), ("resume",)], ids=lambda words: words[0])
def test_c2_a_busy_lock_of_one_delays_nobody_who_steers(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Whoever says "not now" to all must not wait for the pass of one."""
    stacks = several.Stacks(tmp_path, "busy", "good", lock_wait="1h")
    assert several_once(stacks).code == 0
    wanted = words[0] == "suspend"
    if not wanted:
        assert command.run("suspend", "--reason", "not now", "--config", stacks.file).code == 0

    def suspended(name: str) -> bool:
        shown = command.run("status", "--target", name, "--output", "json", "--config", stacks.file)
        return shown.json["suspension"] is not None

    with contextlib.ExitStack() as held:
        held.enter_context(command.locked(stacks["busy"].config))
        with started(stacks, *words) as running:
            daemons.until(lambda: suspended("good") is wanted)
            assert running.runs_on
            assert suspended("busy") is not wanted
            held.close()
            ended = running.ended()
    assert ended.code == 0, ended.text
    assert suspended("busy") is wanted
    assert [line for line in ended.out.splitlines() if line.startswith("target ")] == ["target busy", "target good"]


def several_once(stacks: several.Stacks, *more: str) -> command.Ended:
    """`reconcile --once` of all, in this process."""
    return command.run("reconcile", "--once", *more, "--config", stacks.file)


@pytest.mark.process
def test_c2_one_that_hangs_delays_no_comparison(tmp_path: Path, remote: silent.Silent) -> None:
    """The other's remote is asked while the first one waits. Nobody waits to be compared, `after` or not."""
    stacks = hanging(tmp_path, remote, "good")
    stacks.set("good", after=["slow"])
    with git_server.published(tmp_path / "origin", command.SAMPLE) as (server, _):
        state = str(tmp_path / "state-of-good")
        stacks.set("good", source={"git": {"url": server.url("shop.git")}}, state_dir=state)
        stacks.write()
        with started(stacks, "diff", "--output", "json") as running:
            remote.await_question()
            daemons.until(lambda: server.requests)
            assert running.runs_on, "the first one still waits"
            remote.close()
            ended = running.ended()
    assert (ended.code, codes(ended)) == (69, {"slow": 69, "good": 0})


@pytest.mark.process
def test_targets_of_one_source_ask_once(tmp_path: Path) -> None:
    """Side by side as one alone: whoever comes second waits for the answer of the first."""
    with git_server.published(tmp_path / "origin", command.SAMPLE) as (server, _):
        asked = []
        for names in (("alone",), ("one", "two", "three")):
            folder = tmp_path / "-".join(names)
            (folder / "state").mkdir(parents=True)
            stacks = several.Stacks(folder, *names, state_dir=str(folder / "state"))
            for name in names:
                stacks.set(name, source={"git": {"url": server.url("shop.git")}})
            stacks.write()
            server.requests.clear()
            ended = command.child("reconcile", "--once", "--config", stacks.file)  # by the clock, which all share
            assert ended.code == 0, ended.text
            asked.append(sorted(server.requests))
    assert asked[0] == asked[1]


# Who ends first


class Turns:
    """Passes of targets in this process that end in an order of our choice, after all of them have begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *order: str) -> None:
        self.events: list[tuple[str, str]] = []
        self._order = order
        self._begun = {name: threading.Event() for name in order}
        self._ended = {name: threading.Event() for name in order}
        for function in ("reconcile_once", "plan_once"):
            monkeypatch.setattr(reconciler, function, self._of(getattr(reconciler, function)))

    def _of(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def gated(opened: Any, request: Any) -> Any:
            self.events.append(("begins", opened.name))
            self._begun[opened.name].set()
            earlier = self._order[: self._order.index(opened.name)]
            for event in (*self._begun.values(), *(self._ended[name] for name in earlier)):
                assert event.wait(daemons.PATIENCE_S)
            try:
                return real(opened, request)
            finally:
                self.events.append(("ends", opened.name))
                self._ended[opened.name].set()

        return gated


NAMES = ("first", "second", "third")
FORMS = ("text", "json", "github", "junit", "sarif")


def poisoned(folder: Path) -> several.Stacks:
    """Three targets, the second of which is wrong."""
    stacks = several.Stacks(folder, *NAMES)
    stacks["second"].manifest.write_text("artifacts: [")
    return stacks


@pytest.mark.parametrize("form", FORMS)
def test_what_is_printed_is_the_same_whoever_ends_first(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each target whole, in the order of the file, on stdout and stderr and in the step's files."""
    stacks, printed = poisoned(tmp_path), []
    for order in (NAMES, NAMES[::-1]):
        job = jobs.Job(tmp_path)
        for file in (job.summary, job.outputs):
            file.unlink(missing_ok=True)
        with monkeypatch.context() as patched:
            turns = Turns(patched, *order)
            environment = job.environment() if form == "github" else None
            ended = command.run("diff", "--output", form, "--config", stacks.file, environment=environment)
        assert [name for what, name in turns.events if what == "ends"] == list(order)
        assert ended.code == 65, ended.text
        files = [file.read_text() for file in (job.summary, job.outputs) if form == "github"]
        printed.append((ended.out, ended.err, files))
    assert printed[0] == printed[1]
    out, err, files = printed[0]
    for text in {"text": [out], "json": [out], "github": [out, files[0] if files else ""]}.get(form, [out + err]):
        places = [text.find(name) for name in ("first", "third")]
        assert 0 <= places[0] < places[1], text
    assert "second: failed (ArtifactInvalid)" in err


def test_results_of_a_pass_are_told_in_the_order_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = poisoned(tmp_path)
    turns = Turns(monkeypatch, *NAMES[::-1])
    ended = several_once(stacks)
    assert [name for what, name in turns.events if what == "ends"] == list(NAMES[::-1])
    assert [line for line in ended.out.splitlines() if line.startswith("target ")] == ["target first", "target third"]
    blocks = ended.out.split("target ")[1:]
    assert ["done (FirstPublish)" in block for block in blocks] == [True, True]
    told = [line.partition(":")[0] for line in ended.err.splitlines()]
    assert told == sorted(told, key=NAMES.index)
    assert "second" in told


def test_what_is_going_on_is_told_meanwhile_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of all of them, in lines of their own; with --quiet there are none."""
    monkeypatch.setattr(progress, "UNTOLD_S", 0.0)
    stacks = several.Stacks(tmp_path, *NAMES)
    Turns(monkeypatch, *NAMES)
    lines = several_once(stacks).err.splitlines()
    for name in NAMES:
        own = [line for line in lines if line.startswith(f"{name}: ")]
        assert own[0] == f"{name}: fetching the source"
        assert own[1].startswith(f"{name}: fetching the source: done in ")
    assert len([line for line in lines if "fetching" in line]) == 2 * len(NAMES)
    assert "fetching" not in several_once(stacks, "--quiet").err


def test_nothing_is_drawn_while_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of one would be drawn over those of another."""
    shown: list[str] = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "live", lambda stream: shown.append("drawn"))
    monkeypatch.setattr(progress, "plain", lambda tell, target: shown.append(f"lines of {target}"))
    for printer in (output.Printer(target="core"), output.Printer(), output.Printer(quiet=True, target="core")):
        steps.shown(printer)
    assert shown == ["lines of core", "drawn"]


def test_no_line_is_torn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stream that lets others run while it writes is written to by one at a time."""
    stacks, begun, written = several.Stacks(tmp_path, *NAMES), threading.Barrier(len(NAMES)), list[str]()

    class Slow(io.StringIO):
        inside = threading.Lock()

        def write(self, text: str) -> int:
            assert self.inside.acquire(blocking=False), "two at a time"
            threading.Event().wait(0.001)
            self.inside.release()
            written.append(text)
            return len(text)

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        del configured, cuts
        begun.wait(daemons.PATIENCE_S)
        for _ in range(20):
            printer.meanwhile(["on it"])
        return errors.OK

    options = {"config": stacks.file, "target": (), "output_format": "text", "quiet": False, "verbose": False}
    monkeypatch.setattr(sys, "stderr", Slow())
    code = commands.run(options, "x", work, commands.Manner(together=True), cuts=signals.Interruption())
    assert code == errors.OK
    assert sorted(set(written)) == [f"{name}: on it\n" for name in NAMES]
    assert len(written) == 20 * len(NAMES)


# After


def test_one_that_is_after_another_begins_when_that_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = several.Stacks(tmp_path, "end", "front", "back")
    stacks.set("front", after=["back"])
    stacks.set("end", after=["front", "back"])
    stacks.write()
    seen: list[str] = []
    real = reconciler.reconcile_once

    def told(opened: Any, request: Any) -> Any:
        seen.append(f"{opened.name} begins")
        ended = real(opened, request)
        seen.append(f"{opened.name} ends")
        return ended

    monkeypatch.setattr(reconciler, "reconcile_once", told)
    assert several_once(stacks).code == 0
    assert seen == [f"{name} {what}" for name in ("back", "front", "end") for what in ("begins", "ends")]


def test_c2_only_what_is_after_a_failed_one_is_not_run(tmp_path: Path) -> None:
    """One that is after two waits for both, and names the failed one."""
    stacks = several.Stacks(tmp_path, "bad", "good", "behind", "last", "other")
    stacks.set("behind", after=["good", "bad"])
    stacks.set("last", after=["behind"])
    stacks.write()
    stacks["bad"].manifest.write_text("artifacts: [")
    ended = several_once(stacks, "--output", "json")
    assert codes(ended) == {"bad": 65, "good": 0, "behind": 69, "last": 69, "other": 0}
    rows = {row["target"]: row["result"] for row in ended.json["targets"]}
    assert rows["behind"]["message"] == "not converged: the last pass of bad failed"
    assert rows["last"]["message"] == "not converged: the last pass of behind failed"
    assert stacks["behind"].documents()["functions.yml"] is None


def test_c2_a_bug_of_any_kind_is_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = several.Stacks(tmp_path, "bad", "good")
    real = reconciler.reconcile_once

    def sometimes(opened: Any, request: Any) -> Any:
        if opened.name == "bad":
            raise AssertionError("planted")
        return real(opened, request)

    monkeypatch.setattr(reconciler, "reconcile_once", sometimes)
    ended = several_once(stacks, "--output", "json")
    assert (ended.code, codes(ended)) == (70, {"bad": 70, "good": 0})
    assert "bad: Traceback (most recent call last):" in ended.err
    assert shows(stacks["good"], OLD)


# Signals


@pytest.mark.process
@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT), (signal.SIGHUP,)])
@pytest.mark.parametrize("verb", [("reconcile", "--once"), ("diff",)])
def test_l2_a_signal_ends_all(
    tmp_path: Path, remote: silent.Silent, verb: tuple[str, ...], numbers: tuple[int, ...]
) -> None:
    """One hangs in its remote, one waits for a lock or for the first one, one has ended: that one is told, nothing else
    is, and git is gone."""
    stacks = hanging(tmp_path, remote, "busy", "behind", "good")
    stacks.set("behind", after=["slow"])
    stacks.write()
    stacks["busy"].config.mkdir()
    with command.locked(stacks["busy"].config), started(stacks, *verb) as running:
        remote.await_question()
        if verb == ("diff",):
            stacks["good"].published()
        daemons.until(lambda: shows(stacks["good"], OLD))
        for number in numbers:
            running.process.send_signal(number)
        ended = running.ended()
        remote.await_end()
    assert ended.code == 128 + numbers[0], ended.text
    assert "Traceback" not in ended.text
    assert "failed (" not in ended.text
    assert ended.err.count("stopped: ended by signal") == 1
    assert stacks["behind"].documents()["functions.yml"] is None
    assert "target slow" not in ended.out


@pytest.mark.process
def test_l2_the_publish_of_one_is_finished_and_told_and_what_hangs_is_cut(
    tmp_path: Path, remote: silent.Silent
) -> None:
    stacks = hanging(tmp_path, remote, "good")
    environment = {failpoints.VARIABLE: f"{failpoints.Step.ACTED}:term"}
    with started(stacks, "reconcile", "--once", environment=environment) as running:
        remote.await_question()
        ended = running.ended()
    assert ended.code == 128 + signal.SIGTERM, ended.text
    assert "target good\n" in ended.out
    assert "done (FirstPublish)" in ended.out
    assert shows(stacks["good"], OLD)
    assert several_once(stacks, "--target", "good").out.startswith("nothing to do (InSync)")


@pytest.mark.process
def test_l2_a_signal_that_cuts_nothing_short_changes_no_code(tmp_path: Path) -> None:
    """SIGTERM in the middle of the last publish: all are whole, and told."""
    stacks = several.Stacks(tmp_path, "good", "last")
    stacks.set("last", after=["good"])
    stacks.write()
    stacks["good"].published()
    with started(
        stacks, "reconcile", "--once", "--output", "json", environment={failpoints.VARIABLE: "switch:term"}
    ) as running:
        ended = running.ended()
    assert (ended.code, codes(ended)) == (0, {"good": 0, "last": 0})
    assert shows(stacks["last"], OLD)


def test_l2_what_nothing_can_end_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread that hangs where nobody asks whether to go on: the command ends all the same, after its grace."""
    monkeypatch.setattr(patience, "GRACE_S", 0.0)
    stacks = several.Stacks(tmp_path, "slow", "good")
    real, released, over = reconciler.reconcile_once, threading.Event(), threading.Event()

    def hangs(opened: Any, request: Any) -> Any:
        if opened.name != "slow":
            return real(opened, request)
        daemons.until(lambda: shows(stacks["good"], OLD))
        os.kill(os.getpid(), signal.SIGTERM)
        released.wait(daemons.PATIENCE_S)
        over.set()
        return real(opened, request)

    monkeypatch.setattr(reconciler, "reconcile_once", hangs)
    try:
        ended = several_once(stacks)
        assert not over.is_set()
    finally:
        released.set()
        daemons.until(lambda: not [one for one in threading.enumerate() if one.name == "part slow"])
    assert ended.code == 128 + signal.SIGTERM, ended.text
    assert over.is_set()
    assert stacks["slow"].documents()["functions.yml"] is None, "it was told to end"


# One target

ALONE = """
import sys, threading
from controller import cli, reconciler
real = reconciler.reconcile_once
def seen(*given):
    assert threading.active_count() == 1, threading.enumerate()
    assert threading.current_thread() is threading.main_thread()
    return real(*given)
reconciler.reconcile_once = seen
code = cli.run(sys.argv[1:])
assert not {"controller.commands.together", "controller.ordering", "controller.patience"} & set(sys.modules)
sys.exit(code)
"""


@pytest.mark.process
def test_one_target_alone_has_no_thread(tmp_path: Path) -> None:
    """Nor does it load what several need."""
    stacks = several.Stacks(tmp_path, "one", "two")
    line = ["reconcile", "--once", "--config", stacks.file, "--target", "one"]
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, line)],
        env=command.child_environment(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(stacks.file.read_text())["targets"].keys() == {"one", "two"}
    assert shows(stacks["one"], OLD)
    assert stacks["two"].documents()["functions.yml"] is None
