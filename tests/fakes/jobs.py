"""A job of GitHub Actions around one command: its variables, its files, and a reader of what the step prints.

The reader takes workflow commands apart as the runner does: a line that begins with `::` after its blanks, properties
between the name and the second `::`, percent escapes; and the older form `##[` anywhere in a line.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import command

_COMMAND = re.compile(r"\s*::(?P<name>[\w-]+)(?: (?P<properties>.*?))?::(?P<text>.*)")


@dataclass(frozen=True)
class Annotation:
    """One workflow command, unescaped."""

    name: str
    properties: dict[str, str]
    text: str


@dataclass
class Job:
    """A job in a folder, with the two files of its step."""

    folder: Path

    @property
    def summary(self) -> Path:
        """The step's summary."""
        return self.folder / "summary.md"

    @property
    def outputs(self) -> Path:
        """The step's outputs."""
        return self.folder / "outputs"

    def environment(self, **more: str) -> dict[str, str]:
        """What the runner sets."""
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.outputs),
            **more,
        }

    def values(self) -> dict[str, str]:
        """The step's outputs, the last of each name."""
        lines = self.outputs.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)


def annotations(printed: str) -> list[Annotation]:
    """The workflow commands in what a step printed."""
    assert "##[" not in printed
    found = [_COMMAND.fullmatch(line) for line in printed.split("\n")]
    return [_annotation(match) for match in found if match]


def _annotation(match: re.Match[str]) -> Annotation:
    pairs = [pair.split("=", 1) for pair in (match["properties"] or "").split(",") if pair]
    return Annotation(match["name"], {key: unescaped(value) for key, value in pairs}, unescaped(match["text"]))


def unescaped(text: str) -> str:
    """As the runner does; the percent sign last."""
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text


def cells(summary: str) -> list[list[str]]:
    """The rows of the tables of a summary, heads included; every row has as many cells as its head."""
    rows = []
    width = 0
    for line in summary.splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        row = line.strip("|").split("|")
        assert width in (0, len(row)), line
        width = len(row)
        rows.append([cell.strip() for cell in row])
    return rows


def shop(folder: Path) -> tuple[command.Shop, Job]:
    """The sample artifact in a checkout, and a job in it."""
    return command.Shop(folder), Job(folder)
