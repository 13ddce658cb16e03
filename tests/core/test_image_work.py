"""What has to be done about an image, row by row (faults.md H9, H10)."""

from dataclasses import replace

import pytest

from core import image_inputs, image_work

BASE = image_inputs.Base("host/base:1", "sha256:base")
WANTED = image_inputs.ImageInput("f", "e-1", "rt/f:1", "host/f:1", "sha256:context", "FROM host/base:1\n", (BASE,))
HERE = image_inputs.ImageLook(tag_digest="sha256:live", tag_input=WANTED.digest)
KNOWN = image_inputs.ImageRecord("f", "rt/f:1", "host/f:1", WANTED.digest, "sha256:live", (BASE,), WANTED.source_digest)


def judge(look: image_inputs.ImageLook, *known: image_inputs.ImageRecord, rebuild: bool = False) -> image_work.Work:
    (work,) = image_work.judge([WANTED], {"f": look}, known, rebuild=rebuild)
    return work


def test_h9_the_same_input_in_the_registry_needs_nothing() -> None:
    work = judge(HERE, KNOWN)
    assert (work.need, work.why, work.digest) == (image_work.Need.NOTHING, None, "sha256:live")
    assert work.record == KNOWN


def test_b5_without_a_record_the_label_in_the_registry_saves_the_build() -> None:
    assert judge(HERE).need is image_work.Need.NOTHING


def test_h9_the_same_input_in_the_engine_needs_only_a_push() -> None:
    work = judge(image_inputs.ImageLook(engine_image="sha256:id"))
    assert (work.need, work.why, work.engine_image) == (image_work.Need.PUSH, image_work.Why.NEW, "sha256:id")


@pytest.mark.parametrize(
    ("known", "look", "why"),
    [
        ((), image_inputs.ImageLook(), image_work.Why.NEW),
        ((replace(KNOWN, target="host/other:1"),), image_inputs.ImageLook(), image_work.Why.NEW),
        ((replace(KNOWN, input_digest="sha256:old"),), HERE, image_work.Why.INPUT_CHANGED),
        ((KNOWN,), image_inputs.ImageLook(), image_work.Why.GONE),
        ((KNOWN,), image_inputs.ImageLook("sha256:other", "sha256:foreign"), image_work.Why.MOVED),
    ],
)
def test_why_an_image_is_built(
    known: tuple[image_inputs.ImageRecord, ...], look: image_inputs.ImageLook, why: image_work.Why
) -> None:
    work = judge(replace(look, tag_input="sha256:other") if look is HERE else look, *known)
    assert (work.need, work.why) == (image_work.Need.BUILD, why)


def test_a_moved_base_is_told_from_changed_code() -> None:
    old = (image_inputs.Base("host/base:1", "sha256:older"),)
    before = replace(KNOWN, bases=old, input_digest=replace(WANTED, bases=old).digest)
    assert judge(image_inputs.ImageLook("sha256:live", before.input_digest), before).why is image_work.Why.BASE_MOVED
    both = replace(before, input_digest="sha256:other-code-too")
    assert judge(image_inputs.ImageLook(), both).why is image_work.Why.INPUT_CHANGED


def test_h10_a_registry_that_does_not_answer_triggers_nothing_known_and_builds_what_is_new() -> None:
    away = image_inputs.ImageLook(reachable=False)
    believed = judge(away, KNOWN)
    assert (believed.need, believed.digest, believed.known) == (image_work.Need.NOTHING, "sha256:live", False)
    assert judge(away, replace(KNOWN, input_digest="sha256:old")).need is image_work.Need.BUILD


def test_no_cache_builds_what_is_there() -> None:
    work = judge(HERE, KNOWN, rebuild=True)
    assert (work.need, work.why, work.before) == (image_work.Need.BUILD, image_work.Why.REBUILD_ASKED, "sha256:live")


@pytest.mark.parametrize(
    "other",
    [
        replace(WANTED, context_digest="sha256:c"),
        replace(WANTED, dockerfile="FROM x\n"),
        replace(WANTED, bases=(image_inputs.Base("host/base:1", "sha256:moved"),)),
        replace(WANTED, bases=()),
        replace(WANTED, platform="linux/arm64"),
        replace(WANTED, arguments=(("A", "1"),)),
        replace(WANTED, function="g"),
    ],
)
def test_the_input_digest_covers_everything_that_decides_the_image(other: image_inputs.ImageInput) -> None:
    assert other.digest != WANTED.digest


@pytest.mark.parametrize(
    "same", [replace(WANTED, image="a:2"), replace(WANTED, target="b:2"), replace(WANTED, entry="x")]
)
def test_the_input_digest_does_not_cover_where_the_image_goes(same: image_inputs.ImageInput) -> None:
    assert same.digest == WANTED.digest


def test_fields_do_not_run_into_each_other() -> None:
    """Another cut of the same text is another input."""
    one = replace(WANTED, bases=(), platform="", arguments=(("a", "b"),))
    assert one.digest != replace(one, platform="a", arguments=()).digest
    assert one.digest != replace(one, bases=(image_inputs.Base("", "a"),), arguments=(("", "b"),)).digest
