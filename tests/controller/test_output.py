"""What reaches a terminal or a program: no character that it would obey, and no failure for want of a reader."""

import contextlib
import io
import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import errors, output
from core import problems

NASTY = [
    "\x1b[2J",
    "\x00",
    "\r",
    "\n",
    "\x7f",
    "\x9b31m",
    "\u202e",
    "\u2066",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\ud800",
    "\u200b",
]


@given(st.text())
def test_k2_nothing_printed_controls_a_terminal(text: str) -> None:
    """K2: no C0, C1, bidirectional or line-separating character; what is harmless stays as it is."""
    cleaned = output.clean(text)
    assert {unicodedata.category(char) for char in cleaned}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
    harmless = [char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    if len(harmless) == len(text) <= output.LONGEST_LINE:
        assert cleaned == text


@pytest.mark.parametrize("char", NASTY, ids=ascii)
def test_k2_escapes_can_be_told_apart(char: str) -> None:
    cleaned = output.clean(f"a{char}b")
    assert cleaned.startswith("a\\")
    assert cleaned.isprintable()


def test_k2_a_megabyte_is_cut_and_said_so() -> None:
    cleaned = output.clean("x" * 1_000_000)
    assert len(cleaned) < 2100
    assert cleaned.endswith("(1000000 characters)")


def test_k2_each_line_stays_one_line() -> None:
    """K2: a newline inside a name begins no line of its own."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        output.Printer().result("x", {}, ["one\ntwo", "three\r\n"])
    assert stream.getvalue() == "one\\x0atwo\nthree\\x0d\\x0a\n"


@pytest.mark.parametrize("char", NASTY, ids=ascii)
def test_k2_json_is_one_printable_line(char: str) -> None:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        output.Printer(as_json=True).result("x", {"name": f"a{char}b"}, ["not this"])
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert json.loads(line) == {"schema": "artifact-controller/x/v1", "name": f"a{char}b"}


def test_quiet_drops_diagnostics_and_neither_results_nor_failures() -> None:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        printer = output.Printer(quiet=True)
        printer.diagnostics(["dropped"])
        printer.failure(["why"])
        printer.result("x", {}, ["kept"])
    assert (out.getvalue(), err.getvalue()) == ("kept\n", "why\n")


def test_a_failure_ends_with_the_sentence_and_the_way_out() -> None:
    """Places first, then what explains them: in a long output the last lines are the ones that are read."""
    found = (problems.Problem("a.yml", 1, 2, "key", "is wrong"),)
    assert output.failure_lines("LockBusy", "busy", found, above=["~ function f"]) == [
        "error: a.yml:1:2: key: is wrong",
        "~ function f",
        "failed (LockBusy): busy",
        f"hint: {errors.MEANINGS['LockBusy'].hint}",
    ]


@pytest.mark.parametrize("sink", ["/dev/full", "a pipe without a reader"])
def test_k3_a_sink_that_takes_nothing_is_not_a_failure(sink: str, tmp_path: Path) -> None:
    """K3: the words are lost, the result is not; also the flush at the end of the process finds peace."""
    if sink == "/dev/full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, descriptor = os.pipe()
        os.close(reading)
    with open(descriptor, "w", encoding="utf-8") as stream:
        with contextlib.redirect_stdout(stream):
            output.Printer().result("x", {}, ["line"] * 10_000)
            output.Printer().result("x", {}, ["and again"])
        stream.flush()


def test_l4_an_encoding_without_the_character_prints_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    """L4: LANG=C."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        output.prepare_streams()
        output.Printer().result("x", {}, ["Plan: · …"])
    stream.flush()
    assert raw.getvalue() == b"Plan: \\xb7 \\u2026\n"
