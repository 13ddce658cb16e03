"""Images by the digests that a published set names (contract.md section 5).

Of an earlier set: which of them have to be in the registry before it is published again (faults.md H10: only digests
that the registry has are published). Nothing can be built for a set that is older than the source, so what is lost
stays lost. Of the live set: which of them stay in a pass that leaves images to somebody else. Pure: it is
`controller.pinned_images` that asks registry and engine.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from core import image_inputs, image_work, intentions, items, notices, observed, record, references

_FILE = str(items.Document.FUNCTIONS)


@dataclass(frozen=True, slots=True)
class Published:
    """The image of one function of a set, as it was published; `entry` is the id of the function's entry."""

    function: str
    entry: str
    image: str


@dataclass(frozen=True, slots=True)
class Pin:
    """One ``repository:tag@sha256:…`` of a set. `image` is that reference as the runtime pulls it, `target` as the
    build host sees it. `users` are all that have it, in the set's order."""

    image: str
    target: str
    users: tuple[Published, ...]

    @property
    def digest(self) -> str:
        """The digest that it names."""
        return self.image.partition("@")[2]

    @property
    def names(self) -> tuple[str, ...]:
        """What an engine that has the image may know it by: ``repository@sha256:…``, as both sides see it."""
        both = (self.target, self.image)
        return tuple(dict.fromkeys(f"{references.split(name).name}@{self.digest}" for name in both))


@dataclass(frozen=True, slots=True)
class PinLook:
    """What is known of one pin. `in_registry` is None when the registry did not answer. `engine_image` is the id of
    the image in the engine, "" when it has none that was built here."""

    in_registry: bool | None
    engine_image: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has to be done before the set is published, and the pins for which nothing can be done."""

    works: tuple[image_work.Work, ...]
    lost: tuple[Pin, ...]


def pins(
    published: Iterable[Published], names: references.Registries, recorded: Collection[image_inputs.ImageRecord]
) -> tuple[Pin, ...]:
    """The distinct pinned references that are ours, in order.

    Ours is what lies in the registry that settings name, or in a repository that the record has an image of. Without a
    tag or a digest (`images.pin: tag`) nothing was pinned here, and there is nothing to look for.
    """
    repositories = {references.split(name).name for one in recorded for name in (one.image, one.target)}
    users: dict[str, list[Published]] = {}
    for one in published:
        if _is_pinned(one.image) and (references.split(one.image).name in repositories or _is_in(one.image, names)):
            users.setdefault(one.image, []).append(one)
    return tuple(Pin(image, references.moved(image, names), tuple(found)) for image, found in users.items())


def live(
    recorded: Collection[image_inputs.ImageRecord], found: Collection[Pin], functions: Collection[str]
) -> tuple[image_inputs.ImageRecord, ...]:
    """The images that a live set names, one for each of its `functions` with an image of ours. `found` are the set's
    pins. The record keeps what was made last, which after a rollback is another image: then the digest is the pin's,
    and what that one was made from is not known."""
    made = {one.function: one for one in recorded if one.function in functions}
    for pin in found:
        for user in pin.users:
            known = made.get(user.function)
            if known is None or known.digest != pin.digest:
                image, target = (name.partition("@")[0] for name in (pin.image, pin.target))
                made[user.function] = image_inputs.ImageRecord(user.function, image, target, "", pin.digest)
    return tuple(made.values())


def standing(
    functions: Iterable[items.ItemKey], seen: observed.ObservedItems, known: record.Record
) -> Mapping[items.ItemKey, items.Item]:
    """The functions as this controller published them last: as an attempt that never ended left them, or else as the
    applied set has them. Of one that neither knows, what CONFIG_DIR shows: the record may be lost (faults.md B5)."""
    applied = {part.item.key: part.item for part in (known.applied.items if known.applied else ())}
    ours = applied | {key: part.item for key, part in intentions.published(known.intended, seen).items()}
    found = {key: ours.get(key) or seen.items.get(key) for key in functions}
    return {key: item for key, item in found.items() if item is not None}


def kept(wanted: Mapping[str, str], shown: Mapping[str, str]) -> Mapping[str, str]:
    """The pins that stay where no image is looked at, by function. `wanted` are the images that the source names,
    `shown` those that are live. While both name the same tag, the digest is what was found under it by the last pass
    that looked: publishing the tag alone would give it up without a reason (faults.md P8)."""
    return {
        function: standing
        for function, image in wanted.items()
        if (standing := shown.get(function, "")) and _is_pin_of(standing, image)
    }


def left(
    shown: Mapping[str, str], sources: Mapping[str, str], recorded: Iterable[image_inputs.ImageRecord]
) -> Iterator[notices.Notice]:
    """What is known to be different of the images that a pass leaves to somebody else. `shown` are those that it
    publishes, `sources` what they would be made from now (`image_inputs.source_digest`), both by function."""
    for made in recorded:
        image = shown.get(made.function, "")
        if not image or references.tagged(image.partition("@")[0]) != made.image:
            continue
        pin = image.partition("@")[2]
        if made.source_digest and sources.get(made.function, made.source_digest) != made.source_digest:
            words = "was made from something else than the source has now"
        elif pin and pin != made.digest:
            words = "is not the image that was made last"
        else:
            continue
        message = f"function {made.function}: {image} {words}; --skip-images leaves making it to somebody else"
        yield notices.Notice("ImageSkipped", message)


def judge(wanted: Collection[Pin], looks: Mapping[str, PinLook]) -> Verdict:
    """The verdict on every pin. `looks` is by `Pin.image`. A registry that did not answer loses nothing: its pins are
    published, and said to be unchecked (faults.md H10)."""
    judged = [(pin, looks[pin.image]) for pin in wanted]
    return Verdict(
        works=tuple(work for pin, look in judged for work in _works(pin, look)),
        lost=tuple(pin for pin, look in judged if look.in_registry is False and not look.engine_image),
    )


def lost_words(lost: Collection[Pin]) -> str:
    """What cannot be had any more, each reference with its functions."""
    told = (f"{pin.image} ({_functions(pin)})" for pin in lost)
    return f"neither the registry nor the engine has {'; nor '.join(told)}"


def _functions(pin: Pin) -> str:
    return f"function{'' if len(pin.users) == 1 else 's'} {', '.join(one.function for one in pin.users)}"


def _works(pin: Pin, look: PinLook) -> Iterator[image_work.Work]:
    wanted, need = _input(pin), image_work.Need
    if look.in_registry is not False:
        known = look.in_registry is True
        yield image_work.Work(wanted, need.NOTHING, digest=pin.digest, before=pin.digest, known=known)
    elif look.engine_image:
        gone = image_work.Why.GONE
        yield image_work.Work(wanted, need.PUSH, gone, before=pin.digest, engine_image=look.engine_image)


def _input(pin: Pin) -> image_inputs.ImageInput:
    """The image as what pushes it sees it: under the tag that it had. What it was made from is no matter any more."""
    image, target = (name.partition("@")[0] for name in (pin.image, pin.target))
    first = pin.users[0]
    return image_inputs.ImageInput(first.function, first.entry, image, target, pin.digest, "", file=_FILE)


def _is_pinned(image: str) -> bool:
    found = references.split(image)
    return bool(found.tag and found.digest)


def _is_pin_of(pin: str, image: str) -> bool:
    """Whether it is the same tag with a digest behind it. An image that names a digest itself is taken at its word."""
    return "@" not in image and _is_pinned(pin) and references.tagged(image) == pin.partition("@")[0]


def _is_in(image: str, names: references.Registries) -> bool:
    prefixes = (name.rstrip("/") for name in (names.runtime, names.host))
    return any(image.startswith(f"{prefix}/") for prefix in prefixes if prefix)
