"""How an image shows what it was made from (contract.md section 5; faults.md H10)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import digest, image_inputs

INPUT = digest.of_parts(("input",))
SECOND = image_inputs.created_s(INPUT)
YEAR_1980_S, YEAR_2020_S = 315_532_800, 1_577_836_800


@pytest.mark.parametrize(
    ("labels", "created", "shown"),
    [
        ({image_inputs.LABEL_INPUT: INPUT}, SECOND, INPUT),
        ({image_inputs.LABEL_INPUT: INPUT, "other": "x"}, SECOND, INPUT),
        ({image_inputs.LABEL_INPUT: INPUT}, SECOND + 1, ""),
        ({image_inputs.LABEL_INPUT: INPUT}, None, ""),
        ({image_inputs.LABEL_INPUT: digest.of_parts(("another",))}, SECOND, ""),
        ({image_inputs.LABEL_INPUT: ""}, image_inputs.created_s(""), ""),
        ({image_inputs.LABEL_FUNCTION: INPUT}, SECOND, ""),
        ({}, SECOND, ""),
    ],
)
def test_h10_a_label_counts_in_its_own_second_only(labels: dict[str, str], created: int | None, shown: str) -> None:
    """H10: an image that is built on one of ours has its labels, and another second."""
    assert image_inputs.shown(labels, created) == shown


@settings(max_examples=200)
@given(st.text())
def test_h10_property_every_input_has_a_second_that_no_clock_shows(text: str) -> None:
    second = image_inputs.created_s(text)
    assert YEAR_1980_S <= second < YEAR_2020_S
    assert second == image_inputs.created_s(text)


def test_h10_inputs_differ_in_their_second() -> None:
    seconds = {image_inputs.created_s(digest.of_parts((str(number),))) for number in range(1000)}
    assert len(seconds) >= 998, "of 1.2 milliards"
