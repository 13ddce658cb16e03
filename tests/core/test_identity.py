"""Entry ids equal those of other tools: contract.md section 3. The cases are data."""

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core import identity

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/identity/ids.yml").read_text(encoding="utf-8"))
PATHS = st.text(st.sampled_from("./\\ab.") | st.characters(), max_size=30)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_an_id_is_the_one_worked_out_by_hand(case: dict[str, Any]) -> None:
    assert identity.reference(case["path"]) == case["ref"]
    assert identity.entry_id(case["path"], case.get("parameters"), case.get("sha256")) == case["id"]


def test_a_root_takes_the_place_of_the_path() -> None:
    assert identity.id_of_root("../svc-a/.esb/template-a/dev") == "dev-1d127252"


@given(PATHS, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4), st.text(max_size=10))
def test_f5_every_text_gives_an_id_of_the_pattern(path: str, parameters: dict[str, str], sha256: str) -> None:
    """F5: whatever the path is, nothing but the slug's alphabet reaches an id."""
    assert identity.ID_PATTERN.fullmatch(identity.entry_id(path, parameters, sha256))


@given(PATHS)
def test_a_cleaned_path_is_clean(path: str) -> None:
    cleaned = identity.clean_path(path)
    assert identity.clean_path(cleaned) == cleaned
    assert "//" not in cleaned
    assert cleaned == "/" or not cleaned.endswith("/")
    assert cleaned.startswith("/") == path.startswith("/")


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=3), st.text(max_size=3), min_size=2))
def test_the_order_of_parameters_does_not_count(parameters: dict[str, str]) -> None:
    backwards = dict(reversed(list(parameters.items())))
    assert identity.entry_id("t.yaml", parameters) == identity.entry_id("t.yaml", backwards)
