"""What a function's image is made from, and what is known of the image itself (contract.md section 5).

Owns the input digest (two builds with the same one would give the same program, so the second is never made) and how
an image shows it. Decides nothing: `core.image_work` compares inputs with what registry and engine hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core import digest

LABEL_INPUT = "artifact-controller.input"
LABEL_REVISION = "org.opencontainers.image.revision"
LABEL_ENTRY = "artifact-controller.entry"
LABEL_FUNCTION = "artifact-controller.function"
"""Labels on every image that is built here. Only the first is ever read."""

SOURCE_DATE_EPOCH = "SOURCE_DATE_EPOCH"
"""The build argument that BuildKit dates an image by. Every build gets one from here; nobody else may give it."""

_FIRST_S = 315_532_800
_SECONDS = 1_262_304_000
"""From 1980 up to 2020: times that no clock shows any more, so that no other build dates an image so by accident."""


def created_s(input_digest: str) -> int:
    """The second, since the epoch, that an image of this input says it was created in. It is always the same one."""
    return _FIRST_S + int(digest.of_parts(("created", input_digest)).rpartition(":")[2], 16) % _SECONDS


def shown(labels: Mapping[str, str], created: int | None) -> str:
    """The input digest that an image shows, "" for none. `created` is the second that it says it was created in, None
    when it says none, or a part of one.

    A label alone proves nothing: every image inherits those of its base (faults.md H10: the tag overwritten by
    somebody). What is built on one of ours is of another second, or has lost the label (`core.dockerfile_seal`).
    """
    told = labels.get(LABEL_INPUT, "")
    return told if told and created == created_s(told) else ""


@dataclass(frozen=True, slots=True)
class Base:
    """An image that a Dockerfile starts from or copies from: its reference as the build host sees it, and the digest
    that this reference stands for now (of the registry's manifest, or of the engine's image)."""

    reference: str
    digest: str


@dataclass(frozen=True, slots=True)
class ImageInput:
    """Everything that decides one image.

    `image` is the reference as functions.yml has it (the runtime pulls it), always with a tag; `target` is the same
    as the build host pushes it. `context_digest` covers names, modes and bytes of the build context. `dockerfile` is
    the rewritten text. `platform` is the one that is asked for, or else the engine's own. `arguments` are build
    arguments, sorted by name. `file` is the Dockerfile as the user would type it, for messages.
    """

    function: str
    entry: str
    image: str
    target: str
    context_digest: str
    dockerfile: str
    bases: tuple[Base, ...] = ()
    platform: str = ""
    arguments: tuple[tuple[str, str], ...] = ()
    file: str = ""

    @property
    def source_digest(self) -> str:
        """See `source_digest`."""
        return source_digest(self.function, self.context_digest, self.dockerfile, self.arguments)

    @property
    def digest(self) -> str:
        """The input digest. The function's name counts (it is a path of the context); tags and registries do not."""
        return digest.of_parts(
            (
                "image-input-2",
                self.function,
                self.context_digest,
                self.dockerfile,
                str(len(self.bases)),
                *(part for base in self.bases for part in (base.reference, base.digest)),
                self.platform,
                *(part for argument in self.arguments for part in argument),
            )
        )


def source_digest(function: str, context_digest: str, dockerfile: str, arguments: tuple[tuple[str, str], ...]) -> str:
    """The digest of what source and settings alone say of an input: neither registry nor engine has to be asked for it,
    as they are for the bases and the platform. Inputs that differ in it differ."""
    return digest.of_parts(
        ("image-source-1", function, context_digest, dockerfile, *(part for argument in arguments for part in argument))
    )


@dataclass(frozen=True, slots=True)
class ImageLook:
    """What registry and engine hold for one input, as `controller.probes.images` found it.

    `tag_digest` is the manifest digest that `target` names in the registry now, "" when there is no such tag.
    `tag_input` is the input digest that this manifest has (from the record) or shows (`shown`, in the engine or the
    registry), "" when it has none. `engine_image` is the id of an image in the engine that shows this input, "" when
    there is none. `reachable` is False when the registry did not answer: then `tag_digest` says nothing.
    """

    tag_digest: str = ""
    tag_input: str = ""
    engine_image: str = ""
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image that was made or found, as the record keeps it: what the next pass looks at before it reads anything.
    `digest` is the one of the manifest in the registry. `source_digest` is that of its input, "" when it is not
    known."""

    function: str
    image: str
    target: str
    input_digest: str
    digest: str
    bases: tuple[Base, ...] = ()
    source_digest: str = ""
