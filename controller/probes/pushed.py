"""What the engine says of images that it has just pushed to a registry that only it can reach.

Such a registry is on the loopback of the engine's own host, and cannot be asked from here. The digest under which an
image went there is known from the engine that pushed it (contract.md section 5; faults.md H10). Only in the pass that
pushed it: what an engine says of earlier days tells nothing about the registry of now, and there are engines that give
every image such a digest, pushed or not. Later passes believe the record. Changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from controller import errors, registry_names
from controller.probes import asking
from core import image_inputs, image_work

if TYPE_CHECKING:
    from controller import docker


def confirmed(
    works: Sequence[image_work.Work], pushed: Collection[str], engine: asking.Engine
) -> tuple[image_work.Work, ...]:
    """The same works, in order; those that this pass pushed out of reach with the digest that the engine pushed.
    `pushed` are references.

    Raises ``ControllerError("ImagePushFailed")`` when the engine does not say it: nothing can be pinned then.
    """
    told = [work for work in works if work.wanted.target in pushed and asking.out_of_reach(work.wanted.target, engine)]
    held = engine.images([work.wanted.target for work in told]) if told else {}
    digests = {work.wanted.target: _digest(work, held) for work in told}
    silent = [work.wanted for work in told if not digests[work.wanted.target]]
    if silent:
        raise _unconfirmed(silent, engine)
    return tuple(_made(work, digests[work.wanted.target]) if work in told else work for work in works)


def _made(work: image_work.Work, digest: str) -> image_work.Work:
    return replace(work, need=image_work.Need.NOTHING, why=None, digest=digest, engine_image="", known=True)


def _digest(work: image_work.Work, held: "Mapping[str, docker.EngineImage]") -> str:
    """The digest in the target's repository of the image that was made; "" when it is not the only one. Of several, the
    one that was live last is right: the same image went there before."""
    image, wanted = held.get(work.wanted.target), work.wanted
    if image is None or image_inputs.shown(image.labels, image.created_s) != wanted.digest:
        return ""
    place = registry_names.split(wanted.target).place
    names = [registry_names.split(name) for name in image.repo_digests]
    found = {name.digest for name in names if name.place == place}
    return work.before if work.before in found else found.pop() if len(found) == 1 else ""


def _unconfirmed(silent: Sequence[image_inputs.ImageInput], engine: asking.Engine) -> errors.ControllerError:
    names = ", ".join(f"{one.target} (function {one.function})" for one in silent)
    return errors.ControllerError(
        "ImagePushFailed",
        f"pushed, but the engine ({engine.address}) does not show under which digest, and only it can reach the "
        f"registry: {names}; give registry.host a name that both reach",
    )
