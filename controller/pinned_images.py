"""Images by the digests that a published set names.

Part of `controller.target`. Of an earlier set, before it is published once more: are they still there, and the push of
those that are only in the engine (faults.md H10). Of the live one: those that stay while somebody else makes images.
Needs no source, decides nothing (`core.pinned` does), builds nothing.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controller import docker_child, errors, settings, world
from core import actions, desired, image_inputs, items, observed, pinned, policy, record, references
from manifests import pinning

if TYPE_CHECKING:
    from controller import docker, registry


class PinnedImages:
    """The images of recorded sets. `engine` is asked for only when the registry lacks something; `registry` gives one
    that was asked nothing yet."""

    def __init__(
        self,
        engine: "Callable[[], docker.Engine]",
        registry: "Callable[[], registry.Registry]",
        configured: settings.Settings,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._configured = configured

    def see(self, wanted: desired.Desired, known: record.Record) -> world.Images:
        """What every pinned reference of `wanted` needs. One that nobody answers for needs nothing, and is not known.

        Raises ``ControllerError("ImageLost")`` when neither registry nor engine has one: nothing can be done for it
        here, and a function without an image does not serve.
        """
        published = _published((key, item, wanted.provenance[key].entry) for key, item in wanted.items.items())
        pins = pinned.pins(published, self._names, known.images)
        if not pins:
            return world.Images()
        absent, unknown = self._asked(pins)
        held, why_not = self._held(absent) if absent else ({}, "")
        verdict = pinned.judge(
            pins,
            {
                pin.image: pinned.PinLook(None if pin in unknown else pin not in absent, held.get(pin.image, ""))
                for pin in pins
            },
        )
        if verdict.lost:
            words = f"; the engine could not be asked: {why_not}" if why_not else ""
            raise errors.ControllerError("ImageLost", f"{pinned.lost_words(verdict.lost)}{words}")
        return world.Images(verdict.works)

    def live(self, parts: Collection[record.AppliedItem], known: record.Record) -> tuple[image_inputs.ImageRecord, ...]:
        """The images that the live set `parts` names. Asks nobody."""
        published = _published((part.item.key, part.item, part.entry or "") for part in parts)
        functions = {part.item.key.name for part in parts if part.item.key.kind is items.Kind.FUNCTION}
        return pinned.live(known.images, pinned.pins(published, self._names, known.images), functions)

    def kept(
        self,
        wanted: desired.Desired,
        seen: observed.ObservedItems,
        known: record.Record,
        *,
        sources: Mapping[str, str],
    ) -> world.Images:
        """What is published of images that somebody else makes: the pins that this controller published stay while the
        source names the same tags. `sources` are what they would be made from now, by function. Asks nobody."""
        functions = [items.ItemKey(items.Kind.FUNCTION, function) for _, function in wanted.builds]
        named = {key.name: pinning.image_of(wanted.items[key]) for key in functions}
        standing = pinned.standing(functions, seen, known)
        pins: Mapping[str, str] = {}
        if self._configured.images.pin is policy.Pin.DIGEST:
            pins = pinned.kept(named, {key.name: pinning.image_of(item) for key, item in standing.items()})
        return world.Images(pins=pins, skipped=tuple(pinned.left({**named, **pins}, sources, known.images)))

    @property
    def _names(self) -> references.Registries:
        given = self._configured.registry
        return references.Registries(given.runtime or "", given.host or "")

    def push(self, action: actions.Push, scratch: Path) -> None:
        """Push what the engine has. Raises ``ControllerError("ImagePushFailed")``."""
        from controller import image_builder

        builder = image_builder.Builder(
            self._engine(),
            copy_context=_no_context,
            revision="",
            scratch=scratch,
            parallel=self._configured.images.parallel,
            end_children=functools.partial(docker_child.terminate_children, self._configured.name),
            target=self._configured.name,
        )
        builder.push(action.works)

    def _asked(self, pins: Sequence[pinned.Pin]) -> tuple[frozenset[pinned.Pin], frozenset[pinned.Pin]]:
        """Those that the registry does not have, and those that nobody answers for."""
        from controller.probes import asking

        try:
            answers = asking.answers((pin.target for pin in pins), self._registry(), self._engine())
        except errors.ControllerError as error:
            if error.reason != "DockerUnavailable":
                raise
            return frozenset(), frozenset(pins)
        absent = frozenset(pin for pin in pins if answers[pin.target].absent)
        return absent, frozenset(pin for pin in pins if answers[pin.target].unreachable)

    def _held(self, absent: frozenset[pinned.Pin]) -> tuple[Mapping[str, str], str]:
        """The ids of those that the engine has and that were built here, by `Pin.image`; and why it does not say."""
        try:
            found = self._engine().images([name for pin in absent for name in pin.names])
        except errors.ControllerError as error:
            if error.reason != "DockerUnavailable":
                raise
            return {}, error.message
        ours = {name: one.id for name, one in found.items() if image_inputs.LABEL_INPUT in one.labels}
        return {pin.image: ours[name] for pin in absent for name in pin.names if name in ours}, ""


def _published(found: Iterable[tuple[items.ItemKey, items.Item, str]]) -> Iterator[pinned.Published]:
    """The functions whose text may name a digest: reading the others costs and tells nothing."""
    for key, item, entry in found:
        if key.kind is items.Kind.FUNCTION and "@" in item.text:
            yield pinned.Published(key.name, entry, pinning.image_of(item))


def _no_context(wanted: image_inputs.ImageInput, into: Path) -> None:
    """A push copies nothing."""
    raise AssertionError(f"there is no source to build {wanted.function} from in {into}")
