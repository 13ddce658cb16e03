"""Which functions serve with the image that is applied: consumers.md GW14. Pure.

A reload replaces the gateway's registry only; warm workers keep their old image until they are idle. So "applied" and
"serving" are two statements, and the second is only as good as what containers show of the image they run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core import image_inputs, references


@dataclass(frozen=True, slots=True)
class Worker:
    """A running container: the reference that it was made from, and every ``repository@digest`` that the engine knows
    its image by."""

    image: str
    repo_digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Serving:
    """Functions by what their running workers are made from; a function without a worker is in neither."""

    applied: tuple[str, ...] = ()
    older: tuple[str, ...] = ()


def judge(images: Iterable[image_inputs.ImageRecord], workers: Iterable[Worker]) -> Serving:
    """Compare workers with the images that were applied last. A function of which one worker is old counts as old."""
    found = _by_repository(workers)
    applied: list[str] = []
    older: list[str] = []
    for image in images:
        running = {
            worker
            for name in {references.split(image.target).name, references.split(image.image).name}
            for worker in found.get(name, ())
        }
        if running:
            current = all(_runs(worker, image.digest) for worker in running)
            (applied if current else older).append(image.function)
    return Serving(tuple(applied), tuple(older))


def _by_repository(workers: Iterable[Worker]) -> Mapping[str, list[Worker]]:
    found: dict[str, list[Worker]] = {}
    for worker in workers:
        found.setdefault(references.split(worker.image).name, []).append(worker)
    return found


def _runs(worker: Worker, digest: str) -> bool:
    """By the digest that it was started with, else by what the engine knows of its image."""
    named = worker.image.partition("@")[2]
    return named == digest if named else any(each.endswith(f"@{digest}") for each in worker.repo_digests)
