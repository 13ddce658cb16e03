"""The rules of a publish: modification times that a whole-second watcher sees, names, what is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import items, publishing

NOW = 1_800_000_000.25


@pytest.mark.parametrize(
    ("newest_s", "expected_s"),
    [
        pytest.param(0, 1_800_000_000, id="nothing-yet"),
        pytest.param(1_799_999_999, 1_800_000_000, id="a-second-ago"),
        pytest.param(1_800_000_000, 1_800_000_001, id="A5-two-in-one-second"),
        pytest.param(1_800_003_600, 1_800_003_601, id="A5-clock-stepped-back-an-hour"),
        pytest.param(4_070_908_800, 4_070_908_801, id="A5-file-dated-2099"),
        pytest.param(-1, 1_800_000_000, id="A5-file-dated-before-1970"),
    ],
)
def test_gw2_new_files_are_dated_later_than_anything_seen(newest_s: int, expected_s: int) -> None:
    assert publishing.next_mtime_s(NOW, newest_s) == expected_s


@pytest.mark.parametrize(
    ("lead_s", "expected_s"),
    [(-5.0, 0.0), (0.75, 0.0), (1.0, 0.0), (1.5, 0.5), (3.0, 2.0), (3.25, 0.0), (3600.0, 0.0), (2e9, 0.0)],
)
def test_p4_a_small_lead_is_waited_for_and_a_large_one_is_not(lead_s: float, expected_s: float) -> None:
    assert publishing.wait_s(1000.0 - lead_s, 1000) == expected_s


@given(gaps=st.lists(st.floats(0, 2), min_size=1, max_size=50), start=st.floats(0, 4e9))
def test_p4_publishes_that_follow_each_other_are_never_dated_more_than_a_second_ahead(
    gaps: list[float], start: float
) -> None:
    now_s, newest_s = start, 0
    for gap_s in gaps:
        now_s += gap_s
        mtime_s = publishing.next_mtime_s(now_s, newest_s)
        now_s += publishing.wait_s(now_s, mtime_s)
        assert mtime_s > newest_s
        assert mtime_s <= now_s + publishing.MAX_LEAD_S + 1e-6
        newest_s = mtime_s


@given(number=st.integers(0, 10**12 - 1))
def test_a_generation_name_gives_its_number_back(number: int) -> None:
    assert publishing.generation_number(publishing.generation_name(number)) == number


@pytest.mark.parametrize(
    "name",
    [
        "..gen-1",
        "..gen-0000001",
        "..gen-",
        "..gen-00000x",
        "..gen-٠٠٠٠٠١",
        "..gen-000001\n",
        ".gen-000001",
        "..data",
        "",
    ],
)
def test_a_name_that_no_publish_gives_is_no_generation(name: str) -> None:
    assert publishing.generation_number(name) is None


@pytest.mark.parametrize(
    ("existing", "remembered", "expected"), [((), 0, 1), ((3, 1), 0, 4), ((3,), 7, 8), ((), 9, 10), ((0,), 0, 1)]
)
def test_the_next_number_is_free(existing: tuple[int, ...], remembered: int, expected: int) -> None:
    assert publishing.next_number(existing, remembered) == expected


@pytest.mark.parametrize(
    ("visible", "numbers", "expected"),
    [
        (None, (1, 2), set()),
        (5, (5,), {5}),
        (5, (2, 3, 5, 6), {3, 5}),
        (9, (2, 3), {3, 9}),
    ],
)
def test_a8_the_visible_generation_and_the_one_before_are_kept(
    visible: int | None, numbers: tuple[int, ...], expected: set[int]
) -> None:
    assert publishing.kept(visible, numbers) == expected


def test_temporary_names_are_recognised_and_nothing_else_is() -> None:
    assert publishing.is_temp("..data_tmp")
    assert publishing.is_temp(publishing.document_temp(items.Document.ROUTING))
    assert not any(publishing.is_temp(name) for name in ("..data", "..notes_tmp", "functions.yml", "..functions.yml"))
