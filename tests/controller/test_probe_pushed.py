"""H10: the digest of what was pushed to a registry that only the engine can reach (contract.md section 5)."""

from dataclasses import replace

import pytest

from controller import errors
from controller.probes import pushed
from core import digest, image_inputs, image_work
from tests.fakes import engine as engines

TARGET = "127.0.0.1:5010/list:v1"
OTHER = digest.of_parts(("other",))


def wanted(function: str = "a", target: str = TARGET) -> image_inputs.ImageInput:
    return image_inputs.ImageInput(function, "entry", "registry:5010/list:v1", target, "context", "FROM base")


def needed(target: str = TARGET, *, before: str = "") -> image_work.Work:
    made = image_work.Need.PUSH
    return image_work.Work(wanted(target=target), made, image_work.Why.NEW, before=before, engine_image="id")


def engine_with(work: image_work.Work, *digests: str, remote: bool = True) -> engines.Engine:
    """A remote engine that shows the image of this work with these digests."""
    found = engines.Engine(address="ssh://edge", remote=remote)
    image = found.hold(work.wanted.target, {image_inputs.LABEL_INPUT: work.wanted.digest})
    found.local[image.id] = replace(image, repo_digests=digests)
    return found


def test_h10_what_was_pushed_has_the_digest_that_the_engine_shows_for_that_repository() -> None:
    work = needed()
    engine = engine_with(work, f"elsewhere:5010/list@{OTHER}", f"127.0.0.1:5010/list@{digest.of_parts(('ours',))}")
    (made,) = pushed.confirmed([work], {TARGET}, engine)
    assert (made.need, made.why, made.digest, made.known) == (
        image_work.Need.NOTHING,
        None,
        digest.of_parts(("ours",)),
        True,
    )
    assert made.wanted == work.wanted


def test_h10_what_was_built_anew_has_its_new_digest_and_not_the_recorded_one() -> None:
    believed = image_work.Work(wanted(), image_work.Need.NOTHING, digest="sha256:old", before="sha256:old", known=False)
    (made,) = pushed.confirmed([believed], {TARGET}, engine_with(believed, f"127.0.0.1:5010/list@{OTHER}"))
    assert (made.digest, made.before, made.known) == (OTHER, "sha256:old", True)


@pytest.mark.parametrize(
    ("target", "remote", "of_this_pass"),
    [(TARGET, False, True), (TARGET, True, False), ("registry.example/list:v1", True, True)],
)
def test_h10_a_registry_that_can_be_asked_and_pushes_of_earlier_days_are_no_matter_of_the_engine(
    target: str, remote: bool, of_this_pass: bool
) -> None:
    work = needed(target)
    engine = engine_with(work, f"{target.rpartition(':')[0]}@{OTHER}", remote=remote)
    assert pushed.confirmed([work], {target} if of_this_pass else {"x"}, engine) == (work,)
    assert engine.calls == []


def test_h10_of_several_digests_the_one_that_was_live_last_is_taken() -> None:
    mine = digest.of_parts(("ours",))
    both = f"127.0.0.1:5010/list@{OTHER}", f"127.0.0.1:5010/list@{mine}"
    work = needed(before=mine)
    (made,) = pushed.confirmed([work], {TARGET}, engine_with(work, *both))
    assert made.digest == mine
    with pytest.raises(errors.ControllerError):
        pushed.confirmed([needed()], {TARGET}, engine_with(needed(), *both))


@pytest.mark.parametrize("shown", ["no digest", "no image", "another image", "an image built on it"])
def test_h10_an_engine_that_does_not_say_it_ends_the_pass_with_a_sentence(shown: str) -> None:
    work = needed()
    engine = engine_with(work)
    if shown == "no image":
        engine.local.clear()
    if shown.startswith("an"):
        label = "sha256:foreign" if shown == "another image" else work.wanted.digest
        image = engine.hold(TARGET, {image_inputs.LABEL_INPUT: label}, created_s=1)
        engine.local[image.id] = replace(image, repo_digests=(f"127.0.0.1:5010/list@{OTHER}",))
    with pytest.raises(errors.ControllerError) as told:
        pushed.confirmed([work], {TARGET}, engine)
    assert told.value.reason == "ImagePushFailed"
    assert "the engine (ssh://edge) does not show under which digest" in told.value.message
    assert f"{TARGET} (function a); give registry.host" in told.value.message
