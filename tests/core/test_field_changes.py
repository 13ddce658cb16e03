"""K1: what a diff may show of a changed item, and what it must not."""

from hypothesis import given
from hypothesis import strategies as st

from core import digest, field_changes, items
from core.field_changes import MASK, FieldChange

_TEXT = st.text(st.characters(codec="utf-8"), min_size=6, max_size=12)


def test_open_fields_show_their_values() -> None:
    before: digest.Value = {"image": "a:1", "timeout": 30, "scaling": {"max_capacity": 1}}
    after: digest.Value = {"image": "a:2", "timeout": 30, "scaling": {"max_capacity": 2}, "memory_size": 128}
    assert field_changes.compare(items.Kind.FUNCTION, before, after) == (
        FieldChange("image", "a:1", "a:2"),
        FieldChange("scaling.max_capacity", "1", "2"),
        FieldChange("memory_size", None, "128"),
    )


def test_what_a_table_or_a_bucket_is_like_is_shown() -> None:
    """Somebody has to change it by hand. The same words in a function say nothing about what stands there."""
    before: digest.Value = {"LifecycleConfiguration": {"Rules": [{"ExpirationInDays": 7}]}, "Tags": ["s3cret"]}
    after: digest.Value = {"LifecycleConfiguration": {"Rules": [{"ExpirationInDays": 8}]}, "Tags": []}
    shown = FieldChange("LifecycleConfiguration.Rules", '[{"ExpirationInDays": 7}]', '[{"ExpirationInDays": 8}]')
    hidden = FieldChange("Tags", MASK, MASK)
    assert field_changes.compare(items.Kind.BUCKET, before, after) == (shown, hidden)
    assert field_changes.compare(items.Kind.FUNCTION, before, after) == (
        FieldChange(shown.path, MASK, MASK),
        hidden,
    )


def test_k1_environment_and_unknown_fields_are_masked() -> None:
    before: digest.Value = {
        "environment": {"TOKEN": "s3cret"},
        "extra": "s3cret",
        "tags": {"image": "s3cret"},
        "events": ["s3cret"],
    }
    after: digest.Value = {
        "environment": {"TOKEN": "other"},
        "extra": "other",
        "tags": {"image": "other"},
        "events": [],
    }
    found = field_changes.compare(items.Kind.FUNCTION, before, after)
    assert [change.path for change in found] == ["environment.TOKEN", "extra", "tags.image", "events"]
    assert {change.before for change in found} | {change.after for change in found} == {MASK}


def test_k1_a_default_of_the_environment_is_masked() -> None:
    assert field_changes.compare(items.Kind.DEFAULT_ENVIRONMENT, "s3cret", "other") == (
        FieldChange("value", MASK, MASK),
    )


def test_a_default_of_scaling_is_shown() -> None:
    assert field_changes.compare(items.Kind.DEFAULT_SCALING, 300, 60) == (FieldChange("value", "300", "60"),)


def test_a_removed_field_has_no_after() -> None:
    found = field_changes.compare(items.Kind.FUNCTION, {"image": "a", "timeout": 1}, {"image": "a"})
    assert found == (FieldChange("timeout", "1", None),)


@given(st.dictionaries(_TEXT, _TEXT), st.dictionaries(_TEXT, _TEXT))
def test_k1_no_environment_value_is_ever_shown(before: dict[str, digest.Value], after: dict[str, digest.Value]) -> None:
    found = field_changes.compare(items.Kind.FUNCTION, {"environment": before}, {"environment": after})
    shown = {text for change in found for text in (change.before, change.after) if text is not None}
    assert shown <= {MASK}
