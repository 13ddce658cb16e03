"""The last lines of a Dockerfile that is built (faults.md H10: an image of somebody else under our tag)."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import dockerfile, dockerfile_seal, dockerfile_text

CASES = sorted(Path(__file__).parent.parent.joinpath("cases", "dockerfile").glob("*.yml"))
SEAL = "\nLABEL artifact-controller.input=sha256:i\nONBUILD LABEL artifact-controller.input=\n"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("FROM a\n", "FROM a\n"),
        ("FROM a", "FROM a"),
        ("FROM a\nRUN b \\\n", "FROM a\nRUN b"),
        ("FROM a\nRUN b \\ \t\r\n# c \\\n\n  # d", "FROM a\nRUN b"),
        ("FROM a\nRUN b \\\n  c \\\n\n", "FROM a\nRUN b \\\n  c"),
        ("FROM a\nRUN b \\\n \\\n", "FROM a\nRUN b"),
        ("FROM a\nRUN b \\\n  c\n# \\\n", "FROM a\nRUN b \\\n  c\n# \\\n"),
        ("# escape=`\nFROM a\nRUN b `\n", "# escape=`\nFROM a\nRUN b"),
        ("# escape=`\nFROM a\nRUN b \\\n", "# escape=`\nFROM a\nRUN b \\\n"),
        ("FROM a\nRUN <<E\nb \\\nE", "FROM a\nRUN <<E\nb \\\nE"),
        ("FROM a\\", "FROM a"),
    ],
)
def test_h10_nothing_at_the_end_of_a_file_takes_the_seal_in(text: str, kept: str) -> None:
    """H10: a file that ends in the middle of an instruction would make it a part of that."""
    assert dockerfile_seal.sealed(text, "sha256:i") == kept + SEAL


@pytest.mark.parametrize("text", [case["text"] for file in CASES for case in yaml.safe_load(file.read_text("utf-8"))])
def test_h10_a_seal_adds_two_instructions_to_every_file_that_is_read(text: str) -> None:
    found = dockerfile.read(text, arguments={}, rules=dockerfile.BaseRules())
    if not found.problems:
        _require_two_more(found.text)


@settings(max_examples=200)
@example(["FROM a \\", "", "#"])
@given(st.lists(st.sampled_from(["RUN a", "RUN b \\", " \\", "# c \\", "", "\r", "RUN <<E", "E", "ENV A=\\ "])))
def test_h10_property_a_seal_changes_no_other_instruction(lines: list[str]) -> None:
    found = dockerfile.read("\n".join(["FROM a", *lines]), arguments={}, rules=dockerfile.BaseRules())
    if not found.problems:
        _require_two_more(found.text)


def _require_two_more(text: str) -> None:
    before, after = _instructions(text), _instructions(dockerfile_seal.sealed(text, "sha256:i"))
    assert after[:-2] == before
    assert [name for _, name, _ in after[-2:]] == ["label", "onbuild"]


def _instructions(text: str) -> list[tuple[int, str, str]]:
    lines = dockerfile_text.lines(text)
    escape = dockerfile_text.directives(lines).escape
    return [(found.line, found.name, found.text) for found in dockerfile_text.instructions(lines, escape)]
