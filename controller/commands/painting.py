"""Colour for the marks of a plan: green `+`, yellow `~`, red `-` and `!`. It repeats what the mark says and never says
anything alone.

`controller.colour` decides when. Knows nothing of what a line says.
"""

import re
from collections.abc import Callable
from typing import TextIO

import click

from controller import colour

_COLOURS = {"+": "green", "~": "yellow", "-": "red", "!": "red", "*": "cyan", ">": "cyan"}
_MARKED = re.compile(r"(?P<indent> {0,6})(?P<mark>[+~!*>-]) (?P<text>.*)", re.DOTALL)


def of_plan(stream: TextIO) -> Callable[[str], str]:
    """How the lines of a plan are painted for this stream. Each line is clean by then: the only escapes are ours."""
    return painted if colour.is_wanted(stream) else str


def painted(line: str) -> str:
    """One line of a plan, coloured by its mark; any other line as it is."""
    found = _MARKED.fullmatch(line)
    if found is None:
        return click.style(line, bold=True) if line.startswith("Plan: ") else line
    return found["indent"] + click.style(f"{found['mark']} {found['text']}", fg=_COLOURS[found["mark"]])
