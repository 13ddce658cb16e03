"""What has to be done about each image that is built here: nothing, a push, or a build and a push. Pure.

Stands between looking (`controller.probes.images`) and planning (`core.plan`). Images are made by input, not by tag
(faults.md H9): whoever has an image with the same input digest, registry or engine, saves the build.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from core import image_inputs


class Need(StrEnum):
    """What is missing before the runtime can pull the image."""

    NOTHING = "nothing"
    PUSH = "push"
    BUILD = "build"


class Why(StrEnum):
    """Why an image is worked on; documented in docs/reasons.md."""

    NEW = "NewImage"
    """No image of this function was made before."""
    INPUT_CHANGED = "ImageInputChanged"
    """Its code, its Dockerfile, an argument or the platform is another than the last time."""
    BASE_MOVED = "BaseMoved"
    """An image that it starts from is another than the last time, and nothing else."""
    MOVED = "ImageMoved"
    """Somebody put another image under its tag: drift."""
    GONE = "ImageGone"
    """It is no longer in the registry: drift."""
    REBUILD_ASKED = "RebuildAsked"
    """`--no-cache`."""


DRIFT = frozenset({Why.MOVED, Why.GONE})
"""Reasons with no change of the source behind them."""


@dataclass(frozen=True, slots=True)
class Work:
    """The verdict on one image. `digest` is the manifest digest to pin, known exactly when nothing is needed; `before`
    is the one that was live last, "" for none. `why` is None exactly when nothing is needed. `engine_image` is the
    image to push when no build is needed. `known` is False when the registry did not answer and the record is
    believed."""

    wanted: image_inputs.ImageInput
    need: Need
    why: Why | None = None
    digest: str = ""
    before: str = ""
    engine_image: str = ""
    known: bool = True

    @property
    def record(self) -> image_inputs.ImageRecord:
        """What to remember of it, once nothing is needed."""
        made = self.wanted
        return image_inputs.ImageRecord(
            made.function, made.image, made.target, made.digest, self.digest, made.bases, made.source_digest
        )


def judge(
    wanted: Iterable[image_inputs.ImageInput],
    looks: Mapping[str, image_inputs.ImageLook],
    recorded: Iterable[image_inputs.ImageRecord],
    *,
    rebuild: bool = False,
) -> tuple[Work, ...]:
    """The work on every input, in order. `looks` is by function. `rebuild` builds everything anew (`--no-cache`)."""
    remembered = {known.function: known for known in recorded}
    return tuple(_judge(one, looks[one.function], remembered.get(one.function), rebuild=rebuild) for one in wanted)


def _judge(
    wanted: image_inputs.ImageInput,
    look: image_inputs.ImageLook,
    known: image_inputs.ImageRecord | None,
    *,
    rebuild: bool,
) -> Work:
    before = known.digest if known else ""
    if rebuild:
        return Work(wanted, Need.BUILD, Why.REBUILD_ASKED, before=before)
    same = known is not None and known.input_digest == wanted.digest and known.target == wanted.target
    if not look.reachable and same:
        # Unknown is no reason to act: what was there is believed to be there (faults.md H10).
        return Work(wanted, Need.NOTHING, digest=before, before=before, known=False)
    if look.tag_digest and look.tag_input == wanted.digest:
        return Work(wanted, Need.NOTHING, digest=look.tag_digest, before=before)
    need = Need.PUSH if look.engine_image else Need.BUILD
    return Work(wanted, need, _why(wanted, look, known), before=before, engine_image=look.engine_image)


def _why(wanted: image_inputs.ImageInput, look: image_inputs.ImageLook, known: image_inputs.ImageRecord | None) -> Why:
    if known is None or known.target != wanted.target:
        return Why.NEW
    if known.input_digest == wanted.digest:
        return Why.MOVED if look.tag_digest else Why.GONE
    return Why.BASE_MOVED if known.bases != wanted.bases and _same_but_bases(wanted, known) else Why.INPUT_CHANGED


def _same_but_bases(wanted: image_inputs.ImageInput, known: image_inputs.ImageRecord) -> bool:
    """Whether the old bases would give the old input digest."""
    return replace(wanted, bases=known.bases).digest == known.input_digest
