"""`--watch`: a result that is made again and again, and shown when it is another one.

On a terminal the screen is drawn anew, also when its size is another one; elsewhere each change is a block, or a line
of JSON, of its own. There is no colour, so that nothing depends on one. Looks on a timer: what is shown is read anew
each time, and nothing is kept.
"""

import contextlib
import io
import os
import select
import signal
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import click

from controller import clock, errors, output, settings_values

USUAL_S = 2.0
_SHORTEST_S = 0.1
_NAMES = 12
_UNKNOWN_SIZE = os.terminal_size((80, 24))
_HOME, _CLEAR_BELOW, _CLEAR_LINE = "\x1b[H", "\x1b[J", "\x1b[K"


def interval_s(text: str | None, *, watch: bool) -> float:
    """The value of ``--interval``. Raises `click.UsageError`."""
    if text is None:
        return USUAL_S
    if not watch:
        raise click.UsageError("--interval is about --watch: give that too")
    try:
        seconds = settings_values.seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--interval") from None
    if seconds < _SHORTEST_S:
        raise click.BadParameter("at least 100ms", param_hint="--interval")
    return seconds


def until_the_end(show: Callable[[], int], every_s: float, *, as_json: bool) -> int:
    """Call `show` until Ctrl-C or until nobody reads any more, both of which end it with 0: it has no other end. What
    fails at once is an error; what fails later is shown, and may pass."""
    last: tuple[str, os.terminal_size | None] | None = None
    stopped: list[int] = []
    try:
        signal.signal(signal.SIGCONT, lambda signum, _: stopped.append(signum))
        while True:
            again, stopped[:] = bool(stopped), []
            seen = _shown(show, first=last is None), _screen(as_json=as_json)
            if seen != last or (again and seen[1] is not None):  # the shell has printed there since Ctrl-Z
                _draw(*seen, every_s, apart=last is not None and not as_json)
            last = seen
            if not _waited(every_s):
                return errors.OK
    except BrokenPipeError:
        output.silence(sys.stdout)
        return errors.OK
    except errors.Interrupted as interrupted:
        if interrupted.signum != signal.SIGINT:
            raise
        return errors.OK


def _shown(show: Callable[[], int], *, first: bool) -> str:
    """What it prints; below that its complaints, which must not push a table out of a small screen."""
    printed, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaints):
        try:
            show()
        except errors.ControllerError as error:
            if first:
                raise
            output.Printer().failure(output.failure_lines(error.reason, error.message, error.problems))
    return printed.getvalue() + complaints.getvalue()


def _screen(*, as_json: bool) -> os.terminal_size | None:
    """The size of the terminal to draw on; None where text is only appended. COLUMNS, where a shell exports it, is the
    size of before."""
    if sys.stdout.isatty() and not as_json and os.environ.get("TERM", "dumb") not in ("", "dumb"):
        size = os.get_terminal_size(sys.stdout.fileno())
        return size if size.columns and size.lines else _UNKNOWN_SIZE
    return None


def _draw(text: str, screen: os.terminal_size | None, every_s: float, *, apart: bool) -> None:
    if screen is None:
        sys.stdout.write(f"\n{text}" if apart else text)
    else:
        lines = [f"every {every_s:g}s, Ctrl-C ends", "", *_wrapped(text, screen.columns - 1)]
        if len(lines) >= screen.lines:
            lines = [*lines[: screen.lines - 2], f"… and {len(lines) - screen.lines + 2} more lines"]
        body = "".join(f"{line[: screen.columns - 1]}{_CLEAR_LINE}\n" for line in lines)
        sys.stdout.write(f"{_HOME}{body}{_CLEAR_BELOW}")
    sys.stdout.flush()


_FILLER = "\0"
"""Stands behind a character that takes two cells; printed lines never hold one."""


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Lines that fit: what has no room goes on below, behind the column of the names. Counted in cells: a line that the
    terminal breaks by itself would push the others off the screen."""
    for line in text.splitlines():
        cells = "".join(one + _FILLER if unicodedata.east_asian_width(one) in "WF" else one for one in line)
        pieces = textwrap.wrap(
            cells, max(width, 1), subsequent_indent=" " * min(_NAMES, width // 4), break_on_hyphens=False
        )
        yield from (piece.replace(_FILLER, "") for piece in pieces or [""])


def _waited(every_s: float) -> bool:
    """Wait; False when the reader of a pipe, or the terminal, has gone meanwhile."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        clock.Clock().sleep(every_s)
        return True
    watched: Any = select.poll()
    watched.register(descriptor, 0)
    return not watched.poll(every_s * 1000)
