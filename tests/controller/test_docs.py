"""The documents say what is: every exit code, every fault with its tests, and every command of the README run."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller import errors
from tests.fakes import command

DOCS = command.ROOT / "docs"

FAULTS = (
    *(f"A{number}" for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)),
    *(f"B{number}" for number in range(1, 8)),
    *("C1", "C3", "C6", "C7"),
    *(f"F{number}" for number in range(1, 8)),
    *("G1", "K2", "K3", "L2", "L4"),
)
"""The rows of faults.md that this version promises."""


def rows(document: Path) -> list[list[str]]:
    """The cells of every row of every table; heads and rules left out."""
    lines = [line for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if set(row[0]) - set("- ")]


def test_every_reason_and_its_exit_code_is_documented() -> None:
    told = {tuple(row) for row in rows(DOCS / "exit-codes.md") if row[0].isdigit()}
    wanted = {
        (str(meaning.exit_code), reason, str(meaning.disposition), meaning.hint)
        for reason, meaning in errors.MEANINGS.items()
    }
    assert told == wanted


def faults() -> dict[str, list[str]]:
    """The rows of docs/reliability.md by their id."""
    return {row[0]: row for row in rows(DOCS / "reliability.md") if re.fullmatch(r"[A-Z][0-9]+", row[0])}


def references(text: str) -> list[tuple[str, str]]:
    """Each `tests/…::test_name`."""
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)


def test_every_promised_fault_has_a_row() -> None:
    assert list(faults()) == list(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_names_tests_that_exist(fault: str) -> None:
    _, promise, tests, injected = faults()[fault]
    assert promise
    assert injected
    found = references(tests)
    assert found
    assert tests.count("::") == len(found), "a reference that cannot be read"
    for path, name in found:
        source = (command.ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^\s*def {name}\(", source, re.MULTILINE), (path, name)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a block, and the lines that must follow it."""

    line: str
    expected: tuple[str, ...]


def blocks(text: str) -> Iterator[tuple[Step, ...]]:
    """Every ```console block as its commands. `> ` continues a command on the next line."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        steps: list[Step] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:], ()))
            elif line.startswith("> ") and steps and not steps[-1].expected:
                steps[-1] = Step(f"{steps[-1].line}\n{line[2:]}", ())
            else:
                assert steps, f"a block begins with a command: {line}"
                steps[-1] = Step(steps[-1].line, (*steps[-1].expected, line))
        yield tuple(steps)


MARK = "\x01end of a command\x01"


def run_block(steps: tuple[Step, ...], folder: Path) -> list[str]:
    """What each command of a block prints, stdout and stderr in their order; `$?` is that of the command before."""
    script = "set +e\n" + "".join(
        f"{step.line}\ncode_of_step=$?; printf '{MARK}'; (exit $code_of_step)\n" for step in steps
    )
    environment = {
        **command.child_environment({"LC_ALL": "C.UTF-8", "TZ": "UTC"}),
        "PATH": f"{folder.parent / 'bin'}:/usr/local/bin:/usr/bin:/bin",
    }
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    printed = ended.stdout.decode().split(MARK)
    assert len(printed) == len(steps) + 1, ended.stdout
    return printed[:-1]


def normalised(text: str) -> str:
    """Times are those of the run."""
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-01T00:00:00Z", text)


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Line by line; a line of three dots stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(normalised(line)) + "\n" for line in expected)
    return re.fullmatch(pattern, normalised(printed)) is not None


@pytest.mark.process
def test_every_block_of_the_readme_prints_what_it_shows(tmp_path: Path) -> None:
    """All console blocks, in order, in one folder that holds the sample as `artifacts/`."""
    found = list(blocks((command.ROOT / "README.md").read_text(encoding="utf-8")))
    assert found, "README.md shows no command"
    folder = command.Shop(tmp_path / "work").folder
    shim = tmp_path / "bin" / "controller"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {" ".join(command.line())} "$@"\n')
    shim.chmod(0o755)
    for steps in found:
        for step, printed in zip(steps, run_block(steps, folder), strict=True):
            shown = "\n".join(step.expected)
            assert matches(step.expected, printed), f"$ {step.line}\n--- shown\n{shown}\n--- printed\n{printed}"


def test_the_comparison_can_fail() -> None:
    assert matches(("a", "...", "d"), "a\nb\nc\nd\n")
    assert matches(("at 2026-01-01T00:00:00Z",), "at 2031-12-24T18:00:01Z\n")
    assert matches((), "")
    assert not matches((), "a\n")
    assert not matches(("a",), "a\nb\n")
    assert not matches(("a.c",), "abc\n")
    assert not matches(("a", "...", "d"), "a\nb\n")


def test_relative_links_between_documents_lead_somewhere() -> None:
    for document in [command.ROOT / "README.md", command.ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        text = document.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if "://" not in link:
                assert (document.parent / link).exists(), (document, link)
