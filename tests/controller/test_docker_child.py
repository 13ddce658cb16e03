"""The docker command as a child: deadlines, whole groups, floods, stdin, descriptors (faults.md P8, H3, H7, B3, K1)."""

import contextlib
import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from controller import docker, docker_child, errors, lifeline
from tests.fakes import docker_stub

ROOT = Path(__file__).parents[2]
SOON_S = 2.0
"""A deadline that is waited for; until then a stub has long said what it has to say."""
SOON = docker.Deadlines(probe_s=SOON_S, build_s=SOON_S, push_s=SOON_S, provision_s=SOON_S)
LONG = docker.Deadlines(probe_s=250, build_s=250, push_s=250, provision_s=250)
ID = "a" * 64
FLOOD = 100_000_000
CANARY = "canary-9d21"


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> docker_stub.DockerStub:
    return docker_stub.DockerStub(tmp_path / "stub").first_on(monkeypatch)


def service(**environment: str) -> docker.ServiceRun:
    return docker.ServiceRun("p", "n", {}, "esb", (), None, None, None, environment, with_deps=False)


def build(engine: docker.Engine) -> str:
    return engine.build(docker.BuildRequest(Path("/"), Path("/d"), ("a:1",), {}, {}, "", {}))


LATE: dict[str, Callable[[docker.Engine], object]] = {
    "container wait": lambda engine: engine.wait(ID, seconds=SOON_S),
    "container logs": lambda engine: engine.logs(ID, lines=5),
    "container rm": lambda engine: engine.remove(ID),
    "image push": lambda engine: engine.push("a"),
    "image tag": lambda engine: engine.tag(ID, "a"),
    "buildx build": build,
    "buildx imagetools": lambda engine: engine.remote_manifest("a"),
    "compose": lambda engine: engine.run_service(service()),
}
SILENT: dict[str, Callable[[docker.Engine], object]] = {
    "container list": lambda engine: engine.containers(),
    "image list": lambda engine: engine.labelled_images("x"),
    "image inspect": lambda engine: engine.images(["a"]),
}


@pytest.mark.parametrize("words", LATE)
def test_p8_at_the_deadline_the_call_ends_with_what_was_said(stub: docker_stub.DockerStub, words: str) -> None:
    stub.says("context show", "default")
    stub.does(words, "echo 'said \\033[1mthis'; echo 'and this' >&2; exec sleep 600")
    with pytest.raises(docker.DeadlinePassed) as caught:
        LATE[words](docker.Engine(deadlines=SOON))
    assert caught.value.seconds == SOON_S
    assert caught.value.tail[-1] == "and this"


@pytest.mark.parametrize("words", SILENT)
def test_p8_a_question_without_an_answer_is_no_engine(stub: docker_stub.DockerStub, words: str) -> None:
    stub.does(words, "exec sleep 600")
    with pytest.raises(errors.ControllerError, match=f"docker {words} had no answer"):
        SILENT[words](docker.Engine(deadlines=docker.Deadlines(probe_s=0.3)))


OBEYS = 'sleep 600 & echo $! >>"$here/pids"'
DEAF = """(trap '' TERM; exec sleep 600) & echo $! >>"$here/pids" """
DEAF_AND_QUIET = """(trap '' TERM; exec sleep 600 >/dev/null 2>&1) & echo $! >>"$here/pids" """
GRANDCHILDREN = {"obeys": OBEYS, "deaf": DEAF, "deaf and quiet": DEAF_AND_QUIET}


@pytest.mark.parametrize("kind", GRANDCHILDREN)
@pytest.mark.parametrize("itself", ["obeys", "deaf"])
def test_p8_the_whole_group_is_gone_after_the_deadline(
    stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch, kind: str, itself: str
) -> None:
    """Grandchildren too, whether they heed SIGTERM, hold on to the output, or neither."""
    monkeypatch.setattr(docker_child, "KILL_AFTER_S", 1)
    heed = "trap '' TERM; while :; do sleep 1; done" if itself == "deaf" else "exec sleep 600"
    stub.does("container wait", f'echo $$ >>"$here/pids"; {GRANDCHILDREN[kind]}; {GRANDCHILDREN[kind]}; {heed}')
    with pytest.raises(docker.DeadlinePassed):
        docker.Engine().wait(ID, seconds=SOON_S)
    pids = [int(line) for line in (stub.folder / "pids").read_text().split()]
    assert len(pids) == 3
    assert [pid for pid in pids if not docker_stub.ends(pid)] == []


def test_the_watch_for_processes_sees_one_that_lives() -> None:
    """Counter-check."""
    alive = subprocess.Popen(["sleep", "600"])
    try:
        assert not docker_stub.ends(alive.pid, within_s=0)
    finally:
        alive.kill()
        alive.wait()
    assert docker_stub.ends(alive.pid)


def test_p8_no_zombie_and_no_descriptor_is_left(stub: docker_stub.DockerStub) -> None:
    stub.says("container list")
    stub.says("container rm", "x", err="y", code=3)
    stub.does("container wait", "exec sleep 600")
    engine = docker.Engine()
    engine.containers()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        engine.containers()
        with pytest.raises(docker.CommandFailed):
            engine.remove(ID)
    with pytest.raises(docker.DeadlinePassed):
        engine.wait(ID, seconds=0.1)
    assert len(os.listdir("/proc/self/fd")) <= before
    assert [pid for pid in docker_child.children() if "docker" in _command(pid)] == []


def _command(pid: int) -> str:
    """What it runs; a zombie has only its name, and one that is gone nothing."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text() or "docker: " + Path(f"/proc/{pid}/comm").read_text()
    return ""


@pytest.mark.parametrize("seconds", [0, 0.0001, -3])
def test_p8_no_time_left_is_not_for_ever(stub: docker_stub.DockerStub, seconds: float) -> None:
    """To timeout, zero means "no deadline"."""
    stub.does("container wait", "exec sleep 600")
    with pytest.raises(docker.DeadlinePassed):
        docker.Engine().wait(ID, seconds=seconds)


@pytest.mark.parametrize("code", [124, 137])
def test_h3_the_numbers_of_timeout_before_the_deadline_are_exit_codes(stub: docker_stub.DockerStub, code: int) -> None:
    stub.does("container wait", f"exit {code}")
    with pytest.raises(docker.CommandFailed) as caught:
        docker.Engine().wait(ID, seconds=60)
    assert caught.value.exit_code == code


def test_h3_a_signal_is_told_as_shells_tell_it(stub: docker_stub.DockerStub) -> None:
    stub.does("container wait", "kill -SEGV $$")
    with pytest.raises(docker.CommandFailed) as caught:
        docker.Engine().wait(ID, seconds=60)
    assert caught.value.exit_code == 128 + 11


FLOODS = {
    "one line of zeros": f"head -c {FLOOD} /dev/zero",
    "lines": f"yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c {FLOOD}",
    "not UTF-8": f"yes \"$(printf '\\377\\376')\" | head -c {FLOOD}",
}


@pytest.mark.parametrize(
    ("words", "to", "flood"),
    [
        *(("container wait", to, flood) for to in (1, 2) for flood in FLOODS),
        ("buildx build", 2, "lines"),
        ("buildx build", 2, "one line of zeros"),
        ("compose", 1, "not UTF-8"),
        ("compose", 2, "lines"),
        ("image push", 1, "lines"),
    ],
)
def test_h3_a_flood_is_not_held_and_its_end_is_kept(
    stub: docker_stub.DockerStub, words: str, to: int, flood: str
) -> None:
    """Whichever stream it comes on, and whether python-on-whales would keep a copy for its exception."""
    stub.says("context show", "default")
    stub.says("info", code=1)
    stub.does(words, f"{{ {FLOODS[flood]}; echo; printf 'the end \\377'; }} >&{to}; exit 3")
    engine = docker.Engine(deadlines=LONG)
    engine._client(1, log=True)  # loads the library, which is not what is measured
    tracemalloc.start()
    try:
        if words == "compose":
            assert engine.run_service(service()).tail[-1] == "the end �"
        else:
            with pytest.raises(docker.CommandFailed) as caught:
                LATE[words](engine) if words != "container wait" else engine.wait(ID, seconds=LONG.probe_s)
            assert caught.value.tail[-1] == "the end �"
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("to", [1, 2])
def test_h3_a_flood_in_the_place_of_an_answer_is_refused(stub: docker_stub.DockerStub, to: int) -> None:
    stub.does("image inspect", f"{FLOODS['lines']} >&{to}; exit 0")
    with pytest.raises(errors.ControllerError, match=r"answered with (16777216|0) bytes that are not what was asked"):
        docker.Engine(deadlines=LONG).images(["a"])


@pytest.mark.parametrize(
    ("script", "tail"),
    [
        ("printf 'no newline'; exit 5", ("no newline",)),
        ("exec >&- 2>&-; cat /proc/self/stat; exit 5", ()),
        ("printf '\\377\\376\\n'; exit 5", ("��",)),
        ("printf 'a\\nb' >&2; exit 5", ("a", "b")),
    ],
)
def test_h3_odd_ends_of_output(stub: docker_stub.DockerStub, script: str, tail: tuple[str, ...]) -> None:
    stub.does("compose", script)
    stub.says("info", code=1)
    assert docker.Engine().run_service(service()) == docker.RunOutcome(5, tail)


ASKS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from controller import docker
for line in docker.Engine().logs({ID!r}, lines=9):
    print("found:", line, file=sys.stderr)
"""
LOOKS = """
echo "input: $(readlink /proc/self/fd/0)"
echo "read: $(cat | wc -c)"
if ( : </dev/tty ) 2>/dev/null; then echo 'a terminal'; else echo 'no terminal'; fi
"""


@pytest.mark.parametrize("given", ["closed", "null", "pipe", "terminal"])
def test_h7_no_input_is_ever_waited_for(stub: docker_stub.DockerStub, given: str) -> None:
    """Whatever our own stdin is, docker reads nothing and has no terminal to ask at."""
    stub.does("container logs", LOOKS)
    assert _asked(given) == ["found: input: /dev/null", "found: read: 0", "found: no terminal"]


def _asked(given: str) -> list[str]:
    python = [sys.executable, "-c", ASKS]
    if given == "terminal":
        return _asked_at_a_terminal(python)
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *python] if given == "closed" else python
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if given == "null" else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as asking:
        assert asking.stderr
        return asking.stderr.read().splitlines()


def _asked_at_a_terminal(python: list[str]) -> list[str]:
    """With a controlling terminal, at which nobody types."""
    script = f"import pty, sys; sys.exit(pty.spawn({python!r}))"
    ours, theirs = pty.openpty()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", script], stdin=theirs, capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return ended.stdout.splitlines()


def test_b3_a_lock_is_not_inherited(stub: docker_stub.DockerStub, tmp_path: Path) -> None:
    """Not even one that was made inheritable: a child that outlives us holds no lock of ours."""
    stub.does("container logs", "readlink /proc/self/fd/* /proc/$$/fd/*; exit 0")
    lock = tmp_path / "the.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        os.set_inheritable(held.fileno(), True)
        lines = docker.Engine().logs(ID, lines=50)
    assert any("pipe:" in line for line in lines)
    assert not [line for line in lines if str(lock) in line]


def test_p8_a_signal_s_end_reaches_grandchildren(stub: docker_stub.DockerStub) -> None:
    """`terminate_children`, while another thread waits in a call: the call fails, and its group is gone."""
    os.mkfifo(stub.folder / "begun")
    stub.does("container wait", f'{OBEYS}; echo $$ >>"$here/pids"; echo x >"$here/begun"; exec sleep 600')
    caught: list[Exception] = []

    def wait() -> None:
        try:
            docker.Engine().wait(ID, seconds=300)
        except docker.CommandFailed as failed:
            caught.append(failed)

    waiting = threading.Thread(target=wait)
    waiting.start()
    (stub.folder / "begun").read_text()
    docker.terminate_children()
    waiting.join(timeout=30)
    assert len(caught) == 1
    pids = [int(line) for line in (stub.folder / "pids").read_text().split()]
    assert [pid for pid in pids if not docker_stub.ends(pid)] == []


def test_c2_the_end_of_one_target_s_children_leaves_those_of_another(stub: docker_stub.DockerStub) -> None:
    """`terminate_children` of an owner, while two wait: the call of that one fails, the other goes on."""
    os.mkfifo(stub.folder / "begun")
    os.mkfifo(stub.folder / "go-on")
    stub.does("container wait", 'echo x >"$here/begun"; read -r word <"$here/go-on"; echo 0')
    ended: dict[str, str] = {}

    def wait(owner: str) -> None:
        try:
            docker.Engine(owner=owner).wait(ID, seconds=300)
        except docker.CommandFailed:
            ended[owner] = "failed"
        else:
            ended[owner] = "fine"

    waiting = {owner: threading.Thread(target=wait, args=(owner,)) for owner in ("one", "one-more")}
    for thread in waiting.values():
        thread.start()
        (stub.folder / "begun").read_text()
    docker.terminate_children("nobody")
    docker.terminate_children("one")
    waiting["one"].join(timeout=30)
    assert ended == {"one": "failed"}
    (stub.folder / "go-on").write_text("x\n")
    waiting["one-more"].join(timeout=30)
    assert ended == {"one": "failed", "one-more": "fine"}


ASKS_TWICE = f"""
import sys, threading
sys.path.insert(0, {str(ROOT)!r})
from controller import docker
engine = docker.Engine()
engine.logs({ID!r}, lines=9)
for _ in range(2):
    threading.Thread(target=engine.wait, args=({ID!r},), kwargs={{"seconds": 300}}).start()
"""
SESSION = """cut -d' ' -f6 </proc/$$/stat >>"$here/sessions" """
SHELLS = [name for name in ("sh", "dash", "bash", "busybox") if shutil.which(name)]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("kind", GRANDCHILDREN)
def test_p8_when_the_one_who_asked_is_killed_its_calls_end(stub: docker_stub.DockerStub, kind: str, shell: str) -> None:
    """With two threads in a call, after one call that ended; long before the deadline. And without asking first: compose
    would pass that on to the provisioner's container, which the next run is to find (H1)."""
    take_shell(stub, shell)
    os.mkfifo(stub.folder / "begun")
    stub.does("container logs", f"{SESSION}; exit 0")
    stub.does(
        "container wait",
        f'{SESSION}; trap \': >"$here/asked"; exit\' TERM; {GRANDCHILDREN[kind]}; echo $$ >>"$here/pids"; '
        'sleep 600 & echo x >"$here/begun"; wait',
    )
    asking = subprocess.Popen([sys.executable, "-c", ASKS_TWICE], stderr=subprocess.DEVNULL)
    both_begun(stub.folder / "begun")
    asking.kill()
    asking.wait()
    pids = [int(line) for line in (stub.folder / "pids").read_text().split()]
    assert len(pids) == 4
    assert [pid for pid in pids if not docker_stub.ends(pid)] == []
    assert len(sessions(stub)) == 3
    assert [pid for pid in members(sessions(stub)) if not docker_stub.ends(pid)] == []
    assert not (stub.folder / "asked").exists()


def both_begun(fifo: Path) -> None:
    """Return when two calls have written their line."""
    reading = os.open(fifo, os.O_RDWR)  # to write too, or the end of the first one were the end of the file
    try:
        heard = b""
        while heard != b"x\nx\n":
            heard += os.read(reading, 4)
    finally:
        os.close(reading)


def take_shell(stub: docker_stub.DockerStub, shell: str) -> None:
    """Make it the `sh` of the calls."""
    (stub.folder / "bin" / "sh").symlink_to(str(shutil.which(shell)))


def sessions(stub: docker_stub.DockerStub) -> set[int]:
    """The sessions of the calls so far, which are one each."""
    return {int(line) for line in (stub.folder / "sessions").read_text().split()}


def members(wanted: set[int]) -> list[int]:
    """Who is in these sessions: whatever a call has started, the shell's own children too."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        found += [int(entry.parent.name)] if int(fields[3]) in wanted else []
    return found


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("code", [0, 3])
def test_p8_nobody_watches_after_the_end(stub: docker_stub.DockerStub, code: int, shell: str) -> None:
    """Nor says a word: exit code and output are docker's alone, and nothing is left to be waited for."""
    take_shell(stub, shell)
    stub.does("compose", f"{SESSION}; echo said; echo that >&2; exit {code}")
    stub.says("info", code=1)
    assert docker.Engine().run_service(service()) == docker.RunOutcome(code, ("said", "that"))
    assert members(sessions(stub)) == []


def test_p8_nobody_watching_holds_on_to_the_output(stub: docker_stub.DockerStub) -> None:
    """Where somebody else killed the call's own shell, which then cannot end the watch."""
    shell = "leader=$(cut -d' ' -f6 </proc/$$/stat)"
    stub.does("container wait", f"{SESSION}; {shell}; kill -KILL $(cat /proc/$leader/task/$leader/children); exit 0")
    try:
        with pytest.raises(docker.CommandFailed) as caught:
            docker.Engine().wait(ID, seconds=60)
        assert caught.value.exit_code == 128 + 9
    finally:
        for pid in members(sessions(stub)):
            os.kill(pid, signal.SIGKILL)


def test_p8_the_look_for_members_sees_them() -> None:
    """Counter-check."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as alive:
        assert members({alive.pid}) == [alive.pid]
        alive.kill()
    assert members({alive.pid}) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_p8_without_a_lifeline_a_call_is_only_not_watched(
    stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    """As where /proc is not mounted, or another user's: no word of it in the answer, and the same exit code."""
    take_shell(stub, shell)
    monkeypatch.setattr(lifeline, "path", lambda: "/nowhere/fd/3")
    stub.does("container wait", "echo that >&2; exit 5")
    with pytest.raises(docker.CommandFailed) as caught:
        docker.Engine().wait(ID, seconds=60)
    assert (caught.value.exit_code, caught.value.tail) == (5, ("that",))


@pytest.mark.parametrize("shell", SHELLS)
def test_p8_nothing_begins_for_somebody_who_is_gone(stub: docker_stub.DockerStub, shell: str) -> None:
    """Killed between the child's start and its first look at the lifeline."""
    take_shell(stub, shell)
    stub.says("container wait")
    script = (
        f"import json, sys; sys.path.insert(0, {str(ROOT)!r}); from controller import docker_child; "
        "print(json.dumps(docker_child.prefix(60, log=True)))"
    )
    gone = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60).stdout
    for words, runs in ((docker_child.prefix(60, log=True), True), (json.loads(gone), False)):
        before = len(stub.calls)
        ended = subprocess.run([*words, "container", "wait"], check=False, capture_output=True, timeout=60)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0 if runs else 1, b"", b"")
        assert len(stub.calls) - before == runs


def test_h5_what_the_shell_itself_complains_of_is_not_lost(stub: docker_stub.DockerStub) -> None:
    """As that it cannot find one of its programs."""
    stub.says("container list")
    for program in {*docker_child.PROGRAMS, "cat"} - {"head"}:
        (stub.folder / "bin" / program).symlink_to(str(shutil.which(program)))
    words = [*docker_child.prefix(60, log=False), "container", "list"]
    only = {"PATH": str(stub.folder / "bin")}
    ended = subprocess.run(words, env=only, check=False, capture_output=True, timeout=60)
    assert b"head" in ended.stderr


def test_b3_the_lifeline_is_not_inherited(stub: docker_stub.DockerStub) -> None:
    """Neither by docker nor by any other child: it would live on with them."""
    stub.does("container logs", "ls -l /proc/self/fd /proc/$$/fd; exit 0")
    lines = docker.Engine().logs(ID, lines=50)
    pipe = os.readlink(lifeline.path())
    assert any("pipe:" in line for line in lines)
    assert not [line for line in lines if pipe in line]
    shown = subprocess.run(["ls", "-l", "/proc/self/fd"], check=True, capture_output=True, text=True, close_fds=False)
    assert pipe not in shown.stdout


def test_terminate_children_without_a_child_is_fine() -> None:
    docker.terminate_children()


def test_k1_nothing_secret_is_told_by_the_library_either(
    stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """DK4: its exceptions hold argv and output, its debug mode prints the environment, its parser leaves files."""
    monkeypatch.setenv("PYTHON_ON_WHALES_DEBUG", "1")
    monkeypatch.setenv("AUTH_PASS", CANARY)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    stub.does("", f'echo "$AUTH_PASS {CANARY}"; echo "$AUTH_PASS" >&2; exit 7')
    engine = docker.Engine(host="tcp://10.0.0.9:2376")
    for act in (*LATE.values(), *SILENT.values()):
        try:
            told = repr(act(engine))
        except (docker.CommandFailed, errors.ControllerError) as failed:
            assert failed.__cause__ is None
            assert failed.__suppress_context__ or failed.__context__ is None
            told = f"{failed} {failed!r} {getattr(failed, 'tail', ())}"
        assert CANARY not in told
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["stub"]


@pytest.mark.parametrize("words", ["container logs", "container list"])
def test_k1_a_secret_that_lost_its_name_where_output_was_cut_is_not_told(
    stub: docker_stub.DockerStub, words: str
) -> None:
    stub.says(words, err=f"password={CANARY * 40_000}\nError: the end\n", code=1)
    with pytest.raises((docker.CommandFailed, errors.ControllerError)) as caught:
        {**LATE, **SILENT}[words](docker.Engine())
    assert CANARY not in f"{caught.value} {getattr(caught.value, 'tail', ())}"
    assert "the end" in str(caught.value)


def test_compose_s_environment_is_its_own(stub: docker_stub.DockerStub) -> None:
    stub.does("compose", 'echo "$CONFIG_DIR"')
    assert docker.Engine().run_service(service(CONFIG_DIR="/a b/$x;'\"")).tail == ("/a b/$x;'\"",)
    assert "CONFIG_DIR" not in os.environ or os.environ["CONFIG_DIR"] != "/a b/$x;'\""


def test_the_library_is_loaded_by_the_first_call_only() -> None:
    """It takes 0.2 s, which a command without an engine must not pay."""
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from controller import docker; docker.Engine(host='ssh://x')"
        ".address; sys.exit('python_on_whales' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("name", ["CONTROLLER_SOURCE__GIT__PASSWORD", "controller_notify__url", "Controller_Whatever"])
def test_p13_docker_and_compose_see_none_of_our_settings(
    stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Which may be secret, in any spelling that is read; a compose file could name them as ${CONTROLLER_…}."""
    monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("STAYS", "here")
    for words in ("container list", "compose"):
        stub.does(words, 'env >>"$here/environment"; tr "\\0" "\\n" </proc/$PPID/environ >>"$here/environment"')
    engine = docker.Engine()
    engine.containers()
    assert engine.run_service(service(CONFIG_DIR="/c")).exit_code == 0
    seen = (stub.folder / "environment").read_text().splitlines()
    assert [line for line in seen if line.startswith(f"{name}=") or CANARY in line] == []
    assert seen.count("STAYS=here") == 4
    assert seen.count("CONFIG_DIR=/c") == 2
