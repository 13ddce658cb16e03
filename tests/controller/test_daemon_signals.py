"""Signals at every named step of a controller that stays, a machine that is stopped for a while, and the first process of
a container (faults.md L2, L3, P7, P16). Nothing is timed: processes count passes, tests wait for what they want to see.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from controller import failpoints
from manifests import generation, plain_files
from tests.fakes import command, daemons, locks, signalled

pytestmark = pytest.mark.process

WITH_DOCKER = frozenset(
    {
        failpoints.Step.BUILT,
        failpoints.Step.PUSHED,
        failpoints.Step.RESOURCES_LIVE,
        failpoints.Step.PROVISIONED,
    }
)
"""They want an engine: e2e/test_loop_faults.py."""
STEPS: tuple[StrEnum, ...] = (
    *(step for step in failpoints.Step if step not in WITH_DOCKER),
    *generation.Step,
    *(step for step in plain_files.Step if str(step) not in {*generation.Step}),
)
SITUATION: dict[StrEnum, str] = {
    failpoints.Step.SWEPT: "leftovers",
    failpoints.Step.CLAIMED: "adopt",
    failpoints.Step.CONFIRMED: "forgotten",
    generation.Step.SWEEP: "cut short",
    generation.Step.CONFIRM: "forgotten",
    generation.Step.SNAPSHOT_WRITE: "adopt",
    generation.Step.SNAPSHOT_SWITCH: "adopt",
    **{step: "files" for step in plain_files.Step if str(step) not in {*generation.Step}},
}
"""In what CONFIG_DIR a pass comes to a step; to the others when the source has changed."""
OLD, NEW = "timeout: 10", "timeout: 25"
FOREIGN = {
    "functions.yml": "functions:\n  legacy:\n    image: registry:5010/legacy:v1\n",
    "routing.yml": "routes:\n- path: /legacy\n  method: GET\n  function: legacy\n",
    "resources.yml": "resources: {}\n",
}


@dataclass
class Forks:
    """A process that forks the command (`tests.fakes.signalled`)."""

    folder: Path

    def __post_init__(self) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.signalled"],
            env=command.child_environment(),
            cwd=command.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, step: str = "", numbers: tuple[int, ...] = (), end_after: int = 0
    ) -> tuple[int, str]:
        """How a run ended, 128 + n for a signal, and what it said."""
        err = self.folder / "err"
        asked = {"arguments": arguments, "step": step, "numbers": numbers, "end_after": end_after, "err": str(err)}
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{json.dumps(asked)}\n")
        self.child.stdin.flush()
        code = int(self.child.stdout.readline())
        return 128 - code if code < 0 else code, err.read_text(encoding="utf-8")

    def close(self) -> None:
        """It ends with its input."""
        self.child.communicate(timeout=daemons.PATIENCE_S)


@dataclass(frozen=True)
class Situation:
    """A CONFIG_DIR to copy, the arguments that name the source, and what consumers see before and after."""

    config: Path
    settings: Path
    before: dict[str, bytes | None]
    after: dict[str, bytes | None]

    def copy(self, folder: Path) -> Path:
        """A fresh one."""
        config = folder / "config"
        shutil.copytree(self.config, config, symlinks=True)
        return config

    def arguments(self, config: Path, *more: str) -> tuple[str, ...]:
        """A command line of `reconcile`."""
        return ("reconcile", "--config", str(self.settings), "--config-dir", str(config), *more)


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    started = Forks(tmp_path_factory.mktemp("forks"))
    yield started
    started.close()


class Prepared:
    """The situations by name."""

    def __init__(self, forks: Forks, folder: Path) -> None:
        self._forks = forks
        self._folder = folder
        self._made: dict[str, Situation] = {}
        self._shop = command.Shop(folder)

    def get(self, name: str) -> Situation:
        """Made when it is first asked for."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Situation:
        config = self._folder / name / "config"
        config.mkdir(parents=True)
        source = self._folder / name / "source"
        shutil.copytree(self._shop.source, source)
        mode = "files" if name == "files" else "generation"
        if name == "adopt":
            for document, text in FOREIGN.items():
                (config / document).write_text(text, encoding="utf-8")
        else:
            self._publish(source, config, mode)
        if name in ("leftovers", "cut short"):
            (config / "..data_tmp").symlink_to("..gen-000009")
        if name == "forgotten":
            shutil.rmtree(config / ".controller")
        if name in ("update", "files", "adopt", "cut short"):
            command.replace_text(source / "catalog" / "config" / "functions.yml", OLD, NEW)
        made = Situation(config, self._settings(source, mode), command.documents(config), {})
        tried = made.copy(self._folder / name / "tried")
        assert self._forks.run(*made.arguments(tried, "--once"))[0] == 0
        return Situation(config, made.settings, made.before, command.documents(tried))

    def _publish(self, source: Path, config: Path, mode: str) -> None:
        settings = self._settings(source, mode)
        code, said = self._forks.run("reconcile", "--once", "--config", str(settings), "--config-dir", str(config))
        assert code == 0, said

    def _settings(self, source: Path, mode: str) -> Path:
        settings = source.with_name(f"{mode}.yml")
        where = f"directory: {{path: {source}, watch: false, debounce: 1ms}}"
        settings.write_text(f"source: {{{where}}}\ninterval: 100ms\npolicy: {{publish: {mode}}}\n", encoding="utf-8")
        return settings


@pytest.fixture(scope="module")
def prepared(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(forks, tmp_path_factory.mktemp("situations"))


def assert_heals(forks: Forks, situation: Situation, config: Path) -> None:
    """The next start converges, and leaves nothing half-made."""
    code, said = forks.run(*situation.arguments(config, "--once"))
    assert code == 0, said
    assert command.documents(config) == situation.after
    assert not [path.name for path in config.iterdir() if path.name.endswith("_tmp") or "lock" in path.name]


ENDS = {
    "term": (signal.SIGTERM,),
    "int": (signal.SIGINT,),
    "term twice and more": (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_l2_an_end_at_every_step(forks: Forks, prepared: Prepared, tmp_path: Path, step: StrEnum, name: str) -> None:
    """P16: 0 when nothing was cut short, else 128 + n; old or new, whole; and the next start converges."""
    situation = prepared.get(SITUATION.get(step, "update"))
    config = situation.copy(tmp_path)
    code, said = forks.run(*situation.arguments(config), step=step, numbers=ENDS[name])
    assert code in (0, 128 + ENDS[name][0]), said
    assert "Traceback" not in said
    seen = command.documents(config)
    if SITUATION.get(step) == "files":  # there each document changes by itself
        assert all(seen[one] in (situation.before[one], situation.after[one]) for one in seen)
    else:
        assert seen in (situation.before, situation.after)
    assert_heals(forks, situation, config)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_l2_hup_and_usr1_at_every_step_end_nothing(
    forks: Forks, prepared: Prepared, tmp_path: Path, step: StrEnum
) -> None:
    """The pass is finished, settings are read again, and passes go on until SIGTERM comes."""
    situation = prepared.get(SITUATION.get(step, "update"))
    config = situation.copy(tmp_path)
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGHUP)
    code, said = forks.run(*situation.arguments(config), step=step, numbers=numbers, end_after=3)
    assert code in (0, 143), said
    assert "settings reloaded" in said
    assert "Traceback" not in said
    assert command.documents(config) == situation.after
    assert_heals(forks, situation, config)


def test_the_patience_of_these_tests_ends(forks: Forks, prepared: Prepared, tmp_path: Path) -> None:
    """A step that no pass comes to is told from one that ends it."""
    situation = prepared.get("update")
    code, _ = forks.run(*situation.arguments(situation.copy(tmp_path)), step="no such step", numbers=(15,))
    assert code == signalled.NOT_REACHED


# Stopped for a while


def test_l3_stopped_while_another_one_publishes(tmp_path: Path) -> None:
    """What the other one did is seen, not overwritten from memory; then it goes on with what the source says."""
    shop = command.Shop(tmp_path)
    with daemons.running(*shop.target, "--interval", "100ms") as daemon:
        daemon.await_pass("InSync")
        daemons.until(lambda: daemon.is_stopped_between_passes(shop))
        shop.edit("catalog", "functions.yml", OLD, NEW)
        assert shop.reconcile().code == 0, "a stopped controller holds no lock between two passes"
        published, link = shop.documents(), os.readlink(shop.config / "..data")
        seen = len(daemon.lines)
        daemon.signal(signal.SIGCONT)
        told = daemon.await_pass(since=seen)
        assert (told["reason"], told["failed"]) == ("InSync", False)
        assert (shop.documents(), os.readlink(shop.config / "..data")) == (published, link), "nothing is written again"
        shop.edit("catalog", "functions.yml", NEW, "timeout: 26")
        daemon.await_pass("SourceChanged", since=seen)
        assert daemon.ends_well()


def test_l3_stopped_in_a_pass_it_keeps_the_lock_and_goes_on(tmp_path: Path) -> None:
    """P7: in the middle of a pass the lock is held by the stopped one; the others are told so, and steal nothing."""
    shop = command.Shop(tmp_path).published()
    before = shop.documents()
    shop.edit("catalog", "functions.yml", OLD, NEW)
    with daemons.running(*shop.target, environment={"FAILPOINT": f"{generation.Step.SWITCH}:sleep"}) as daemon:
        daemons.until(lambda: len(list(shop.config.glob("..gen-*"))) == 2)
        daemon.stop()
        other = shop.reconcile("--wait", "0")
        assert other.code == 75, other.text
        assert f"pid {daemon.process.pid}" in other.text
        assert shop.documents() == before
        daemon.signal(signal.SIGCONT)
        assert shop.reconcile("--wait", "0").code == 75
        daemon.process.kill()
        daemon.wait()
    assert shop.reconcile("--wait", "0").code == 0, "the lock ends with its owner"
    assert b"timeout: 25" in (shop.documents()["functions.yml"] or b"")


def test_l3_stopped_while_config_dir_is_replaced(tmp_path: Path) -> None:
    """Nothing of before is believed: a CONFIG_DIR that was emptied meanwhile is published anew."""
    shop = command.Shop(tmp_path)
    with daemons.running(*shop.target, "--interval", "100ms") as daemon:
        daemon.await_pass("InSync")
        wanted = shop.documents()
        daemon.stop()
        shutil.rmtree(shop.config)
        shop.config.mkdir()
        daemon.signal(signal.SIGCONT)
        daemons.until(lambda: shop.documents() == wanted)
        assert daemon.ends_well()


# The first process of a container


def inner(daemon: daemons.Daemon) -> int:
    """The pid, as it is here, of the first process in there."""
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    return int(children.read_text(encoding="ascii").split()[0])


def children(pid: int) -> dict[int, str]:
    """The children of a process by pid: their states, "" of one who is gone meanwhile."""
    found: list[str] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += (task / "children").read_text(encoding="ascii").split()
    return {int(child): daemons.state_of(Path(f"/proc/{child}")) for child in found}


ORPHANS = """#!/bin/sh
# leaves somebody behind in a session of its own, who ends a little later
setsid sh -c 'echo "$$" >> {place}; exec sleep 0.05' </dev/null >/dev/null 2>&1 &
exec {git} "$@"
"""


@pytest.fixture
def contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[daemons.Daemon]:
    """A controller as process 1, that follows a repository with a git that leaves orphans behind."""
    locks.needs_pid_namespaces()
    git = shutil.which("git")
    assert git is not None
    shop, orphans = command.Shop(tmp_path), tmp_path / "orphans"
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run([git, "-C", str(shop.source), *identity, *words], check=True)
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(ORPHANS.format(place=orphans, git=git), encoding="utf-8")
    shim.chmod(0o755)
    environment = {"PATH": f"{shim.parent}:{os.environ['PATH']}"}
    real = command.line
    monkeypatch.setattr(command, "line", lambda *words: [*locks.UNSHARE, *real(*words)])
    followed = ("--git", f"file://{shop.source}", "--ref", "main", "--state-dir", tmp_path / "state")
    (tmp_path / "state").mkdir()
    with daemons.running(*followed, "--config-dir", shop.config, "--interval", "100ms", environment=environment) as one:
        one.await_pass("FirstPublish")
        yield one


def test_l2_as_process_1_it_reaps_what_others_leave(contained: daemons.Daemon, tmp_path: Path) -> None:
    """Orphans become its children, and none of them stays as a zombie."""
    daemons.until(lambda: len((tmp_path / "orphans").read_text(encoding="ascii").split()) >= 5)
    first = inner(contained)
    works = next(pid for pid in children(first) if "controller" in commands_of(pid))
    os.kill(works, signal.SIGSTOP)  # so that no new orphans come; a git that it waits for may end, and is left to it
    daemons.until(lambda: [*children(first)] == [works])
    assert "controller" in commands_of(first)


def commands_of(pid: int) -> str:
    """Its command line; "" of a zombie, and of one who is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_l2_as_process_1_it_hears_signals_and_tells_how_it_ended(contained: daemons.Daemon) -> None:
    """The kernel shows process 1 no signal that it does not ask for."""
    seen, first = len(contained.lines), inner(contained)
    os.kill(first, signal.SIGUSR1)
    contained.await_line(lambda line: "signal" in line.get("causes", ()), since=seen)
    os.kill(first, signal.SIGHUP)
    contained.await_line(lambda line: line["event"] == "settings reloaded", since=seen)
    os.kill(first, signal.SIGTERM)
    assert contained.wait() in (0, 143)
    assert contained.lines[-1]["event"] == "ending"
