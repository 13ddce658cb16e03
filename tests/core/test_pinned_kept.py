"""P8: the pins that stay, and what is said of images, in a pass that leaves making them to somebody else."""

import pytest

from core import digest, image_inputs, items, observed, pinned, record

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
PLAIN = "registry:5010/shop/list:v1"
OURS = f"{PLAIN}@{DIGEST}"


@pytest.mark.parametrize(
    ("wanted", "shown", "expected"),
    [
        (PLAIN, OURS, OURS),
        ("app", f"app:latest@{DIGEST}", f"app:latest@{DIGEST}"),
        ("registry:5010/shop/list:v2", OURS, ""),
        ("127.0.0.1:5010/shop/list:v1", OURS, ""),
        (f"{PLAIN}@{OTHER}", OURS, ""),
        (PLAIN, PLAIN, ""),
        (PLAIN, f"registry:5010/shop/list@{DIGEST}", ""),
        (PLAIN, "", ""),
    ],
)
def test_p8_a_pin_stays_while_the_tag_before_it_is_the_wanted_one(wanted: str, shown: str, expected: str) -> None:
    assert pinned.kept({"f": wanted}, {"f": shown, "other": OURS}) == ({"f": expected} if expected else {})


def known(source: str = "sha256:source", image: str = PLAIN) -> image_inputs.ImageRecord:
    return image_inputs.ImageRecord("f", image, "host", "input", DIGEST, (), source)


@pytest.mark.parametrize(
    ("shown", "recorded", "said"),
    [
        (OURS, known(), ""),
        (OURS, known("sha256:older"), "made from something else"),
        (PLAIN, known("sha256:older"), "made from something else"),
        (OURS, known(""), ""),
        (f"{PLAIN}@{OTHER}", known(), "not the image that was made last"),
        (f"{PLAIN}@{OTHER}", known(""), "not the image that was made last"),
        (PLAIN, known(), ""),
        ("registry:5010/shop/list:v2", known("sha256:older"), ""),
        ("", known("sha256:older"), ""),
    ],
)
def test_only_what_is_known_to_differ_is_said_of_images_that_are_left_alone(
    shown: str, recorded: image_inputs.ImageRecord, said: str
) -> None:
    told = [str(notice) for notice in pinned.left({"f": shown}, {"f": "sha256:source"}, [recorded])]
    assert [said in words and f"function f: {shown} " in words for words in told] == [True] * bool(said), told


def item(image: str) -> items.Item:
    """The function f with this image."""
    text = f"f:\n  image: {image}\n"
    return items.Item(items.ItemKey(items.Kind.FUNCTION, "f"), digest.of_value(text), text)


APPLIED, SHOWN = item(OURS), item(PLAIN)


@pytest.mark.parametrize(
    ("applied", "intended", "expected"),
    [((APPLIED,), (), APPLIED), ((), (), SHOWN), (None, (), SHOWN), ((APPLIED,), (SHOWN,), SHOWN)],
    ids=["applied", "applied without it", "a lost record", "an attempt that never ended"],
)
def test_b5_what_was_published_last_counts_and_not_what_somebody_made_of_it(
    applied: tuple[items.Item, ...] | None, intended: tuple[items.Item, ...], expected: items.Item
) -> None:
    parts = tuple(record.AppliedItem(one, "entry") for one in applied or ())
    remembered = record.Record(
        applied=None if applied is None else record.AppliedSet(1, "", 1, "", {}, "", parts),
        intended=tuple(record.Intended(one.key, "entry", one.digest) for one in intended),
    )
    seen = observed.ObservedItems({SHOWN.key: SHOWN})
    assert pinned.standing([SHOWN.key], seen, remembered) == {SHOWN.key: expected}
    assert pinned.standing([], seen, remembered) == {}
