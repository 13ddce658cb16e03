"""Publish in the mode `generation`: a complete set of documents becomes visible by one rename inside CONFIG_DIR.

Carries out design.md section 4 and nothing else: the caller holds the locks, decides what is published and when, and
records it. At every instant, and after a crash at any point, CONFIG_DIR shows one complete set, the previous or the new
one (faults.md P1); whatever a crash leaves is removed by the next publish (A1). CONFIG_DIR may be a mount point, so
nothing ever replaces the directory itself (consumers.md CD1).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from core import items, observed, publishing
from manifests import atomic, config_dir, errors


class Step(StrEnum):
    """The failpoints of a publish, in order. The two of the snapshot exist only while something is adopted."""

    INSPECT = "inspect"
    SWEEP = "sweep"
    SNAPSHOT_WRITE = "snapshot-write"
    SNAPSHOT_SWITCH = "snapshot-switch"
    LINK = "link-documents"
    MAKE = "make-generation"
    WRITE = "write-document"
    SYNC = "sync-generation"
    CHECK = "check-generation"
    PREPARE_SWITCH = "prepare-switch"
    SWITCH = "switch"
    SYNC_SWITCH = "sync-switch"
    VERIFY = "verify"
    DROP = "drop-generations"
    CONFIRM = "confirm"


OnStep = Callable[[str], None]
"""Called with a `Step` before that step, which fails when an `Exception` comes out of the call."""


def publish(
    path: Path, documents: Mapping[items.Document, bytes], *, number: int, mtime_s: int, on_step: OnStep
) -> int:
    """Make the documents visible at once, durably, and return the number of their generation.

    `number` is the least to use: a number that is taken, and adoption (its snapshot needs one), move it up. `mtime_s`
    comes from `core.publishing.next_mtime_s`. Every document must be given (consumers.md GW12). Raises
    `errors.PublishError`; what the attempt left is then removed as far as possible.
    """
    files = {document: atomic.File(documents[document], mtime_s * 10**9) for document in items.Document}
    with attempt(path, on_step) as trying:
        look = trying.inspect()
        trying.sweep(look.leftovers)
        number = max(number, publishing.next_number(look.generations, look.generation or 0))
        number = _put_links_in_place(trying, number)
        trying.number = number
        _write_generation(trying, number, files)
        _switch_to(trying, number)
        _ensure_links(trying)
        trying.require_same(Step.VERIFY, {document.value: files[document].content for document in files})
        _drop_generations(trying, number)
        return number


def sweep(path: Path, names: Iterable[str]) -> None:
    """Remove leftovers of interrupted publishes: of `names` only what still is a leftover. Follows no link.

    The caller holds the lock. Raises `errors.PublishError`.
    """
    with attempt(path, lambda step: None) as trying:
        leftovers = trying.inspect().leftovers
        trying.sweep([name for name in leftovers if name in set(names)])


def make_durable(path: Path, on_step: OnStep) -> None:
    """Sync what is visible, for a publish that was cut off between its switch and its last sync (faults.md P3).

    Consumers see no change. Raises `errors.PublishError` with `flipped`: what is visible may not be on the disk.
    """
    with attempt(path, on_step) as trying:
        trying.changed = True
        with trying.at(Step.CONFIRM):
            trying.number = config_dir.visible_generation(trying.dir_fd)
            for document in items.Document:
                atomic.sync_file(trying.dir_fd, document.value)
            if trying.number is not None:
                _sync_generation(trying, publishing.generation_name(trying.number))
            atomic.sync_directory(trying.dir_fd)


class Attempt:
    """One attempt to publish, in either mode: CONFIG_DIR's descriptor, and how far it got.

    `number` is the new generation as soon as it is known, `changed` says that consumers saw something new by another
    way than the switch, `adopting` that the snapshot is being made, `new_links` are names that were free before.
    """

    def __init__(self, path: Path, dir_fd: int, on_step: OnStep) -> None:
        self.path = path
        self.dir_fd = dir_fd
        self.number: int | None = None
        self.changed = False
        self.adopting = False
        self.unsure = False
        self.new_links: list[items.Document] = []
        self._on_step = on_step

    @contextlib.contextmanager
    def at(self, step: StrEnum, name: str = "") -> Iterator[None]:
        """Announce a step; an `OSError` inside becomes the `PublishError` of this step at `name`."""
        step = _STEPS_OF_SNAPSHOT.get(step, step) if self.adopting else step
        self._on_step(step)
        try:
            yield
        except OSError as error:
            raise errors.PublishError(step, self.path / name, error) from error

    def inspect(self) -> observed.Observed:
        """Look before anything is changed. Raises `ObstructedError` when only a person can make room."""
        with self.at(Step.INSPECT):
            look = config_dir.look(self.dir_fd)
        for document, state in look.documents.items():
            if state.presence is observed.Presence.OBSTRUCTED:
                raise errors.ObstructedError(Step.INSPECT, self.path / document.value, state.obstacle)
        return look

    def sweep(self, names: Sequence[str]) -> None:
        """Remove leftovers. What is visible is made durable first: one of them may be what a power cut returns to."""
        if names:
            self.unsure = True
            with self.at(Step.SWEEP):
                atomic.sync_directory(self.dir_fd)
            self.unsure = False
        for name in names:
            with self.at(Step.SWEEP, name):
                atomic.remove(self.dir_fd, name)

    def require_same(self, step: StrEnum, expected: Mapping[str, bytes]) -> None:
        """Read names back as a consumer would, and fail the step unless each has exactly these bytes."""
        for name, content in expected.items():
            with self.at(step, name):
                file = config_dir.read(self.dir_fd, name)
            if file is None or file.content != content:
                raise errors.PublishError(step, self.path / name, "does not read back as it was written")

    @property
    def flipped(self) -> bool:
        """Whether consumers may see the new documents. Looked up: a rename that reports an error may have happened."""
        try:
            visible = config_dir.visible_generation(self.dir_fd)
        except OSError:
            return self.number is not None or self.changed
        return self.changed or (self.number is not None and self.number == visible)

    def clean(self) -> None:
        """Remove what nothing shows, as far as possible: the next publish removes the rest."""
        with contextlib.suppress(OSError):
            unused = [] if self.flipped else [each for each in self.new_links if self._is_dangling(each)]
            for name in (*unused, *config_dir.look(self.dir_fd).leftovers):
                with contextlib.suppress(OSError):
                    atomic.remove(self.dir_fd, name)

    def _is_dangling(self, document: items.Document) -> bool:
        return config_dir.is_our_link(self.dir_fd, document) and config_dir.read(self.dir_fd, document) is None


@contextlib.contextmanager
def attempt(path: Path, on_step: OnStep) -> Iterator[Attempt]:
    """Open CONFIG_DIR for one attempt. An error is completed with how far it got, after cleaning up.

    Nothing is cleaned for a `BaseException` that is no `Exception`: the process is on its way out.
    """
    with contextlib.ExitStack() as closing:
        try:
            dir_fd = closing.enter_context(atomic.opened(path))
        except OSError as error:
            raise errors.PublishError(Step.INSPECT, path, error) from error
        trying = Attempt(path, dir_fd, on_step)
        try:
            yield trying
        except errors.ObstructedError:
            raise
        except Exception as error:
            if isinstance(error, errors.PublishError):
                error.flipped = trying.flipped
                error.generation = trying.number if error.flipped else None
                if error.flipped or trying.unsure:
                    error.doubtful = config_dir.visible_generation(trying.dir_fd) or 0
            trying.clean()
            raise


_STEPS_OF_SNAPSHOT: Mapping[StrEnum, StrEnum] = {
    Step.MAKE: Step.SNAPSHOT_WRITE,
    Step.WRITE: Step.SNAPSHOT_WRITE,
    Step.SYNC: Step.SNAPSHOT_WRITE,
    Step.CHECK: Step.SNAPSHOT_WRITE,
    Step.PREPARE_SWITCH: Step.SNAPSHOT_SWITCH,
    Step.SWITCH: Step.SNAPSHOT_SWITCH,
    Step.SYNC_SWITCH: Step.SNAPSHOT_SWITCH,
}


def _put_links_in_place(trying: Attempt, number: int) -> int:
    """Make every document's name our link without changing what consumers see; the number that is free afterwards.

    A link that shows nothing may be made at any time. Otherwise the switch first moves to a snapshot of what is
    visible, so that each name can become a link to the same content (faults.md A6: no mixed window).
    """
    others = _not_our_links(trying)
    if not others:
        return number
    with trying.at(Step.SNAPSHOT_WRITE):
        visible = {document: config_dir.read(trying.dir_fd, document.value) for document in items.Document}
        behind = [config_dir.read(trying.dir_fd, publishing.link_target(document)) for document in others]
    if any(visible.values()) or any(behind):
        trying.adopting = True
        _write_generation(trying, number, {document: file for document, file in visible.items() if file})
        _switch_to(trying, number)
        trying.adopting = False
        number += 1
    _ensure_links(trying)
    return number


def _write_generation(trying: Attempt, number: int, files: Mapping[items.Document, atomic.File]) -> None:
    """A complete, durable generation that nothing shows yet, read back (consumers.md GW4, GW5, GW6)."""
    name = publishing.generation_name(number)
    with trying.at(Step.MAKE, name):
        atomic.make_directory(trying.dir_fd, name)
    for document, file in files.items():
        with trying.at(Step.WRITE, f"{name}/{document}"):
            atomic.write_file(trying.dir_fd, f"{name}/{document}", file)
    with trying.at(Step.SYNC, name):
        _sync_generation(trying, name)
        atomic.sync_directory(trying.dir_fd)
    trying.require_same(Step.CHECK, {f"{name}/{document}": file.content for document, file in files.items()})


def _sync_generation(trying: Attempt, name: str) -> None:
    with atomic.opened(name, dir_fd=trying.dir_fd, follow=False) as fd:
        atomic.sync_directory(fd)


def _switch_to(trying: Attempt, number: int) -> None:
    with trying.at(Step.PREPARE_SWITCH, publishing.SWITCH_TEMP):
        atomic.make_link(trying.dir_fd, publishing.generation_name(number), publishing.SWITCH_TEMP)
    with trying.at(Step.SWITCH, publishing.SWITCH):
        atomic.rename(trying.dir_fd, publishing.SWITCH_TEMP, publishing.SWITCH)
    with trying.at(Step.SYNC_SWITCH):
        atomic.sync_directory(trying.dir_fd)


def _not_our_links(trying: Attempt) -> list[items.Document]:
    with trying.at(Step.LINK):
        return [document for document in items.Document if not config_dir.is_our_link(trying.dir_fd, document)]


def _ensure_links(trying: Attempt) -> None:
    others = _not_our_links(trying)
    for document in others:
        with trying.at(Step.LINK, document):
            if not atomic.exists(trying.dir_fd, document):
                trying.new_links.append(document)
            target, temp = publishing.link_target(document), publishing.document_temp(document)
            atomic.swap_link(trying.dir_fd, target, document, temp=temp)
    if others:
        with trying.at(Step.LINK):
            atomic.sync_directory(trying.dir_fd)


def _drop_generations(trying: Attempt, number: int) -> None:
    with trying.at(Step.DROP):
        numbers = config_dir.generation_numbers(trying.dir_fd)
    for old in set(numbers) - publishing.kept(number, numbers):
        with trying.at(Step.DROP, publishing.generation_name(old)):
            atomic.remove(trying.dir_fd, publishing.generation_name(old))
