"""The images of one target: from entries to inputs, from inputs to verdicts, and the making of what is missing.

Part of `controller.target`; composes the probes, the builder and the pure rules. Decides nothing: `core.dockerfile`
says what a Dockerfile starts from, `core.image_work` what has to be done.
"""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from controller import docker_child, errors, settings, translate, world
from core import (
    actions,
    desired,
    image_inputs,
    image_work,
    items,
    notices,
    policy,
    problems,
    record,
    references,
)
from manifests import checkout, fingerprint, pinning

if TYPE_CHECKING:
    from controller import docker, image_builder, registry
    from controller.probes import images as probe
    from core import dockerfile

_ENGINE_NAMES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_DEFAULT_PLATFORM")
"""The variables by which the docker command chooses an engine, and what that builds for."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One function as the checkout brings it."""

    function: str
    entry: str
    image: str
    reading: "dockerfile.Reading"
    context_digest: str
    file: str


class Images:
    """The images of one checkout. `engine` is asked for only when there is something to build."""

    def __init__(
        self,
        engine: Callable[[], "docker.Engine"],
        configured: settings.Settings,
        store: fingerprint.Store,
        *,
        check: Callable[[], None],
    ) -> None:
        self._check = check
        self._engine = engine
        self._configured = configured
        self._store = store
        self._in_registry: frozenset[str] = frozenset()
        self._pushed: frozenset[str] = frozenset()
        self._asked: registry.Registry | None = None

    def see(
        self, found: checkout.Checkout, wanted: desired.Desired, known: record.Record, *, base_tag: str, rebuild: bool
    ) -> world.Images:
        """Everything about the images of `wanted`. `base_tag` is the tag of the observed stack, "" when unknown.

        Raises `ControllerError("DockerfileInvalid")` with every line that cannot be read for certain, and
        `ControllerError("ArtifactInvalid")` when a function that is built names a digest.
        """
        if not wanted.builds:
            return world.Images()
        sources = self._sure(found, wanted, base_tag)
        try:
            return self._judged(sources, known, rebuild=rebuild)
        except errors.ControllerError as error:
            if error.reason != "DockerUnavailable":
                raise
            functions = ", ".join(sorted(function for _, function in wanted.builds))
            return world.Images(obstacles=(notices.Blocker(error.reason, _unbuilt(error.message, functions)),))

    def sources(self, found: checkout.Checkout | None, wanted: desired.Desired, *, base_tag: str) -> Mapping[str, str]:
        """What each image of `wanted` would be made from, as far as the checkout says (`ImageInput.source_digest`), by
        function. Judges no Dockerfile; asks neither registry nor engine."""
        if found is None:
            return {}
        return {
            one.function: image_inputs.source_digest(
                one.function, one.context_digest, one.reading.text, self._arguments()
            )
            for one in self._sources(found, wanted, base_tag)
        }

    def unmoved(self, known: record.Record) -> bool:
        """Whether the registry still shows what the record says, as far as it answers (faults.md H10)."""
        if not known.images:
            return True
        from controller.probes import images as probe

        return not probe.recheck(known.images, self._registry(), self._engine()).moved

    def build(self, action: actions.Build, found: checkout.Checkout, scratch: Path, *, rebuild: bool) -> None:
        """Build. Raises `ControllerError("ImageBuildFailed")`, which names every function that failed."""
        self._builder(found, scratch, rebuild=rebuild).build(action.works)

    def push(self, action: actions.Push, found: checkout.Checkout, scratch: Path) -> None:
        """Push. Raises `ControllerError("ImagePushFailed")`."""
        self._asked = None
        self._builder(found, scratch, rebuild=False).push(action.works)
        self._pushed |= {work.wanted.target for work in action.works}

    def _sure(self, found: checkout.Checkout, wanted: desired.Desired, base_tag: str) -> tuple[_Source, ...]:
        """The sources, all of which can be built as they were read."""
        if image_inputs.SOURCE_DATE_EPOCH in self._configured.images.arguments:
            sentence = f"images.arguments: {image_inputs.SOURCE_DATE_EPOCH} is given by the controller: leave it out"
            raise errors.ControllerError("SettingsInvalid", sentence)
        sources = self._sources(found, wanted, base_tag)
        unclear = [replace(problem, file=one.file) for one in sources for problem in one.reading.problems]
        nameless = [problem for one in sources for problem in untaggable(wanted, one.function, one.image)]
        if unclear or nameless:
            raise refusal(unclear, nameless)
        return sources

    def _sources(self, found: checkout.Checkout, wanted: desired.Desired, base_tag: str) -> tuple[_Source, ...]:
        from core import dockerfile  # not at the top: an unchanged pass reads none

        rules = dockerfile.BaseRules(self._names(), base_tag, self._configured.registry.base_tag or "")
        contexts = {(entry.id, ref.function): ref.digest for entry in found.entries for ref in entry.contexts}
        sources: list[_Source] = []
        for entry, function in wanted.builds:
            with translate.failures():
                text, file = checkout.dockerfile(found, self._store, entry, function)
            reading = dockerfile.read(text, arguments=self._configured.images.arguments, rules=rules)
            image = pinning.image_of(wanted.items[items.ItemKey(items.Kind.FUNCTION, function)])
            sources.append(_Source(function, entry, image, reading, contexts[entry, function], file))
        return tuple(sources)

    def _judged(self, sources: Sequence[_Source], known: record.Record, *, rebuild: bool) -> world.Images:
        from controller import docker
        from controller.probes import images as probe
        from controller.probes import pushed

        engine, names = self._engine(), self._registry()
        engine.preflight((docker.Piece.ENGINE, docker.Piece.BUILDX))
        platform = self._configured.images.platform or engine.platform
        wanted_bases = {base for source in sources for base in source.reading.bases}
        recorded = {base.reference: base.digest for image in known.images for base in image.bases}
        bases = probe.bases(sorted(wanted_bases), names, engine, recorded)
        self._in_registry = bases.in_registry
        obstacles = tuple(_without_base(sources, bases))
        inputs = [
            self._input(source, bases.found, platform)
            for source in sources
            if set(source.reading.bases) <= set(bases.found)
        ]
        looks = probe.look(inputs, names, engine, {image.function: image for image in known.images})
        works = image_work.judge(inputs, looks, known.images, rebuild=rebuild)
        if self._pushed:
            works = pushed.confirmed(works, self._pushed, engine)
        return world.Images(works, obstacles, dict(self._pins(works)))

    def _input(self, source: _Source, bases: Mapping[str, image_inputs.Base], platform: str) -> image_inputs.ImageInput:
        image = references.tagged(source.image)
        return image_inputs.ImageInput(
            function=source.function,
            entry=source.entry,
            image=image,
            target=references.moved(image, self._names()),
            context_digest=source.context_digest,
            dockerfile=source.reading.text,
            bases=tuple(bases[reference] for reference in source.reading.bases),
            platform=platform,
            arguments=self._arguments(),
            file=source.file,
        )

    def _arguments(self) -> tuple[tuple[str, str], ...]:
        return tuple(sorted(self._configured.images.arguments.items()))

    def _pins(self, works: Sequence[image_work.Work]) -> Iterator[tuple[str, str]]:
        """What is published for each function: the digest that is there, or the one before while it has to be made."""
        for work in works:
            digest = work.digest or work.before
            if digest and self._configured.images.pin is policy.Pin.DIGEST:
                yield work.wanted.function, references.pinned(work.wanted.image, digest)

    def _names(self) -> references.Registries:
        return references.Registries(self._configured.registry.runtime or "", self._configured.registry.host or "")

    def _registry(self) -> "registry.Registry":
        """One for the looks of a pass: a host that does not answer is waited for once. A push begins anew."""
        if self._asked is None:
            self._asked = self.new_registry()
        return self._asked

    def close(self) -> None:
        """Keep no connection open between two passes."""
        if self._asked is not None:
            self._asked.close()
            self._asked = None

    def new_registry(self) -> "registry.Registry":
        """One that was asked nothing yet."""
        from controller import registry

        given = self._configured.registry
        insecure = [name for name in (given.host,) if name and given.insecure]
        return registry.Registry(
            insecure_hosts=insecure,
            deadline_s=self._configured.deadlines.probe,
            fallback=lambda reference: self._engine().remote_manifest(reference),
        )

    def _builder(self, found: checkout.Checkout, scratch: Path, *, rebuild: bool) -> "image_builder.Builder":
        from controller import image_builder
        from manifests import build_context

        def copy_context(wanted: image_inputs.ImageInput, into: Path) -> None:
            with translate.failures():
                build_context.copy(found, wanted.entry, wanted.function, into, store=self._store)

        return image_builder.Builder(
            self._engine(),
            parallel=self._configured.images.parallel,
            copy_context=copy_context,
            revision=found.revision,
            rebuild=rebuild,
            scratch=scratch,
            in_registry=self._in_registry,
            check=self._check,
            end_children=functools.partial(docker_child.terminate_children, self._configured.name),
            target=self._configured.name,
            platform=self._configured.images.platform or "",
        )


def how_made(configured: settings.Settings) -> tuple[str, ...]:
    """The settings that decide what images are made, and how they are published. Of the engine its names only: another
    one may have another platform, and asking for that would cost every pass a process (faults.md H9)."""
    engine = (repr(configured.docker), *(os.environ.get(name, "") for name in _ENGINE_NAMES))
    return (repr(configured.images), repr(configured.registry), *engine)


def _without_base(sources: Sequence[_Source], bases: "probe.Bases") -> Iterator[notices.Blocker]:
    """What cannot be built because an image that it starts from cannot be had: every such image, with its functions."""
    for reasons, reason in ((bases.missing, "ImageBuildFailed"), (bases.unreachable, "RegistryUnavailable")):
        for reference, why in reasons.items():
            users = [source for source in sources if reference in source.reading.bases]
            names = ", ".join(source.function for source in users)
            yield notices.Blocker(reason, f"{reference}: {why}; {users[0].file} starts from it, to build: {names}")


def _unbuilt(why: str, functions: str) -> str:
    return f"{why}; to build: {functions} (--skip-images leaves that to somebody else)"


def untaggable(wanted: desired.Desired, function: str, image: str) -> Iterator[problems.Problem]:
    """What keeps the image of a function from being built under the name that functions.yml gives it."""
    if "@" in image:
        key = items.ItemKey(items.Kind.FUNCTION, function)
        origin = wanted.provenance[key]
        message = "names a digest, and yet the function brings a Dockerfile: what is built gets its digest afterwards"
        yield problems.Problem(origin.file, origin.line, 1, f"functions.{function}.image", message)


def refusal(unclear: Sequence[problems.Problem], untaggable: Sequence[problems.Problem]) -> errors.ControllerError:
    """Everything that is wrong. The sentence has the first place: `status` and messages show no others."""
    found = (*unclear, *untaggable)
    what = "Dockerfiles" if unclear else "functions.yml"
    count = f"{len(found)} problem{'' if len(found) == 1 else 's'}"
    return errors.ControllerError(
        "DockerfileInvalid" if unclear else "ArtifactInvalid",
        f"images cannot be built from these {what}: {count}; first: {found[0]}",
        found,
    )
