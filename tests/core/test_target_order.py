"""The order of targets: behind those that they are after, otherwise as they stand; circles are found and named."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import target_order

NAMES = ("a", "b", "c", "d", "e")
orders = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(tuple), max_size=len(NAMES)
)


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        ({}, ()),
        ({"b": (), "a": ()}, ("b", "a")),
        ({"a": ("b",), "b": ()}, ("b", "a")),
        ({"a": ("c",), "b": (), "c": ()}, ("b", "c", "a")),
        ({"a": ("c", "b"), "b": ("c",), "c": (), "d": ("a",)}, ("c", "b", "a", "d")),
        ({"a": ("elsewhere",), "b": ()}, ("a", "b")),
        ({"a": ("b",), "b": ("a",), "c": ("b",), "d": ()}, ("d",)),
    ],
)
def test_ordered(after: dict[str, tuple[str, ...]], wanted: tuple[str, ...]) -> None:
    assert target_order.ordered(after) == wanted


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        ({"a": (), "b": ("a",)}, ()),
        ({"a": ("a",)}, ("a", "a")),
        ({"z": ("a",), "a": ("b",), "b": ("c", "y"), "c": ("a",), "y": ()}, ("a", "b", "c", "a")),
    ],
)
def test_cycle(after: dict[str, tuple[str, ...]], wanted: tuple[str, ...]) -> None:
    assert target_order.cycle(after) == wanted


@given(orders)
def test_every_name_is_placed_behind_its_own_or_there_is_a_circle(after: dict[str, tuple[str, ...]]) -> None:
    placed = target_order.ordered(after)
    for position, name in enumerate(placed):
        assert all(before in placed[:position] for before in after[name] if before in after)
    around = target_order.cycle(after)
    assert (around == ()) == (sorted(placed) == sorted(after))
    assert all(later in after[earlier] for earlier, later in itertools.pairwise(around))
    assert not set(around) & set(placed)
