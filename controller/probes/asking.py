"""Asking registries, several questions at a time, and what is asked of an engine.

Beneath `controller.probes.images`. Owns the threads, and that a signal ends every question at once (faults.md P8).
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from controller import registry as registries
from controller import registry_names, side_by_side

if TYPE_CHECKING:
    from controller import docker

AT_ONCE = 8
"""The most questions to registries at a time."""

_Found = TypeVar("_Found")


class Engine(Protocol):
    """What is asked of `docker.Engine`."""

    @property
    def address(self) -> str:
        """Where it is, in words."""

    @property
    def remote(self) -> bool:
        """Whether its host is another than this one."""

    def images(self, references: Collection[str]) -> "Mapping[str, docker.EngineImage]":
        """Those of the references that the engine has, by reference."""

    def labelled_images(self, label: str) -> "tuple[docker.EngineImage, ...]":
        """Every image with this label."""


def out_of_reach(reference: str, engine: Engine) -> bool:
    """Whether only the engine can reach the reference's registry: it is on the loopback of the engine's host, and that
    is another host than this one. What answers at this host's loopback is another registry."""
    return registry_names.is_loopback(registry_names.split(reference).host) and engine.remote


def answers(
    references: Iterable[str], registry: registries.Registry, engine: Engine
) -> Mapping[str, registries.Answer]:
    """What the registries say to each of the distinct references. One on the loopback of another host is not asked."""

    def answer(reference: str) -> registries.Answer:
        if out_of_reach(reference, engine):
            host = registry_names.split(reference).host
            words = (
                f"{host} is on the engine's own host ({engine.address}): only what was pulled or pushed there is known"
            )
            return registries.Answer(unreachable=words)
        return registry.digest(reference)

    return each(references, answer, registry)


def each(subjects: Iterable[str], ask: Callable[[str], _Found], registry: registries.Registry) -> Mapping[str, _Found]:
    """Ask for each of the distinct subjects, some at a time."""
    found: dict[str, _Found] = {}

    def task_of(subject: str) -> side_by_side.Task:
        def task(ending: threading.Event) -> None:
            if not ending.is_set():
                found[subject] = ask(subject)

        return task

    def end() -> None:
        from controller import docker

        registry.hang_up()
        docker.terminate_children()

    distinct = tuple(dict.fromkeys(subjects))
    failed = side_by_side.run([task_of(one) for one in distinct], at_once=AT_ONCE, end_children=end)
    for failure in failed:
        if failure is not None:
            raise failure
    return {one: found[one] for one in distinct}
