"""Console blocks of documents: found, run in a shell, and compared with what they show.

A block is ```console, its commands begin with ``$ `` (``> `` continues one), and what follows is what they print. A line
of three dots stands for any lines; times, digests and what a stack of the moment is called are not compared. What a
block starts in the background ends with the block, whatever happens.
"""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import ports

DOCKER_SECTION = "With Docker"
SIDECAR_SECTION = "Sidecar"
"""The sections of the README whose blocks want a running stack."""


def section(text: str, heading: str) -> str:
    """One section of a document, from its heading to the next one of its level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {heading!r}"
    return found[1]


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

DEADLINE_S = 120.0
"""A block that takes longer waits for something that does not come."""

ADDRESS = "127.0.0.1:8080"
"""Where documents let a controller listen. Tests give it another port: several run at a time."""


def with_own_port(text: str) -> str:
    """The text with a free port in the place of the one that it shows."""
    return text.replace(ADDRESS, f"127.0.0.1:{ports.free()[0]}")


def run_block(steps: tuple[Step, ...], folder: Path, environment: Mapping[str, str]) -> list[str]:
    """What each command of a block prints, stdout and stderr in their order; `$?` is that of the command before."""
    script = "set +e\n" + "".join(
        f"{step.line}\ncode_of_step=$?; printf '{MARK}'; (exit $code_of_step)\n" for step in steps
    )
    printed = _run(script, folder, environment).split(MARK)
    assert len(printed) == len(steps) + 1, printed
    return printed[:-1]


def _run(script: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What a script prints. It is a session of its own, of which nothing is left."""
    with subprocess.Popen(
        ["bash", "-c", f"trap 'kill $(jobs -p) 2>/dev/null' EXIT\n{script}"],
        cwd=folder,
        env={**environment, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as shell:
        try:
            return shell.communicate(timeout=DEADLINE_S)[0].decode()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)


_OF_THE_MOMENT = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-01T00:00:00Z"),
    (r"sha256:[0-9a-f]{12,64}", "sha256:000000000000"),
    (r"\([0-9a-f]{12}\)", "(000000000000)"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:5010"),
    (r"esb-e2e-[0-9a-f]{8}", "esb-e2e"),
    (r"unix:///\S+?\.sock", "unix:///var/run/docker.sock"),
    (r"[0-9a-f]{8}-[0-9]+\b", "00000000-1"),
    (r"\b[0-9a-f]{40}\b", "0" * 40),
    (r'(seconds\w*|_s)": [0-9.]+', r'\1": 0.0'),
)


def normalised(text: str) -> str:
    """Without what is another at every run."""
    for pattern, instead in _OF_THE_MOMENT:
        text = re.sub(pattern, instead, text)
    return text


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Line by line; a line of three dots stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(normalised(line)) + "\n" for line in expected)
    return re.fullmatch(pattern, normalised(printed)) is not None


def assert_blocks(text: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Every block of the text, in order, prints what it shows."""
    found = list(blocks(text))
    assert found, "there is no block"
    for steps in found:
        for step, printed in zip(steps, run_block(steps, folder, environment), strict=True):
            shown = "\n".join(step.expected)
            assert matches(step.expected, printed), f"$ {step.line}\n--- shown\n{shown}\n--- printed\n{printed}"
