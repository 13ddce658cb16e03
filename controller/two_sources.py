"""Two sources side by side, with no stack, no server and no CONFIG_DIR: what a pull request would change.

Reads both (a folder, or a folder of a work tree at a commit) and hands them to `core.two_sources`. What is wrong with
the new side is an error, as in a pass. The other side is only what is compared with: when it is no artifact, or a
broken one, that is told and everything counts as new. Writes nothing but what it removes again.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from controller import clock, errors, images, settings, translate
from controller.sources import directory, work_tree
from core import desired, dockerfile, image_inputs, items, plan, policy, problems, references, runtime_config
from core import two_sources as core_sources
from manifests import checkout, fingerprint, pinning

_NO_ARTIFACT = frozenset({"ArtifactInvalid", "NoManifest", "SourceEmpty"})
"""Of the side that is compared with: there is nothing to compare with."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a side is read: a folder, or that folder at a `revision` of the repository around it."""

    folder: Path
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.folder} at {self.revision}" if self.revision else str(self.folder)


@dataclass(frozen=True, slots=True)
class Read:
    """One side; `commit` is the one that it was read from, "" for what lies in a folder."""

    place: Place
    commit: str
    side: core_sources.Side


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, and what the step from `before` to `after` would do."""

    after: Read
    before: Read
    plan: plan.Plan

    @property
    def differs(self) -> bool:
        """Whether it would do anything."""
        return bool(self.plan.actions)

    def origin_before(self, key: items.ItemKey) -> desired.Provenance | None:
        """Where an item stood in `before`."""
        return self.before.side.wanted.provenance.get(key)


def compare(configured: settings.Settings, after: Place, before: Place) -> Comparison:
    """Raises `ControllerError` for what is wrong with `after`, and for a `before` that cannot be found or read."""
    new, old = _after(configured, after), _before(configured, before)
    rules = policy.Policy(**dict(configured.policy))
    return Comparison(new, old, core_sources.compare(new.side, old.side, rules))


def _after(configured: settings.Settings, place: Place) -> Read:
    with _opened(configured, place) as (root, commit, left_out):
        if root is None:
            raise errors.ControllerError("SourceMissing", f"{place}: no such folder in commit {commit}")
        try:
            return Read(place, commit, _side(configured, root, left_out, strictly=True))
        except errors.ControllerError as error:
            error.root = str(place.folder)
            raise


def _before(configured: settings.Settings, place: Place) -> Read:
    with _opened(configured, place) as (root, commit, left_out):
        if root is None:
            return Read(place, commit, core_sources.nothing(f"{place}: no such folder in commit {commit}"))
        try:
            return Read(place, commit, _side(configured, root, left_out, strictly=False))
        except errors.ControllerError as error:
            if error.reason not in _NO_ARTIFACT:
                raise
            return Read(place, commit, core_sources.nothing(f"{place}: {error.reason}: {error.message}"))


@contextlib.contextmanager
def _opened(configured: settings.Settings, place: Place) -> Iterator[tuple[Path | None, str, tuple[str, ...]]]:
    """The folder to read, the commit it is of ("" for none), and what was left out of it."""
    if not place.revision:
        yield place.folder, "", ()
        return
    with work_tree.taken(place.folder, place.revision, deadline_s=configured.deadlines.git) as found:
        yield found.root, found.commit, found.left_out


def _side(configured: settings.Settings, root: Path, left_out: tuple[str, ...], *, strictly: bool) -> core_sources.Side:
    """Read one folder to its end. `strictly` refuses Dockerfiles that cannot be read for certain."""
    store = fingerprint.MemoryStore()
    source = configured.source.directory
    with translate.failures():
        located = directory.located(root, configured.manifest, allow_outside=bool(source and source.allow_outside))
        found = checkout.scan(located, store, now_ns=clock.Clock().now_ns, rules=directory.rules(configured))
        entries = checkout.load_entries(found, store)
    directory.require_asked(found, configured.manifest)
    warnings = (*found.warnings, *map(_left_out, left_out))
    wanted = runtime_config.fold(
        entries, revision=found.revision, required_secrets=found.required_secrets, warnings=warnings
    )
    inputs = tuple(_inputs(configured, found, store, wanted, strictly=strictly))
    return core_sources.Side(wanted, inputs, found.runtime_stack)


def _inputs(
    configured: settings.Settings,
    found: checkout.Checkout,
    store: fingerprint.Store,
    wanted: desired.Desired,
    *,
    strictly: bool,
) -> Iterator[image_inputs.ImageInput]:
    """What the images are made from, as far as the source says; bases have no digest, nobody is asked for them."""
    names = references.Registries(configured.registry.runtime or "", configured.registry.host or "")
    rules = dockerfile.BaseRules(names, "", configured.registry.base_tag or "")
    arguments = configured.images.arguments
    unclear: list[problems.Problem] = []
    untaggable: list[problems.Problem] = []
    for entry, function in wanted.builds:
        with translate.failures():
            text, file = checkout.dockerfile(found, store, entry, function)
        reading = dockerfile.read(text, arguments=arguments, rules=rules)
        image = pinning.image_of(wanted.items[items.ItemKey(items.Kind.FUNCTION, function)])
        unclear += (replace(problem, file=file) for problem in reading.problems)
        untaggable += images.untaggable(wanted, function, image)
        if reading.problems or "@" in image:
            continue
        yield image_inputs.ImageInput(
            function=function,
            entry=entry,
            image=references.tagged(image),
            target=references.moved(references.tagged(image), names),
            context_digest=checkout.context_of(found, entry, function).digest,
            dockerfile=reading.text,
            bases=tuple(image_inputs.Base(reference, "") for reference in reading.bases),
            platform=configured.images.platform or "",
            arguments=tuple(sorted(arguments.items())),
            file=file,
        )
    if strictly and (unclear or untaggable):
        raise images.refusal(unclear, untaggable)


def _left_out(path: str) -> problems.Problem:
    message = "is a link or a submodule: it is left out of what is read from a commit"
    return problems.Problem(path, 0, 0, "", message, problems.Severity.WARNING)
