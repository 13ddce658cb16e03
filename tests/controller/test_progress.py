"""Steps that take long: plain lines for logs, lines in place on a terminal, which is left as it was."""

import contextlib
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import clock, colour, progress
from controller.commands import painting
from tests.fakes import command, daemons


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "UNTOLD_S", 0.0)


class Terminal:
    """The outer side of a pseudo terminal: everything that was sent, and what is on the screen after that."""

    def __init__(self, columns: int) -> None:
        self._outer, self.inner = os.openpty()
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.columns = columns
        self.sent = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # how Linux tells that nobody has the inner side open any more
            while True:
                self.sent += os.read(self._outer, 4096)

    def close(self) -> None:
        """Everything was sent."""
        os.close(self.inner)
        self._listener.join(daemons.PATIENCE_S)
        os.close(self._outer)

    @property
    def text(self) -> str:
        """What was sent."""
        return self.sent.decode(errors="replace")  # the last character may have come in part

    def screen(self) -> list[str]:
        """The lines that stay; knows just what a redrawn line needs, and fails for everything else."""
        rows, row = [""], 0
        for escape, control, words in re.findall(r"\x1b\[([?\d;]*[A-Za-z])|([\r\n])|([^\x1b\r\n]+)", self.text):
            if escape.endswith("A"):
                row -= int(escape[:-1] or 1)
            elif escape == "2K":
                rows[row] = ""
            elif control == "\n":
                row += 1
                rows += [""] * (row + 1 - len(rows))
            elif words:
                rows[row] = words
            else:
                assert control == "\r" or escape in ("?25l", "?25h") or escape.endswith("m"), escape
        return [line for line in rows if line.strip()]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    one = Terminal(40)
    try:
        yield one
    finally:
        with contextlib.suppress(OSError):
            one.close()


def test_nothing_is_told_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    """As in a controller that stays."""
    with progress.step("building 1 of 1: orders"):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_plain_line_when_a_step_begins_and_one_when_it_ends() -> None:
    hours, told = command.Hours(), list[str]()
    with hours.installed(), progress.plain(told.extend):
        with progress.step("building 1 of 2: orders"):
            hours.ahead_s += 12.0
            assert told == ["building 1 of 2: orders"]
        with pytest.raises(ValueError, match="no"), progress.step("pushing 1 of 2: \x1b[31mred"):
            raise ValueError("no")
    with progress.step("afterwards"):
        pass
    assert re.fullmatch(r"building 1 of 2: orders: done in 1[2-9]\.\d s", told[1])
    assert told[2] == r"pushing 1 of 2: \x1b[31mred"
    assert re.fullmatch(r"pushing 1 of 2: \\x1b\[31mred: failed after \d\.\d s.*", told[3])
    assert len(told) == 4


def test_what_is_over_at_once_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(progress, "UNTOLD_S", 3600.0)
    with progress.plain(told.extend), progress.step("fetching the source"):
        pass
    assert told == []
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer) and not one.finished.is_set()]


def test_what_takes_longer_is_told_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(progress, "UNTOLD_S", 0.001)
    with progress.plain(told.extend), progress.step("fetching the source"):
        daemons.until(lambda: told)
    assert told[0] == "fetching the source"
    assert re.fullmatch(r"fetching the source: done in \d+\.\d s", told[1])


LIVE = """
import sys, threading
from controller import clock, progress
progress.UNTOLD_S = 0.0
with progress.live(sys.stderr):
    with progress.step("building 1 of 2: a function with a name that is longer than the terminal"):
        with progress.step("building 2 of 2: [red]b[/red]"):
            sys.stdin.readline()
        sys.stdin.readline()
"""


def started(terminal: Terminal, *line: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """A process with this terminal as its stderr."""
    given = {**command.child_environment({}), "TERM": "xterm", **(environment or {})}
    for name in ("COLUMNS", "LINES"):  # would count more than the terminal
        given.pop(name, None)
    return subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=terminal.inner, env=given, start_new_session=True
    )


def test_the_seconds_are_those_of_the_step(terminal: Terminal) -> None:
    """Not of its line, which comes later."""
    with os.fdopen(os.dup(terminal.inner), "w") as stream:
        display = progress._Live(stream)
        end = display.begin("building 1 of 1: orders", clock.Clock().monotonic_s() - 75)
        daemons.until(lambda: re.search("7[5-9] s", terminal.text))
        end("done in")
        display.close()


def test_on_a_terminal_every_step_has_a_line_in_its_place(terminal: Terminal) -> None:
    """Cut to the width; and at the end nothing of it is left, the cursor neither hidden."""
    with started(terminal, sys.executable, "-c", LIVE) as child:
        assert child.stdin is not None
        seen: list[str] = []

        def is_whole() -> bool:
            seen[:] = terminal.screen()
            text = "\n".join(line.rstrip() for line in seen)
            return bool(
                re.fullmatch(r"building 1 of 2: a function.*… +\d+ s\nbuilding 2 of 2: \[red\]b\[/red\] +\d+ s", text)
            )

        daemons.until(is_whole)
        assert max(map(len, seen)) <= terminal.columns
        child.stdin.write(b"\n")
        child.stdin.flush()
        daemons.until(lambda: len(terminal.screen()) == 1)
        child.stdin.close()
        assert child.wait(daemons.PATIENCE_S) == 0
    terminal.close()
    assert terminal.screen() == []
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")


SLOW_GIT = '#!/bin/sh\nprintf x >>"{begun}"\nexec sleep 60\n'


@pytest.mark.process
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_l2_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, terminal: Terminal, signum: int) -> None:
    """L2: no line in place, no hidden cursor, no escape after the words of the end."""
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(SLOW_GIT.format(begun=tmp_path / "begun"), encoding="utf-8")
    shim.chmod(0o755)
    path = f"{shim.parent}:{os.environ['PATH']}"
    source = ("--git", "https://localhost/shop", "--state-dir", tmp_path / "state")
    words = command.line("reconcile", "--once", *source, "--config-dir", tmp_path / "config")
    with started(terminal, *words, environment={"PATH": path}) as child:
        daemons.until(lambda: "fetching the source" in terminal.text)
        os.kill(child.pid, signum)
        assert child.wait(daemons.PATIENCE_S) == 128 + signum
    terminal.close()
    assert terminal.screen() == [
        f"stopped: ended by signal {int(signum)}, with the work cut short; nothing half-written is visible"
    ]
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
    assert "\x1b" not in terminal.text.partition("stopped")[2]


QUICK = """
import sys
from controller import cli, progress
progress.UNTOLD_S = 3600.0  # however slow this machine is
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.mark.process
@pytest.mark.parametrize("option", ["", "--quiet"])
@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_plain_and_quiet_draw_nothing(tmp_path: Path, terminal: Terminal, term: str, option: str) -> None:
    """TERM=dumb is a terminal that cannot; --quiet wants none. A pass over a folder takes no time in any case."""
    shop = command.Shop(tmp_path)
    words = ["reconcile", "--once", *map(str, shop.target), *([option] if option else [])]
    with started(terminal, sys.executable, "-c", QUICK, *words, environment={"TERM": term}) as child:
        out, _ = child.communicate(timeout=daemons.PATIENCE_S)
        assert child.returncode == 0
    terminal.close()
    assert "\x1b" not in terminal.text
    assert b"\x1b" not in out, "stdout is no terminal"
    assert b"+ function orders-create" in out


# Colour


MARKED = {
    "+ function a  change: NewInSource, reload": "\x1b[32m+ function a  change: NewInSource, reload\x1b[0m",
    "~ route /a:GET  drift: EditedInConfigDir, reload": "\x1b[33m~ route /a:GET  drift: EditedInConfigDir, reload\x1b[0m",
    "- table a  change: RemovedFromSource, destructive": "\x1b[31m- table a  change: RemovedFromSource, destructive\x1b[0m",
    "      ~ timeout: 10 -> 25": "      \x1b[33m~ timeout: 10 -> 25\x1b[0m",
    "! Suspended: by operator": "\x1b[31m! Suspended: by operator\x1b[0m",
    "Plan: 1 to add": "\x1b[1mPlan: 1 to add\x1b[0m",
    "done (InSync): nothing": "done (InSync): nothing",
    "-x": "-x",
}


@pytest.mark.parametrize("line", MARKED)
def test_colour_repeats_the_mark(line: str) -> None:
    assert painting.painted(line) == MARKED[line]
    assert re.sub(r"\x1b\[\d+m", "", painting.painted(line)) == line, "without colour every word is still there"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb", "CLICOLOR_FORCE": "1"}, True),
        ({"TERM": "xterm", "CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_on_a_terminal_that_can(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool
) -> None:
    for name in ("TERM", "NO_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with os.fdopen(os.dup(terminal.inner), "w") as stream:
        assert colour.is_wanted(stream) == coloured


def test_colour_in_a_pipe_only_when_forced(tmp_path: Path) -> None:
    shop = command.Shop(tmp_path)
    assert "\x1b" not in shop.diff().out
    ended = shop.run("diff", *shop.target, environment={"CLICOLOR_FORCE": "1"})
    assert "\x1b[32m+ function orders-create" in ended.out
    machine = shop.run("diff", *shop.target, "--output", "json", environment={"CLICOLOR_FORCE": "1"})
    assert "\x1b" not in machine.text
