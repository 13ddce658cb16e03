"""`status --watch`: a block a change, a screen on a terminal, and an end without a fuss (faults.md K2, K3, L2)."""

import errno
import json
import os
import pty
import select
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes import command
from tests.fakes.command import Shop

PATIENCE_S = 120.0


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path).published()


class Watching:
    """A watch that runs, and what can be read of it at `descriptor`."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self.process = process
        self.text = ""
        self.terminal = descriptor

    def until(self, wanted: str) -> str:
        """Everything up to and with this text that was not returned before."""
        while wanted not in self.text:
            ready, _, _ = select.select([self.terminal], [], [], PATIENCE_S)
            assert ready, self.text
            try:
                piece = os.read(self.terminal, 1 << 16)
            except OSError as error:  # the other end of a terminal is closed
                assert error.errno == errno.EIO
                piece = b""
            assert piece, self.text
            self.text += piece.decode()
        end = self.text.index(wanted) + len(wanted)
        found, self.text = self.text[:end], self.text[end:]
        return found

    def ended(self, signum: int) -> int:
        """The exit code after this signal."""
        self.process.send_signal(signum)
        return self.process.wait(PATIENCE_S)


@contextmanager
def watching(
    shop: Shop, *more: str, terminal: bool = False, file: Path | None = None, **environment: str
) -> Iterator[Watching]:
    """`status --watch` of the shop, or of the targets in a file, with a pipe or a terminal to print to."""
    reading, writing = pty.openpty() if terminal else os.pipe()
    about = ("--config-dir", shop.config) if file is None else ("--config", file)
    line = command.line("status", "--watch", "--interval", "100ms", *about, *more)
    process = subprocess.Popen(
        line, stdout=writing, stderr=subprocess.PIPE, env=command.child_environment({"TERM": "xterm", **environment})
    )
    os.close(writing)
    try:
        yield Watching(process, reading)
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        assert process.stderr is not None
        process.stderr.close()
        os.close(reading)


def test_a_block_for_each_change_and_none_without(shop: Shop) -> None:
    with watching(shop) as seen:
        seen.until("Ready       True")
        shop.about("suspend", "--reason", "first")
        assert "\n\ntarget      default\n" in seen.until(": first\n")
        shop.about("resume")
        shop.about("suspend", "--reason", "second")
        told = seen.until(": second\n")
        assert told.count("target      default") <= 2
        assert "\x1b" not in told
        assert seen.ended(signal.SIGINT) == 0


def test_json_is_a_line_for_each_change(shop: Shop) -> None:
    with watching(shop, "--output", "json") as seen:
        first = json.loads(seen.until("\n"))
        shop.about("suspend", "--reason", "x")
        then = json.loads(seen.until("\n"))
        assert (first["suspension"], then["suspension"]["reason"]) == (None, "x")


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_a_terminal_is_drawn_anew_without_any_colour(shop: Shop, variables: dict[str, str]) -> None:
    with watching(shop, file=None, terminal=True, **variables) as seen:
        seen.until("\x1b[J")
        shop.about("suspend", "--reason", "x")
        told = seen.until("\x1b[J")
        assert "\x1b[H" in told
        assert "suspended   by operator" in told
        assert "m" not in {piece[:3].lstrip("0123456789;")[:1] for piece in told.split("\x1b[")[1:]}
        assert seen.ended(signal.SIGINT) == 0


def test_a_narrow_terminal_shows_every_word_and_a_new_size_is_drawn_anew(shop: Shop) -> None:
    reason = "a reason of many words, the last of which is the one that matters: unobtainium"
    shop.about("suspend", "--reason", reason)
    with watching(shop, terminal=True, COLUMNS="80", LINES="24") as seen:
        termios.tcsetwinsize(seen.terminal, (60, 50))
        lines = ["x" * 50]
        while max(map(len, lines[1:] or lines)) >= 50:  # the first may have been drawn before the size was set
            told = seen.until("\x1b[J").removesuffix("\x1b[J").replace("\r", "")
            lines = [line.removesuffix("\x1b[K") for line in told.split("\n")]
        assert reason in " ".join(" ".join(lines).split())
        termios.tcsetwinsize(seen.terminal, (8, 50))
        assert "more lines" in seen.until("\x1b[J"), "nothing has changed but the size"
        assert seen.ended(signal.SIGINT) == 0


def test_words_of_wide_characters_break_no_line_of_the_terminal(shop: Shop) -> None:
    """They take two cells each: nothing is wider than the terminal, and nothing is lost."""
    reason = "漢字" * 30
    shop.about("suspend", "--reason", reason)
    with watching(shop, terminal=True) as seen:
        termios.tcsetwinsize(seen.terminal, (60, 40))
        lines = ["x" * 50]
        while max(map(len, lines[1:] or lines)) >= 40:  # the first may have been drawn before the size was set
            told = seen.until("\x1b[J").removesuffix("\x1b[J").replace("\r", "")
            lines = [line.removesuffix("\x1b[K").removeprefix("\x1b[H") for line in told.split("\n")]
        assert max(len(line) + sum(one in reason for one in line) for line in lines) < 40
        assert "".join(one for line in lines for one in line if one in reason) == reason
        assert seen.ended(signal.SIGINT) == 0


def test_a_terminal_is_drawn_anew_after_it_was_stopped(shop: Shop) -> None:
    """Ctrl-Z and `fg`: what the shell printed meanwhile stands there, although nothing has changed."""
    with watching(shop, terminal=True) as seen:
        seen.until("\x1b[J")
        seen.process.send_signal(signal.SIGSTOP)
        seen.process.send_signal(signal.SIGCONT)
        assert "Ready       True" in seen.until("\x1b[J")
        assert seen.ended(signal.SIGINT) == 0


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_draw_gets_blocks(shop: Shop, term: str) -> None:
    with watching(shop, terminal=True, TERM=term) as seen:
        assert "\x1b" not in seen.until("Ready       True")
        shop.about("suspend", "--reason", "x")
        assert "\x1b" not in seen.until("suspended   by operator")
        assert seen.ended(signal.SIGINT) == 0


def test_k3_it_ends_when_nobody_reads(shop: Shop) -> None:
    """K3: `status --watch | head -1` leaves no process behind, although nothing changes any more."""
    watch = " ".join(f"'{word}'" for word in command.line("status", "--watch", "--config-dir", shop.config))
    ended = subprocess.run(
        ["sh", "-c", f"{watch} | head -1"],
        env=command.child_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "target      default\n", "")


def test_l2_another_signal_ends_it_with_its_code(shop: Shop) -> None:
    with watching(shop) as seen:
        seen.until("Ready")
        assert seen.ended(signal.SIGTERM) == 143


def test_what_fails_later_is_shown_and_passes(shop: Shop) -> None:
    aside = shop.folder / "aside"
    with watching(shop) as seen:
        seen.until("Ready")
        shop.config.rename(aside)
        seen.until("failed (ConfigDirUnusable)")
        aside.rename(shop.config)
        seen.until("Ready")
        assert seen.ended(signal.SIGINT) == 0


def test_the_table_of_several_stands_before_what_is_wrong_with_one(shop: Shop) -> None:
    """The end is what a small screen has no room for."""
    file = shop.folder / "controller.yml"
    targets = {"good": {"config_dir": "config"}, "lost": {"config_dir": "nowhere"}}
    file.write_text(json.dumps({"targets": targets}), encoding="utf-8")
    with watching(shop, file=file) as seen:
        told = seen.until("lost: failed (ConfigDirUnusable)")
        assert [line.split()[:3] for line in told.splitlines()[:3]] == [
            ["TARGET", "READY", "REASON"],
            ["good", "True", "FirstPublish"],
            ["lost", "Unknown", "ConfigDirUnusable"],
        ]


def test_what_fails_at_once_is_an_error(shop: Shop) -> None:
    ended = shop.run("status", "--watch", "--config-dir", shop.folder / "nowhere")
    assert (ended.code, "failed (ConfigDirUnusable)" in ended.err) == (73, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--interval", "1s"), "give that too"),
        (("--watch", "--interval", "1ms"), "at least 100ms"),
        (("--watch", "--interval", "soon"), "--interval"),
    ],
)
def test_an_interval_that_cannot_be(shop: Shop, given: tuple[str, ...], said: str) -> None:
    ended = shop.about("status", *given)
    assert ended.code == 64
    assert said in ended.err
