"""Which secrets are there, by name: contract.md section 7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import secrets

CANARY = "hunter2-canary"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", set()),
        ("A=1\nB=2\n", {"A", "B"}),
        ("A=1\r\nB=2", {"A", "B"}),
        ("export A=1\nexport\tB=2", {"A", "B"}),
        ("  A = 1", {"A"}),
        ("A=", {"A"}),
        ("A=''\nB=\"x=y\"", {"A", "B"}),
        ("# A=1\n  # B=2\nC=3 # D=4", {"C"}),
        ("A\nexport B\n", set()),
        ("=1\n1A=2\nA-B=3\nA B=4", set()),
        ("\ufeffA=1", {"A"}),
        ("export=1", {"export"}),
        ("A=1\nA=2", {"A"}),
    ],
)
def test_names_in(text: str, names: set[str]) -> None:
    assert secrets.names_in(text) == names


@given(st.text())
def test_any_text_has_names_or_none(text: str) -> None:
    assert all(f"{name}" in text for name in secrets.names_in(text))


@given(st.lists(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), unique=True, max_size=5))
def test_k1_values_are_never_names(names: list[str]) -> None:
    """K1: no form of a value gets out."""
    text = "\n".join(f"{name}={CANARY}={CANARY}" for name in names)
    assert secrets.names_in(text) == set(names)
    assert CANARY not in repr(secrets.names_in(text))


def test_missing_names_once_and_sorted() -> None:
    assert secrets.missing(["C", "B", "A", "B"], {"A"}) == ("B", "C")
    assert secrets.missing((), {"A"}) == ()
