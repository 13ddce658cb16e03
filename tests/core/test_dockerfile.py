"""Dockerfiles: what they start from, and what is rewritten (contract.md section 5; faults.md F6). Cases are data."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from core import dockerfile, references

CASES = sorted(Path(__file__).parent.parent.joinpath("cases", "dockerfile").glob("*.yml"))
NO_RULES = dockerfile.BaseRules()


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}-{case['name'].replace(' ', '-')}")
        for file in CASES
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]


def _rules(runtime: str = "registry:5010", host: str = "127.0.0.1:5010", observed: str = "", base: str = "") -> Any:
    return dockerfile.BaseRules(references.Registries(runtime, host), observed, base)


def _read(case: dict[str, Any], text: bytes | str) -> dockerfile.Reading:
    return dockerfile.read(text, arguments=case.get("arguments", {}), rules=_rules(**case.get("rules", {})))


@pytest.mark.parametrize("case", _cases())
def test_f6_cases(case: dict[str, Any]) -> None:
    """F6 and contract.md section 5. Every case that is read is also read again, with the same result."""
    found = _read(case, case["text"].encode())
    wanted = case.get("problems", {})
    said = {problem.line: problem.message for problem in found.problems}
    assert said.keys() == wanted.keys(), said
    assert len(found.problems) == len(wanted), found.problems
    assert [line for line, words in wanted.items() if words not in said[line]] == [], said
    assert list(found.bases) == case.get("bases", [])
    assert found.text == ("" if wanted else case.get("becomes", case["text"]))
    if not wanted:
        assert _read(case, found.text) == found
        assert _read(case, case["text"]) == found, "text is read as its bytes are"


def test_cases_have_no_unknown_key() -> None:
    known = {"name", "text", "arguments", "rules", "bases", "becomes", "problems"}
    for parameter in _cases():
        assert parameter.values[0].keys() <= known, parameter.id


def test_k1_nothing_of_the_file_is_shown() -> None:
    """K1: a Dockerfile may hold a token anywhere."""
    for text in (
        "ARG T=hunter2\nFROM App:$T\n",
        "FROM user:hunter2@host/app\n",
        "hunter2 x\n",
        "FROM app:1\nRUN echo hunter2' <<EOF\n",
        'FROM app:1\nCOPY --from="hunter2" a b\n',
        "FROM ${A:?hunter2}\n",
        "FROM app AS Hunter2-hunter2!\n",
    ):
        found = dockerfile.read(text, arguments={"B": "hunter2"}, rules=NO_RULES)
        assert found.problems
        assert not any("hunter2" in str(problem).lower() for problem in found.problems), found.problems


def test_bytes_that_are_no_text() -> None:
    found = dockerfile.read(b"FROM app:1\nRUN echo \xff\n", arguments={}, rules=NO_RULES)
    assert [(problem.line, problem.message) for problem in found.problems] == [
        (2, "is not UTF-8: save the file in that encoding")
    ]
    assert dockerfile.read("FROM app:1\n# \ud800", arguments={}, rules=NO_RULES).problems[0].line == 2


def test_a_file_that_is_too_long() -> None:
    text = b"FROM app:1\n#" + b"x" * dockerfile.MAX_BYTES
    assert "longer than" in dockerfile.read(text, arguments={}, rules=NO_RULES).problems[0].message
    assert not dockerfile.read(text[: dockerfile.MAX_BYTES], arguments={}, rules=NO_RULES).problems


HOSTILE = [
    ("FROM app:1\nRUN <<E --a=b ", "'a' "),
    ("FROM app:1\nRUN <<E ", '"'),
    ("FROM app:1\nRUN ", "<<E "),
    ("FROM app:1\nRUN x <<E", "\u3000"),
    ("FROM app:1\nRUN ", "--a "),
    ("FROM app:1\nRUN ", "--a'b' \\\n#\n"),
    ("FROM app:1\nRUN --mount=x", ",from=b"),
    ("FROM app:1\nRUN --mount=", '"'),
    ("FROM app:1\nRUN <<E ", "["),
    ("FROM ", "${A:-"),
    ("FROM ", "$A"),
    ("FROM a", " "),
    ("ARG A=", '""'),
    ("ARG ", "A=1 "),
    ("FROM app:1\n", "FROM a AS b\n"),
    ("# syntax=a", " "),
    ("# syntax=a", "\\\n "),
    ("", "ARG A=$A\n"),
    ("ARG A=a\n", "ARG A=$A$A\n"),
    ("ARG A=" + "a" * 4096 + "\nFROM ", "$A"),
]


@pytest.mark.parametrize(("start", "part"), HOSTILE)
def test_no_text_takes_long(start: str, part: str) -> None:
    """No character is looked at more than a few times: the longest hostile file is read in the time that a test has."""
    text = start + part * ((dockerfile.MAX_BYTES - len(start)) // len(part.encode()))
    found = dockerfile.read(text, arguments={}, rules=NO_RULES)
    assert bool(found.problems) != bool(found.text)
