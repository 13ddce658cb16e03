"""What a pass needs of the world, as a protocol: `controller.target` is the real one, tests bring one in memory.

Every method may raise `controller.errors.ControllerError`, and nothing else that is expected.
"""

import datetime
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from controller import errors
from core import (
    actions,
    compatibility,
    conditions,
    desired,
    image_inputs,
    image_work,
    items,
    notices,
    observed,
    ownership,
    plan,
    policy,
    record,
    stack,
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The source's content, resolved to a revision but not yet read.

    `rules_digest` covers the settings that reading and making images depend on; `missing_secrets` are names that are
    required and not set. `project` is the manifest's. `commit` is that of a git source. With `away` no source answers,
    and this is the last good checkout; `notes` say what there is to say of the source otherwise.
    """

    revision: str
    rules_digest: str
    requirement: compatibility.Requirement | None = None
    missing_secrets: tuple[str, ...] = ()
    project: str = ""
    commit: str = ""
    away: errors.ControllerError | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: the standing policy, what is allowed this once, the preconditions of a saved plan, and
    whether the target is to be kept like this."""

    rules: policy.Policy
    allowed: policy.Permissions = policy.Permissions()
    saved: plan.Preconditions | None = None
    manner: ownership.Manner = ownership.Manner.FOLLOWS

    def asked(self, project: str) -> ownership.Asked:
        """What this is to CONFIG_DIR, once the artifact's project is known."""
        return ownership.Asked(self.manner, project, self.allowed.take_over)


@dataclass(frozen=True, slots=True)
class Images:
    """What is known of the images that are built here.

    `obstacles` kept it from a verdict on all of them. `pins` are the references to publish instead of those in
    functions.yml, by function: with the digest that is in the registry, or with the last known one while the image has
    to be made. `skipped` is what there is to say of those that somebody else makes.
    """

    works: tuple[image_work.Work, ...] = ()
    obstacles: tuple[notices.Blocker, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[notices.Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What an action has to say that left the documents as they are."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Acted:
    """What acting left behind: the generation that CONFIG_DIR shows now (None in `publish: files`), the newest
    modification time in whole seconds, and the digests of the documents' bytes."""

    generation: int | None
    newest_mtime_s: int
    document_digests: Mapping[items.Document, str]


@dataclass(frozen=True, slots=True)
class Success:
    """A pass that ended converged, as it goes into the record. `holds` are revisions to hold from now on;
    `rollback` says that the source did not ask for this. `images` are those to look at before the next pass reads
    anything; None leaves what is remembered of them. `project` and `requirement` are what the artifact says of the
    stack."""

    decision: plan.Plan
    acted: Acted
    pass_digest: str
    message: str
    holds: tuple[record.Hold, ...] = ()
    rollback: bool = False
    images: tuple[image_inputs.ImageRecord, ...] | None = None
    base_tag: str | None = None
    commit: str | None = None
    ref: str = ""
    stack: Mapping[str, conditions.Statement] = field(default_factory=dict)
    project: str = ""
    requirement: compatibility.Requirement | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A pass that ended otherwise. `doubtful` is a generation that a failed fsync left in doubt; `stack` is what the
    look at the stack says, empty when there was none. `made` are images that it made before that, `functions` those
    whose images failed."""

    revision: str
    reason: str
    message: str
    doubtful: int | None = None
    stack: Mapping[str, conditions.Statement] = field(default_factory=dict)
    made: tuple[image_work.Work, ...] = ()
    functions: tuple[errors.OfFunction, ...] = ()
    commit: str = ""
    ref: str = ""


class World(Protocol):
    """One target and its source."""

    def now(self) -> datetime.datetime:
        """The wall clock."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Be the only controller at this CONFIG_DIR; writes nothing below it."""

    def remember(self, *, with_items: bool) -> record.Record:
        """The record; with the items of the applied set, or cheaply without."""

    def owning(self, asked: ownership.Asked, remembered: record.Record) -> ownership.Verdict:
        """Whether CONFIG_DIR is ours for what is asked: one small file is read, and nothing written."""

    def claim(self, owner: ownership.Owner, remembered: record.Record) -> None:
        """Make CONFIG_DIR ours, as `owning` said."""

    def look(self) -> observed.Observed:
        """One look at CONFIG_DIR."""

    def fetch(self) -> Fetched:
        """Resolve the source to a revision."""

    def probe(self, fetched: Fetched, *, images: bool) -> stack.Stack:
        """One look at the running stack, if there is one to look at. `images` says that images are built for it."""

    def images_unmoved(self, remembered: record.Record) -> bool:
        """Whether registry and engine still show the images of the record, as far as they answer: the cheap look."""

    def note_conditions(self, remembered: record.Record) -> None:
        """Record what the look at the stack says, where it says something new. Never raises."""

    def provisions(self) -> bool:
        """Whether the stack has a provisioner that can be run from here."""

    def provisions_where(self) -> str:
        """Which stack the provisioner would run in, by its project and its engine's name; "" without a provisioner.
        Asked after `probe`."""

    def require_provisioner(self, running: stack.Stack) -> None:
        """Raise what would keep a provisioner that is due from starting, or have it work on nothing. `running` is what
        `probe` found. Changes nothing."""

    def images(self, wanted: desired.Desired, remembered: record.Record, *, rebuild: bool) -> Images:
        """Look at everything that the images of `wanted` are made from, and at registry and engine."""

    def kept_images(self, wanted: desired.Desired, seen: observed.ObservedItems, remembered: record.Record) -> Images:
        """The images of `wanted` where somebody else makes them: the pins that stay. Asks neither registry nor
        engine."""

    def read(self) -> desired.Desired:
        """Read and fold what was fetched last."""

    def seen(self, look: observed.Observed, remembered: record.Record) -> observed.ObservedItems:
        """CONFIG_DIR's documents as items."""

    def finishing(self, *, complete: bool) -> AbstractContextManager[None]:
        """What is inside is finished before a signal ends the process; the pass is `complete` with it, or not yet."""

    def begin(self, attempt: record.Attempt) -> None:
        """Note durably what is about to be applied."""

    def perform(self, action: actions.Action, remembered: record.Record) -> Acted | Told:
        """Do one action. `Told` when there is nothing to record yet."""

    def succeed(self, success: Success) -> bool:
        """Record a success. False when it could not be written: applied, not recorded."""

    def fail(self, failure: Failure) -> None:
        """Record a failure, if there is anything to record it in. Never raises."""


class RollbackWorld(World, Protocol):
    """What a rollback needs besides: the sets that were applied earlier, and their images."""

    def applied_sets(self) -> tuple[record.AppliedSet, ...]:
        """Recorded sets, newest first, without their items."""

    def with_items(self, chosen: record.AppliedSet) -> record.AppliedSet:
        """The same set with its items."""

    def hold(self, holds: tuple[record.Hold, ...]) -> None:
        """Hold these revisions from now on, whatever becomes of this process."""

    def pinned_images(self, wanted: desired.Desired, remembered: record.Record) -> Images:
        """Look for the images that an earlier set names by their digest, in registry and engine; nothing is built."""
