"""Printing: results to stdout, diagnostics to stderr, text for people or one JSON document for programs.

Owns two promises (faults.md K2, K3): nothing printed holds a control character that a terminal would obey, or a command
that GitHub's runner would, and a reader that went away never turns a finished pass into a failure. Decides nothing
about content.
"""

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from controller import errors
from controller.outputs import choice
from core import problems

LONGEST_LINE = 2000
"""Characters of one printed line; a name of a megabyte in a bad document must not flood a log."""

_NEUTRAL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(text: str) -> str:
    """The text with control, bidirectional and line-separating characters written as ``\\xNN`` or ``\\uNNNN``."""
    if text.isascii() and text.isprintable():
        cleaned = text
    else:
        cleaned = "".join(
            _escaped(char) if unicodedata.category(char) in _NEUTRAL_CATEGORIES else char for char in text
        )
    return cleaned if len(cleaned) <= LONGEST_LINE else f"{cleaned[:LONGEST_LINE]}… ({len(cleaned)} characters)"


def _escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def _shown(line: str) -> str:
    """A line for people. The runner of GitHub obeys what begins with ``::``, and ``##[`` anywhere, in all that a step
    prints: such words of a source stay words."""
    cleaned = clean(line)
    if not choice.under_github():
        return cleaned
    start = len(cleaned) - len(cleaned.lstrip())
    if cleaned.startswith("::", start):
        cleaned = f"{cleaned[:start]}\\x3a{cleaned[start + 1 :]}"
    return cleaned.replace("##[", "#\\x23[")


def failure_lines(
    reason: str, message: str, found: Iterable[problems.Problem] = (), *, above: Iterable[str] = ()
) -> list[str]:
    """A failure as people read it: every place, the lines that explain it, then the sentence and the way out."""
    return [
        *(line for problem in found for line in f"{problem.severity}: {problem}".split("\n")),
        *above,
        f"failed ({reason}): {message}",
        f"hint: {errors.MEANINGS[reason].hint}",
    ]


def show_error(error: errors.ControllerError, printer: "Printer") -> None:
    """An error as people read it (every place, then the sentence, then the way out), and as programs do."""
    if printer.as_json:
        printer.result("error", error_payload(error), ())
    printer.failure(failure_lines(error.reason, error.message, error.problems))


def error_payload(error: errors.ControllerError) -> dict[str, Any]:
    """An error as programs read it: `error/v1` of docs/json.md."""
    return {
        "failed": True,
        "reason": error.reason,
        "message": error.message,
        "exit_code": error.meaning.exit_code,
        "hint": error.meaning.hint,
        "problems": [problem_payload(problem) for problem in error.problems],
    }


def document(schema: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """A result for programs, tagged with its versioned schema."""
    return {"schema": f"artifact-controller/{schema}/v1", **payload}


def problem_payload(problem: problems.Problem) -> dict[str, Any]:
    """A problem as JSON; `docs/json.md` describes it."""
    return {
        "severity": str(problem.severity),
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "message": problem.message,
    }


@dataclass(frozen=True, slots=True)
class Printer:
    """Where a command's words go. `as_json` prints the payload instead of the lines; `quiet` drops the diagnostics;
    `aside` leaves stdout to a document of another form, so that results are diagnostics too. `target` is whose words
    these are, where there are several."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    aside: bool = False
    target: str = ""

    def result(
        self,
        schema: str,
        payload: Mapping[str, Any],
        lines: Iterable[str],
        *,
        paint: Callable[[str], str] = str,
    ) -> None:
        """The command's result: `payload` as one line of JSON, tagged with its versioned schema, or `lines`, each of
        them painted once it is clean."""
        if self.as_json:
            line = json.dumps(document(schema, payload))
            self.put(sys.stdout, [line.replace("##[", "#\\u0023[") if choice.under_github() else line])
        elif self.aside:
            self.diagnostics(lines)
        else:
            self.put(sys.stdout, [paint(_shown(line)) for line in lines])

    def failure(self, lines: Iterable[str]) -> None:
        """Why the command failed: told even to those who asked for quiet."""
        self.put(sys.stderr, [_shown(line) for line in lines])

    def diagnostics(self, lines: Iterable[str]) -> None:
        """What a person should know besides the result."""
        if not self.quiet:
            self.put(sys.stderr, [_shown(line) for line in lines])

    def meanwhile(self, lines: Iterable[str]) -> None:
        """What is going on just now."""
        self.diagnostics(lines)

    def machine(self, lines: Iterable[str]) -> None:
        """Lines of `controller.outputs`, which knows who reads them and has made them safe for that reader."""
        self.put(sys.stdout, list(lines))

    def put(self, stream: TextIO, lines: list[str]) -> None:
        """The way of all lines, which are as they are to be printed."""
        write(stream, lines)


def write(stream: TextIO, lines: list[str]) -> None:
    """Print lines that are clean; a stream that takes no more swallows them."""
    try:
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()
    except BrokenPipeError:
        silence(stream)
    except OSError:
        # A full disk or a closed descriptor behind stdout: the work is done and recorded, only its words are lost.
        silence(stream)


def silence(stream: TextIO) -> None:
    """Let the interpreter's own flush at exit find a stream that takes everything."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def prepare_streams() -> None:
    """Make printing safe before anything is opened (faults.md K3, L4).

    A stream that was closed by whoever started this process is opened on nothing, or else the next file opened (the
    database, say) would get its number and the words. Characters that the terminal's encoding lacks are escaped.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
