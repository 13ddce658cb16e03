"""The look at images: what registry and engine hold of those that are built here, and of those they start from.

Stands between the inputs of a pass (`core.image_inputs`) and the verdict on them (`core.image_work`), which it does not
give. Owns which of several places is believed: for an image the registry, because the runtime pulls from it; for a base
the registry, then the engine, then, when nobody answers, the record (contract.md section 5, faults.md H10). Changes
nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller import registry as registries
from controller import registry_names
from controller.probes import asking
from core import image_inputs

if TYPE_CHECKING:
    from controller import docker


@dataclass(frozen=True, slots=True)
class Recheck:
    """What the cheap look found. `moved` are the functions of which a recorded digest is not the one of now, in the
    record's order; `unknown` are the hosts that did not answer, each with the reason: ``HOST: words``."""

    moved: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bases:
    """Images that are built on, by reference. `in_registry` are those of `found` whose digest is one of a registry's
    manifest: builds pin them. `missing` and `unreachable` say in words why a reference has no digest: nobody has it, or
    nobody knows."""

    found: Mapping[str, image_inputs.Base]
    in_registry: frozenset[str]
    missing: Mapping[str, str]
    unreachable: Mapping[str, str]


def look(
    inputs: Sequence[image_inputs.ImageInput],
    registry: registries.Registry,
    engine: asking.Engine,
    recorded: Mapping[str, image_inputs.ImageRecord],
) -> Mapping[str, image_inputs.ImageLook]:
    """What is known of every input, by function; `recorded` is by function too. The engine is asked only when the
    record does not settle everything, and the registry for labels only when neither knows the image under a tag.
    Raises what the engine raises."""
    answers = asking.answers((one.target for one in inputs), registry, engine)
    input_of = {record.digest: record.input_digest for record in recorded.values() if record.digest}
    held: tuple[docker.EngineImage, ...] = ()
    if any(input_of.get(answers[one.target].digest) != one.digest for one in inputs):
        held = engine.labelled_images(image_inputs.LABEL_INPUT)
        input_of = {**_pushed(held), **input_of}
    told = _shown_by({one.target: answers[one.target].digest for one in inputs}, input_of, registry)
    return {one.function: _look_at(one, answers[one.target], {**told, **input_of}, held) for one in inputs}


def recheck(
    recorded: Collection[image_inputs.ImageRecord], registry: registries.Registry, engine: asking.Engine
) -> Recheck:
    """The look of a pass in which nothing else moved: whether every tag and every base still stands for the recorded
    digest. One question for each distinct reference; what cannot be known has not moved.

    The engine is asked for bases that the registry does not have, and before a registry that only docker can ask (that
    takes a process, and Docker Hub counts it as a pull): what the engine holds as recorded has not moved.
    """
    bases = {base for record in recorded for base in record.bases if not _is_pinned(base.reference)}
    slow = sorted({base.reference for base in bases if registry.needs_docker(base.reference)})
    held = dict(engine.images(slow)) if slow else {}
    open_bases = {base for base in bases if base.digest not in _identities(base.reference, held.get(base.reference))}
    references = {record.target for record in recorded} | {base.reference for base in open_bases}
    answers = asking.answers(sorted(references), registry, engine)
    absent = sorted({base.reference for base in open_bases if answers[base.reference].absent} - set(slow))
    held |= engine.images(absent) if absent else {}
    moved_bases = {
        base
        for base in open_bases
        if _stands_for(base.reference, answers[base.reference], held.get(base.reference), base.digest) != base.digest
    }
    return Recheck(
        moved=tuple(
            record.function
            for record in recorded
            if _is_moved(record, answers[record.target]) or not moved_bases.isdisjoint(record.bases)
        ),
        unknown=tuple(sorted({_unknown(name, one.unreachable) for name, one in answers.items() if one.unreachable})),
    )


def bases(
    references: Iterable[str], registry: registries.Registry, engine: asking.Engine, recorded: Mapping[str, str]
) -> Bases:
    """The digest that each base stands for now; `recorded` is the last one, by reference. A base that names its digest
    has it without a question. Raises what the engine raises."""
    distinct = tuple(dict.fromkeys(references))
    found = {one: image_inputs.Base(one, one.partition("@")[2]) for one in distinct if _is_pinned(one)}
    answers = asking.answers((one for one in distinct if one not in found), registry, engine)
    needy = [reference for reference, answer in answers.items() if not answer.digest]
    held = engine.images(needy) if needy else {}
    in_registry: set[str] = set()
    missing, unreachable = {}, {}
    for reference, answer in answers.items():
        image, known = held.get(reference), recorded.get(reference, "")
        if digest := _stands_for(reference, answer, image, known):
            found[reference] = image_inputs.Base(reference, digest)
            if digest not in _identities(reference, image):
                in_registry.add(reference)
        elif answer.unreachable:
            unreachable[reference] = f"{answer.unreachable}, and the engine does not have it"
        else:
            missing[reference] = "neither the registry nor the engine has it"
    return Bases(found, frozenset(in_registry), missing, unreachable)


def _shown_by(
    digests: Mapping[str, str], input_of: Mapping[str, str], registry: registries.Registry
) -> Mapping[str, str | None]:
    """The input digest that an image shows in the registry, by manifest digest, of those that are not known otherwise;
    "" for an image of somebody else, None when the registry does not say. `digests` are by reference."""

    def ask(reference: str) -> str | None:
        try:
            image = registry.image(reference)
        except registries.NoAnswer:
            return None
        return image_inputs.shown(image.labels, image.created_s)

    wanted = {
        f"{target.rpartition(':')[0]}@{digest}"
        for target, digest in digests.items()
        if digest and digest not in input_of
    }
    return {
        reference.partition("@")[2]: shown for reference, shown in asking.each(sorted(wanted), ask, registry).items()
    }


def _look_at(
    wanted: image_inputs.ImageInput,
    answer: registries.Answer,
    input_of: Mapping[str, str | None],
    held: "Iterable[docker.EngineImage]",
) -> image_inputs.ImageLook:
    local = _in_engine(wanted, held)
    tag_input = input_of[answer.digest] if answer.digest else ""
    if answer.unreachable or tag_input is None:
        return image_inputs.ImageLook(engine_image=local, reachable=False)
    return image_inputs.ImageLook(answer.digest, tag_input, local)


def _pushed(held: "Iterable[docker.EngineImage]") -> Mapping[str, str]:
    """Input digests by manifest digest, of images that the engine once pushed or pulled."""
    return {name.partition("@")[2]: _shown(one) for one in held for name in one.repo_digests}


def _in_engine(wanted: image_inputs.ImageInput, held: "Iterable[docker.EngineImage]") -> str:
    """The id of an image with this input; rather one with the right name already. The input covers the platform that
    was asked for; what the image says of its own may differ (FROM --platform)."""
    fitting = [one for one in held if _shown(one) == wanted.digest]
    named = (one for one in fitting if wanted.target in one.tags)
    chosen = next(named, fitting[0] if fitting else None)
    return chosen.id if chosen else ""


def _shown(image: "docker.EngineImage") -> str:
    return image_inputs.shown(image.labels, image.created_s)


def _is_moved(record: image_inputs.ImageRecord, answer: registries.Answer) -> bool:
    return not answer.unreachable and answer.digest != record.digest


def _unknown(reference: str, words: str) -> str:
    return f"{registry_names.split(reference).host}: {words}"


def _is_pinned(reference: str) -> bool:
    return "@" in reference


def _stands_for(reference: str, answer: registries.Answer, image: "docker.EngineImage | None", recorded: str) -> str:
    """The digest of a base: the registry's, else the engine's, else, when the registry does not answer, the recorded
    one; "" for none.

    An engine that pulled the base long ago does not overrule the record while the registry is down: its copy may be
    older. One that was never in a registry is what a build takes.
    """
    if answer.digest:
        return answer.digest
    here = _identities(reference, image)
    if recorded in here or (answer.unreachable and recorded and (not here or _is_copy(image, here))):
        return recorded
    return here[0] if here else ""


def _identities(reference: str, image: "docker.EngineImage | None") -> tuple[str, ...]:
    """What an engine's image can be called by: digests that it has in the reference's repository, then its own id."""
    if image is None:
        return ()
    place = registry_names.split(reference).place
    names = [registry_names.split(name) for name in image.repo_digests]
    return (*sorted(name.digest for name in names if name.place == place), image.id)


def _is_copy(image: "docker.EngineImage | None", identities: Sequence[str]) -> bool:
    """Whether the engine's image has a digest in the repository besides its id. (An engine whose ids are digests of
    manifests gives one to every image; it says nothing.)"""
    return image is not None and any(one != image.id for one in identities)
