"""H10: which images of an earlier set must be there before it is published again, and what can be done for those that
are not (contract.md section 5)."""

import pytest

from core import image_inputs, image_work, pinned, references

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
NAMES = references.Registries("registry:5010", "127.0.0.1:5010")
OURS = f"registry:5010/shop/list:v1@{DIGEST}"


def published(*images: str) -> list[pinned.Published]:
    """Functions f0, f1, … with these images."""
    return [pinned.Published(f"f{number}", "entry", image) for number, image in enumerate(images)]


def pins(
    *images: str,
    names: references.Registries = NAMES,
    recorded: tuple[image_inputs.ImageRecord, ...] = (),
) -> tuple[pinned.Pin, ...]:
    return pinned.pins(published(*images), names, recorded)


def record(image: str, target: str) -> image_inputs.ImageRecord:
    return image_inputs.ImageRecord("f", image, target, "input", OTHER)


@pytest.mark.parametrize(
    "image",
    [
        "registry:5010/shop/list:v1",
        f"registry:5010/shop/list@{DIGEST}",
        f"registry:50100/shop/list:v1@{DIGEST}",
        f"docker.io/library/nginx:1@{DIGEST}",
        f"nginx:1@{DIGEST}",
        "",
    ],
)
def test_what_was_not_pinned_here_is_not_looked_for(image: str) -> None:
    """Sets of `images.pin: tag`, a digest that somebody wrote without a tag, registries of others."""
    assert pins(image) == ()


def test_h10_every_distinct_pin_of_the_settings_registry_is_looked_for_as_the_build_host_sees_it() -> None:
    (first, second) = pins(OURS, "x:1", f"127.0.0.1:5010/a:1@{OTHER}", OURS)
    assert [one.function for one in first.users] == ["f0", "f3"]
    assert (first.image, first.target, first.digest) == (OURS, f"127.0.0.1:5010/shop/list:v1@{DIGEST}", DIGEST)
    assert first.names == (f"127.0.0.1:5010/shop/list@{DIGEST}", f"registry:5010/shop/list@{DIGEST}")
    assert second.names == (f"127.0.0.1:5010/a@{OTHER}",)


@pytest.mark.parametrize("name", ["hub.example/team/list", "list"])
def test_h10_without_names_of_a_registry_the_record_says_what_is_ours(name: str) -> None:
    image = f"{name}:v1@{DIGEST}"
    none = references.Registries()
    assert pins(image, names=none) == ()
    (found,) = pins(image, f"{name}-other:v1@{DIGEST}", names=none, recorded=(record(f"{name}:v2", f"{name}:v2"),))
    assert (found.image, found.target) == (image, image)


def judged(in_registry: bool | None, engine_image: str = "") -> pinned.Verdict:
    wanted = pins(OURS)
    return pinned.judge(wanted, {OURS: pinned.PinLook(in_registry, engine_image)})


@pytest.mark.parametrize("engine_image", ["", "id"])
def test_what_the_registry_has_needs_nothing(engine_image: str) -> None:
    (work,) = judged(True, engine_image).works
    assert (work.need, work.digest, work.known) == (image_work.Need.NOTHING, DIGEST, True)


@pytest.mark.parametrize("engine_image", ["", "id"])
def test_h10_a_registry_that_did_not_answer_loses_nothing(engine_image: str) -> None:
    verdict = judged(None, engine_image)
    assert [(work.need, work.known) for work in verdict.works] == [(image_work.Need.NOTHING, False)]
    assert verdict.lost == ()


def test_h10_what_only_the_engine_has_is_pushed_under_its_own_tag() -> None:
    (work,) = judged(False, "id").works
    assert (work.need, work.why, work.engine_image) == (image_work.Need.PUSH, image_work.Why.GONE, "id")
    assert (work.wanted.target, work.wanted.image) == ("127.0.0.1:5010/shop/list:v1", "registry:5010/shop/list:v1")
    assert (work.wanted.function, work.wanted.entry, work.before) == ("f0", "entry", DIGEST)


def test_h10_what_nobody_has_is_lost_and_told_with_all_its_functions() -> None:
    wanted = pins(OURS, OURS, f"registry:5010/b:1@{OTHER}")
    verdict = pinned.judge(wanted, {pin.image: pinned.PinLook(False) for pin in wanted})
    assert (verdict.works, verdict.lost) == ((), wanted)
    assert pinned.lost_words(verdict.lost) == (
        f"neither the registry nor the engine has {OURS} (functions f0, f1); "
        f"nor registry:5010/b:1@{OTHER} (function f2)"
    )


LIST = "registry:5010/shop/list:v1"
HOST_LIST = "127.0.0.1:5010/shop/list:v1"


def made(function: str, digest: str, image: str = LIST, target: str = HOST_LIST) -> image_inputs.ImageRecord:
    """What the record keeps of an image that was made here."""
    return image_inputs.ImageRecord(function, image, target, "input", digest)


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ((made("f0", DIGEST),), (made("f0", DIGEST),)),
        ((made("f0", OTHER),), (image_inputs.ImageRecord("f0", LIST, HOST_LIST, "", DIGEST),)),
        ((made("gone", OTHER),), (image_inputs.ImageRecord("f0", LIST, HOST_LIST, "", DIGEST),)),
        (
            (made("f1", OTHER, "x:1", "x:1"),),
            (made("f1", OTHER, "x:1", "x:1"), image_inputs.ImageRecord("f0", LIST, HOST_LIST, "", DIGEST)),
        ),
    ],
    ids=["as made", "rolled back", "of another set", "not pinned"],
)
def test_gw14_what_a_live_set_names_counts_and_not_what_was_made_last(
    recorded: tuple[image_inputs.ImageRecord, ...], expected: tuple[image_inputs.ImageRecord, ...]
) -> None:
    assert pinned.live(recorded, pins(OURS, "x:1"), {"f0", "f1"}) == expected
