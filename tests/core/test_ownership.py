"""B8: whose a CONFIG_DIR is, as data: tests/cases/ownership/*.yml. And the file that says so."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core import ownership, record

CASES = Path(__file__).parent.parent / "cases" / "ownership"


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=case["name"].replace(" ", "-"))
        for file in sorted(CASES.glob("*.yml"))
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]


def _sources(names: list[str]) -> tuple[ownership.Source, ...]:
    return tuple(ownership.Source("folder", name, f"digest-{name}") for name in names)


def _judged(case: dict[str, Any]) -> ownership.Verdict:
    asks, known, owner = case["asks"], case.get("record"), case.get("owner")
    asked = ownership.Asked(
        ownership.Manner(asks.get("manner", "follows")), asks.get("project", ""), asks.get("take_over", False)
    )
    return ownership.judge(
        ownership.Claimant(asked, asks.get("name", ""), _sources(asks.get("sources", []))),
        ownership.Found(
            ownership.Owner(
                owner["id"], owner.get("name", ""), owner.get("project", ""), _sources(owner["sources"]), "then"
            )
            if owner
            else None,
            case.get("damaged", ""),
            case.get("same_folder", False),
            case.get("elsewhere", ""),
        ),
        record.Claim(known[0], known[1] if len(known) > 1 else "", "/config", "7") if known else None,
    )


@pytest.mark.parametrize("case", _cases())
def test_b8_case(case: dict[str, Any]) -> None:
    """B8: a second controller is refused, and what may go on goes on."""
    verdict, expected = _judged(case), case["expect"]
    if "refusal" in expected:
        assert expected["refusal"] in verdict.refusal
        assert (verdict.claim, verdict.foreign_record) == (None, expected["foreign"])
        return
    assert verdict.refusal == ""
    if expected["claim"] is None:
        assert verdict.claim is None
        return
    assert verdict.claim is not None
    assert verdict.claim.id == ("" if expected["claim"] == "new" else expected["claim"])
    assert verdict.claim.sources == _sources(expected["sources"])


@pytest.mark.parametrize("case", [case for case in _cases() if case.values[0]["expect"].get("claim")])
def test_b8_what_was_claimed_is_ours_then(case: dict[str, Any]) -> None:
    """Once it is written, the same one asks for nothing more (F7)."""
    first = _judged(case).claim
    assert first is not None
    if not first.sources:
        return
    owner = {"id": first.id or "made", "name": first.name, "project": first.project, "sources": case["asks"]["sources"]}
    asks = {key: value for key, value in case["asks"].items() if key != "take_over"}
    again = _judged({"asks": asks, "owner": owner, "record": [owner["id"]]})
    assert (again.refusal, again.claim) == ("", None)


def test_the_file_names_no_more_than_it_has_to() -> None:
    owner = ownership.Owner("id", "shop", "p", _sources(["a"]), "2026-02-20T00:00:00Z")
    body = json.loads(ownership.encoded(owner))
    assert set(body) == {"version", "id", "name", "project", "sources", "since"}
    assert ownership.decoded(ownership.encoded(owner)) == owner


_TEXTS = st.text(max_size=8)


@given(_TEXTS, _TEXTS, st.lists(_TEXTS, max_size=3))
def test_every_owner_reads_back(name: str, project: str, sources: list[str]) -> None:
    owner = ownership.Owner("id", name, project, _sources(sources), "then")
    assert ownership.decoded(ownership.encoded(owner)) == owner


@given(st.integers(min_value=0))
def test_b8_a_torn_file_never_names_an_owner(cut: int) -> None:
    whole = ownership.encoded(ownership.Owner("id", "shop", "p", _sources(["a"]), "then")).rstrip()
    torn = whole[: cut % len(whole)]
    assert isinstance(ownership.decoded(torn), str)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"null",
        b'{"version": 2}',
        b'{"version": 1}',
        b'{"version": 1, "id": 1, "name": "", "project": "", "sources": [], "since": ""}',
        b'{"version": 1, "id": "", "name": "", "project": "", "sources": [], "since": ""}',
        b'{"version": 1, "id": "a", "name": "", "project": "", "sources": 7, "since": ""}',
        b'{"version": 1, "id": "a", "name": "", "project": "", "sources": ["x"], "since": ""}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_owner_is_told(content: bytes) -> None:
    assert isinstance(ownership.decoded(content), str)
