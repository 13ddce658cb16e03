"""One target and its source in memory: `controller.world.RollbackWorld` over values.

Three things survive a crash: the source, CONFIG_DIR and the record. `Place` holds them; a `World` is one process at
that place. Its calls are counted, and any of them can end the process, before or after its effect, or half way through.
"""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

from controller import clock, errors, memory, state
from controller.world import Acted, Failure, Fetched, Images, Success, Told
from core import (
    actions,
    assembly,
    compatibility,
    conditions,
    desired,
    digest,
    image_inputs,
    image_work,
    items,
    notices,
    observed,
    ownership,
    pinned,
    policy,
    provisioning,
    record,
    references,
    stack,
)
from manifests import pinning
from tests.fakes.state import MemoryState

SOURCE = ownership.Source("folder", "artifacts", "0123456789ab")
START = datetime.datetime(2026, 2, 20, 7, 4, 4, tzinfo=datetime.UTC)


class Crash(BaseException):
    """The process is gone: nothing of it may run any more, so it is no `Exception`."""


def revision(number: int) -> str:
    """A revision that looks like one."""
    return digest.of_value(number)


def function(name: str, value: int = 1) -> items.Item:
    """A function whose digest and text depend on `value`."""
    key = items.ItemKey(items.Kind.FUNCTION, name)
    return items.Item(key, digest.of_value({name: value}), f"{name}:\n  image: x:{value}\n", 1)


def route(path: str, target: str) -> items.Item:
    """A route."""
    key = items.ItemKey(items.Kind.ROUTE, f"{path}:GET")
    return items.Item(key, digest.of_value([path, target]), f"- path: {path}\n  function: {target}\n", 1, target)


def table(name: str, value: int = 1) -> items.Item:
    """A table."""
    key = items.ItemKey(items.Kind.TABLE, name)
    return items.Item(key, digest.of_value([name, value]), f"- TableName: {name}\n  Value: {value}\n", 1)


@dataclass
class Source:
    """What the source holds. `code` is a number for each function that is built, for what it is built from. `broken` is what resolving it raises; `unreadable` is what reading it raises."""

    revision: str = revision(1)
    parts: tuple[items.Item, ...] = (function("a"), function("b"), route("/a", "a"))
    missing_secrets: tuple[str, ...] = ()
    requirement: compatibility.Requirement | None = None
    project: str = ""
    builds: tuple[tuple[str, str], ...] = ()
    code: dict[str, int] = field(default_factory=dict)
    broken: errors.ControllerError | None = None
    unreadable: errors.ControllerError | None = None

    def now(self, revision: str, *parts: items.Item) -> None:
        """Another revision."""
        self.revision, self.parts = revision, parts


@dataclass
class Disk:
    """CONFIG_DIR: what it shows, the leftovers of a cut-off publish, and whose it is."""

    shown: dict[items.ItemKey, items.Item] = field(default_factory=dict)
    generation: int | None = None
    newest_mtime_s: int = 0
    leftovers: tuple[str, ...] = ()
    owner: ownership.Owner | None = None

    @property
    def documents(self) -> Mapping[items.Document, bytes]:
        """The bytes that a consumer reads."""
        return assembly.assemble(self.shown.values())

    @property
    def digests(self) -> Mapping[items.Document, str]:
        """Their digests."""
        return {document: digest.of_bytes(content) for document, content in self.documents.items()}


@dataclass
class Docker:
    """Registry, engine and stack. `tags` are digest and input digest by reference, `manifests` are the digests that the
    registry has, by tag or not, `built` what the engine has, by input digest, and `kept` the digests that it pushed, each
    with its input digest; `refusing` is what the next build, push or provisioner run raises, `silent` what a look at the stack does, and
    `unready` what is known of the provisioner before it runs."""

    tags: dict[str, tuple[str, str]] = field(default_factory=dict)
    manifests: set[str] = field(default_factory=set)
    built: set[str] = field(default_factory=set)
    kept: dict[str, str] = field(default_factory=dict)
    running: stack.Stack = stack.NOT_CONFIGURED
    reachable: bool = True
    provisioner: bool = False
    where: str = "project p, here"
    obstacle: notices.Blocker | None = None
    builds: list[str] = field(default_factory=list)
    pushes: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)
    refusing: dict[type[actions.Action], errors.ControllerError] = field(default_factory=dict)
    silent: errors.ControllerError | None = None
    unready: errors.ControllerError | None = None

    def look(self, wanted: image_inputs.ImageInput) -> image_inputs.ImageLook:
        """As the probe of images finds it."""
        found, made_from = self.tags.get(wanted.target, ("", ""))
        engine_image = wanted.digest if wanted.digest in self.built else ""
        if not self.reachable:
            return image_inputs.ImageLook(engine_image=engine_image, reachable=False)
        return image_inputs.ImageLook(found, made_from, engine_image)

    def look_for(self, pin: pinned.Pin) -> pinned.PinLook:
        """As a rollback finds an image that it names by its digest."""
        engine_image = self.kept.get(pin.digest, "")
        return pinned.PinLook(pin.digest in self.manifests if self.reachable else None, engine_image)

    def push(self, work: image_work.Work) -> None:
        """What was just built, or, for a rollback, what the engine pushed once."""
        if work.wanted.dockerfile:
            made = digest.of_value(work.wanted.digest), work.wanted.digest
        else:
            made = work.before, self.kept[work.before]
        self.pushes.append(work.wanted.function)
        self.tags[work.wanted.target] = made
        self.kept[made[0]] = made[1]
        self.manifests.add(made[0])


class _Memory(memory.Memory):
    """The real memory of a target, with a record that is no file."""

    def __init__(self, store: MemoryState) -> None:
        self._state = cast("state.State", store)
        self._clock = clock.Clock()


@dataclass
class Place:
    """What outlives a process."""

    source: Source = field(default_factory=Source)
    disk: Disk = field(default_factory=Disk)
    docker: Docker = field(default_factory=Docker)
    store: MemoryState = field(default_factory=lambda: MemoryState(now=lambda: START))
    age: datetime.timedelta = datetime.timedelta()

    def facts(self) -> tuple[object, ...]:
        """What has to be the same after a crash and a restart: the documents, and the record but for its telling."""
        known = self.store.load(with_items=True)
        applied = known.applied and replace(known.applied, id=0)
        claimed = known.claim and known.claim.id
        passed = known.pass_digest, known.attempted_revision, known.holds, known.doubtful_generation
        return self.disk, applied, claimed, *passed

    def history(self) -> list[tuple[str, str, int]]:
        """Result, reason and count of each row, oldest first."""
        return [(row.result, row.reason, row.count) for row in reversed(self.store.history())]


class World:
    """One process at a place. `calls` are the methods in the order of their calls; `stop` names the call (from 0) at
    which the process ends, and where in it: ``before``, ``half`` or ``after`` its effect."""

    def __init__(self, place: Place, *, stop: tuple[int, str] | None = None) -> None:
        self.place = place
        self.calls: list[str] = []
        self.performed: list[actions.Action] = []
        self.recordable = True
        self.failing: errors.ControllerError | None = None
        self._memory = _Memory(place.store)
        self._stop = stop
        self._held = False
        self._project = ""
        self._required: compatibility.Requirement | None = None

    @contextmanager
    def _call(self, name: str) -> Iterator[None]:
        here = len(self.calls)
        self.calls.append(name)
        if self._stop == (here, "before"):
            raise Crash(name)
        yield
        if self._stop == (here, "after"):
            raise Crash(name)

    @property
    def _ends_half_way(self) -> bool:
        return self._stop == (len(self.calls) - 1, "half")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The kernel's lock: free again however its owner ends."""
        with self._call("exclusive"):
            assert not self._held
            self._held = True
        try:
            yield
        finally:
            self._held = False

    def remember(self, *, with_items: bool) -> record.Record:
        """See `controller.world.World`."""
        with self._call("remember"):
            return self._memory.load(with_items=with_items)

    def owning(self, asked: ownership.Asked, remembered: record.Record) -> ownership.Verdict:
        """See `controller.world.World`."""
        with self._call("owning"):
            disk = self.place.disk
            asks = ownership.Claimant(asked, "", (SOURCE,))
            return ownership.judge(asks, ownership.Found(disk.owner, same_folder=True), remembered.claim)

    def claim(self, owner: ownership.Owner, remembered: record.Record) -> None:
        """See `controller.world.World`."""
        assert self._held, "only the owner of the lock writes"
        with self._call("claim"):
            known = remembered.claim
            before = self.place.disk.owner
            complete = replace(owner, id=owner.id or f"after {before.id if before else 'nobody'}", since="then")
            if known is None or known.id != complete.id:
                self._memory.claim(record.Claim(complete.id, known.id if known else "", "/config", "1"))
            if self._ends_half_way:
                raise Crash("half-way through a claim")
            self.place.disk.owner = complete

    def look(self) -> observed.Observed:
        """See `controller.world.World`."""
        with self._call("look"):
            disk = self.place.disk
            presence = observed.Presence.MISSING if disk.generation is None else observed.Presence.LINK
            found = disk.digests if disk.generation is not None else {}
            return observed.Observed(
                exists=True,
                documents={
                    document: observed.DocumentState(presence, found.get(document), disk.newest_mtime_s or None)
                    for document in items.Document
                },
                generation=disk.generation,
                generations=() if disk.generation is None else (disk.generation,),
                leftovers=disk.leftovers,
                newest_mtime_s=disk.newest_mtime_s,
            )

    def fetch(self) -> Fetched:
        """See `controller.world.World`."""
        with self._call("fetch"):
            source = self.place.source
            if source.broken is not None:
                raise source.broken
            return Fetched(source.revision, "rules", source.requirement, source.missing_secrets, project=source.project)

    def probe(self, fetched: Fetched, *, images: bool) -> stack.Stack:
        """See `controller.world.World`."""
        with self._call("probe"):
            self._project, self._required = fetched.project, fetched.requirement
            if self.place.docker.silent is not None:
                raise self.place.docker.silent
            return self.place.docker.running

    def images_unmoved(self, remembered: record.Record) -> bool:
        """See `controller.world.World`."""
        with self._call("images_unmoved"):
            docker = self.place.docker
            return not docker.reachable or all(
                docker.tags.get(image.target) == (image.digest, image.input_digest) for image in remembered.images
            )

    def note_conditions(self, remembered: record.Record) -> None:
        """See `controller.world.World`."""
        with self._call("note_conditions"):
            self._memory.note_in_sync(self._statements(), remembered)

    def _statements(self) -> Mapping[str, conditions.Statement]:
        return conditions.of_stack(self._required, self.place.docker.running, strict=False)

    def provisions(self) -> bool:
        """See `controller.world.World`."""
        return self.place.docker.provisioner

    def provisions_where(self) -> str:
        """See `controller.world.World`."""
        return self.place.docker.where if self.place.docker.provisioner else ""

    def require_provisioner(self, running: stack.Stack) -> None:
        """See `controller.world.World`."""
        with self._call("require_provisioner"):
            assert running is self.place.docker.running
            assert self.place.docker.provisioner
            if self.place.docker.unready is not None:
                raise self.place.docker.unready

    def images(self, wanted: desired.Desired, remembered: record.Record, *, rebuild: bool) -> Images:
        """See `controller.world.World`."""
        with self._call("images"):
            if self.place.docker.obstacle is not None:
                return Images(obstacles=(self.place.docker.obstacle,))
            inputs = [self._input(wanted, entry, function) for entry, function in wanted.builds]
            looks = {each.function: self.place.docker.look(each) for each in inputs}
            works = image_work.judge(inputs, looks, remembered.images, rebuild=rebuild)
            pins = {
                work.wanted.function: references.pinned(work.wanted.image, found)
                for work in works
                if (found := work.digest or work.before)
            }
            return Images(works, pins=pins)

    def kept_images(self, wanted: desired.Desired, seen: observed.ObservedItems, remembered: record.Record) -> Images:
        """See `controller.world.World`."""
        with self._call("kept_images"):
            inputs = [self._input(wanted, entry, function) for entry, function in wanted.builds]
            keys = [items.ItemKey(items.Kind.FUNCTION, each.function) for each in inputs]
            standing = pinned.standing(keys, seen, remembered)
            shown = {key.name: pinning.image_of(item) for key, item in standing.items()}
            named = {each.function: each.image for each in inputs}
            pins = pinned.kept(named, shown)
            sources = {each.function: each.source_digest for each in inputs}
            return Images(pins=pins, skipped=tuple(pinned.left({**named, **pins}, sources, remembered.images)))

    def _input(self, wanted: desired.Desired, entry: str, function: str) -> image_inputs.ImageInput:
        image = pinning.image_of(wanted.items[items.ItemKey(items.Kind.FUNCTION, function)])
        code = digest.of_value(self.place.source.code.get(function, 0))
        return image_inputs.ImageInput(function, entry, image, f"host/{image}", code, "FROM scratch\n")

    def read(self) -> desired.Desired:
        """See `controller.world.World`."""
        with self._call("read"):
            source = self.place.source
            if source.unreadable is not None:
                raise source.unreadable
            return desired.Desired(
                revision=source.revision,
                items={part.key: part for part in source.parts},
                provenance={part.key: desired.Provenance("entry", "functions.yml", part.line) for part in source.parts},
                builds=source.builds,
            )

    def seen(self, look: observed.Observed, remembered: record.Record) -> observed.ObservedItems:
        """See `controller.world.World`."""
        with self._call("seen"):
            return observed.ObservedItems(dict(self.place.disk.shown))

    @contextmanager
    def finishing(self, *, complete: bool) -> Iterator[None]:
        """See `controller.world.World`."""
        with self._call("finishing"):
            pass
        yield

    def begin(self, attempt: record.Attempt) -> None:
        """See `controller.world.World`."""
        assert self._held, "only the owner of the lock writes"
        with self._call("begin"):
            self._memory.attempt(attempt)

    def perform(self, action: actions.Action, remembered: record.Record) -> Acted | Told:
        """See `controller.world.World`."""
        assert self._held, "only the owner of the lock writes"
        with self._call("perform"):
            if self.failing is not None:
                raise self.failing
            self.performed.append(action)
            return self._act(action, remembered)

    def _act(self, action: actions.Action, remembered: record.Record) -> Acted | Told:
        docker = self.place.docker
        if type(action) in docker.refusing:
            if isinstance(action, actions.Provision):
                self._memory.provisioned(provisioning.FAILED)
            raise docker.refusing[type(action)]
        match action:
            case actions.Build(works):
                for work in works:
                    docker.builds.append(work.wanted.function)
                    docker.built.add(work.wanted.digest)
            case actions.Push(works):
                for work in works:
                    docker.push(work)
            case actions.Provision(resources_digest):
                docker.runs.append(resources_digest)
                docker.projects.append(self._project)
                self._memory.provisioned(resources_digest)
            case _:
                return self._write(action, remembered)
        return Told()

    def _write(self, action: actions.Action, remembered: record.Record) -> Acted | Told:
        disk = self.place.disk
        match action:
            case actions.PublishResources(document):
                self._show_resources(document)
                disk.generation = (disk.generation or 0) + 1
                disk.newest_mtime_s = max(disk.newest_mtime_s, remembered.newest_mtime_s) + 1
            case actions.Publish():
                assert action.mode is policy.PublishMode.GENERATION
                if self._ends_half_way:
                    disk.leftovers = ("..data_tmp",)
                    raise Crash("half-way through a publish")
                disk.shown = {part.item.key: part.item for part in action.parts}
                assert dict(action.documents) == dict(disk.documents)
                disk.generation = (disk.generation or 0) + 1
                disk.newest_mtime_s = max(disk.newest_mtime_s, remembered.newest_mtime_s) + 1
                disk.leftovers = ()
            case actions.Sweep():
                disk.leftovers = disk.leftovers[1:] if self._ends_half_way else ()
                if self._ends_half_way:
                    raise Crash("half-way through a sweep")
                return Told()
            case _:
                assert isinstance(action, actions.Confirm)
        return Acted(disk.generation, disk.newest_mtime_s, disk.digests)

    def _show_resources(self, document: bytes) -> None:
        """The wanted resources (the source's, or those of an earlier set), recognised by their document, beside the
        functions and routes that are shown."""
        disk = self.place.disk
        kept = {key: item for key, item in disk.shown.items() if key.kind.document is not items.Document.RESOURCES}
        store = self.place.store
        earlier = [[part.item for part in store.applied_items(known.id)] for known in store.applied_sets()]
        for parts in (self.place.source.parts, *earlier):
            wanted = {part.key: part for part in parts if part.key.kind.document is items.Document.RESOURCES}
            disk.shown = {**kept, **wanted}
            if disk.documents[items.Document.RESOURCES] == document:
                return
        raise AssertionError("resources that nobody asked for")

    def succeed(self, success: Success) -> bool:
        """See `controller.world.World`."""
        assert self._held, "only the owner of the lock writes"
        with self._call("succeed"):
            if self.recordable:
                self._memory.succeed(replace(success, base_tag="", stack=self._statements(), project=self._project))
            return self.recordable

    def fail(self, failure: Failure) -> None:
        """See `controller.world.World`."""
        with self._call("fail"):
            self._memory.fail(replace(failure, stack=self._statements()))

    def applied_sets(self) -> tuple[record.AppliedSet, ...]:
        """See `controller.world.RollbackWorld`."""
        with self._call("applied_sets"):
            return self._memory.applied_sets()

    def with_items(self, chosen: record.AppliedSet) -> record.AppliedSet:
        """See `controller.world.RollbackWorld`."""
        with self._call("with_items"):
            return replace(chosen, items=self._memory.applied_items(chosen.id))

    def hold(self, holds: tuple[record.Hold, ...]) -> None:
        """See `controller.world.RollbackWorld`."""
        assert self._held, "only the owner of the lock writes"
        with self._call("hold"):
            self._memory.hold(holds)

    def pinned_images(self, wanted: desired.Desired, remembered: record.Record) -> Images:
        """See `controller.world.RollbackWorld`."""
        with self._call("pinned_images"):
            shown = [
                pinned.Published(key.name, wanted.provenance[key].entry, pinning.image_of(item))
                for key, item in wanted.items.items()
                if key.kind is items.Kind.FUNCTION
            ]
            pins = [
                replace(pin, target=f"host/{pin.image}")
                for pin in pinned.pins(shown, references.Registries(), remembered.images)
            ]
            verdict = pinned.judge(pins, {pin.image: self.place.docker.look_for(pin) for pin in pins})
            if verdict.lost:
                raise errors.ControllerError("ImageLost", pinned.lost_words(verdict.lost))
            return Images(verdict.works)

    def now(self) -> datetime.datetime:
        """See `controller.world.RollbackWorld`."""
        with self._call("now"):
            return START + self.place.age
