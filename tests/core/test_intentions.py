"""What an attempt that never ended may own: only what CONFIG_DIR shows as it was meant."""

from hypothesis import given
from hypothesis import strategies as st

from core import desired, diff, digest, intentions, items, observed, policy, record

NAMES = st.sampled_from("abc")
SIDES = st.dictionaries(NAMES, st.integers(1, 2), max_size=3)
INTENDED = st.lists(st.tuples(NAMES, st.integers(1, 2)), max_size=4)


def item(name: str, value: int) -> items.Item:
    """A table."""
    key = items.ItemKey(items.Kind.TABLE, name)
    return items.Item(key, digest.of_value([name, value]), f"- TableName: {name}\n  V: {value}\n", 1)


def side(values: dict[str, int]) -> dict[items.ItemKey, items.Item]:
    """Tables by key."""
    return {each.key: each for each in (item(name, value) for name, value in values.items())}


def intents(pairs: list[tuple[str, int]]) -> tuple[record.Intended, ...]:
    """As a record holds them."""
    return tuple(record.Intended(each.key, "entry", each.digest) for each in (item(*pair) for pair in pairs))


@given(SIDES, INTENDED)
def test_property_only_what_shows_as_it_was_meant_is_ours(shown: dict[str, int], pairs: list[tuple[str, int]]) -> None:
    seen = observed.ObservedItems(side(shown))
    found = intentions.published(intents(pairs), seen)
    assert {key.name for key in found} == {name for name, value in pairs if shown.get(name) == value}
    comparison = diff.compare(desired.Desired("sha256:1", {}, {}), seen, {}, prune=policy.Prune.OWNED, published=found)
    assert {change.key for change in comparison.changes} == set(found)
    assert set(comparison.foreign) == set(seen.items) - set(found)


@given(SIDES, SIDES, INTENDED)
def test_property_a2_whatever_a_publish_shows_of_ours_is_ours_after_it_is_cut_off(
    wanted: dict[str, int], shown: dict[str, int], pairs: list[tuple[str, int]]
) -> None:
    """Any part of the result may be visible; nothing that was there before us becomes ours by that."""
    seen = observed.ObservedItems(side(shown))
    remembered = record.Record(intended=intents(pairs))
    ours = intentions.published(remembered.intended, seen)
    asked = desired.Desired(
        "sha256:1", side(wanted), {key: desired.Provenance("entry", "f", 1) for key in side(wanted)}
    )
    comparison = diff.compare(asked, seen, {}, prune=policy.Prune.OWNED, published=ours)
    intended = intentions.after_publishing(comparison, seen, remembered)
    now_ours = set(intentions.published(intended, observed.ObservedItems(side(wanted))))
    were_there = {key for key, part in side(wanted).items() if seen.items.get(key) == part}
    assert now_ours == set(side(wanted)) - (were_there - set(ours))
    assert set(intentions.published(intended, seen)) == set(ours)
    assert len(intended) <= len(wanted) + len(shown)
