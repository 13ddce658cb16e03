"""What a pass needs of the world, as a protocol: `controller.target` is the real one, tests bring one in memory.

Every method may raise `controller.errors.ControllerError`, and nothing else that is expected.
"""

import datetime
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from core import actions, compatibility, desired, items, observed, plan, policy, record


@dataclass(frozen=True, slots=True)
class Fetched:
    """The source's content, resolved to a revision but not yet read.

    `rules_digest` covers the settings that reading depends on; `missing_secrets` are names that are required and not
    set.
    """

    revision: str
    rules_digest: str
    requirement: compatibility.Requirement | None = None
    missing_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: the standing policy, what is allowed this once, and the preconditions of a saved plan."""

    rules: policy.Policy
    allowed: policy.Permissions = policy.Permissions()
    saved: plan.Preconditions | None = None


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
    `rollback` says that the source did not ask for this."""

    decision: plan.Plan
    acted: Acted
    pass_digest: str
    message: str
    holds: tuple[record.Hold, ...] = ()
    rollback: bool = False


class World(Protocol):
    """One target and its source."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Be the only controller at this CONFIG_DIR; writes nothing below it."""

    def remember(self, *, with_items: bool) -> record.Record:
        """The record; with the items of the applied set, or cheaply without."""

    def look(self) -> observed.Observed:
        """One look at CONFIG_DIR."""

    def fetch(self) -> Fetched:
        """Resolve the source to a revision."""

    def read(self) -> desired.Desired:
        """Read and fold what was fetched last."""

    def seen(self, look: observed.Observed, remembered: record.Record) -> observed.ObservedItems:
        """CONFIG_DIR's documents as items."""

    def finishing(self) -> AbstractContextManager[None]:
        """What is inside is finished before a signal ends the process."""

    def begin(self, revision: str) -> None:
        """Note that this revision is being applied."""

    def perform(self, action: actions.Action, remembered: record.Record) -> Acted | None:
        """Do one action; None when it leaves the visible documents as they are."""

    def succeed(self, success: Success) -> bool:
        """Record a success. False when it could not be written: applied, not recorded."""

    def fail(self, *, revision: str, reason: str, message: str, doubtful: int | None = None) -> None:
        """Record a failure, if there is anything to record it in. Never raises."""


class RollbackWorld(World, Protocol):
    """What a rollback needs besides: the sets that were applied earlier."""

    def applied_sets(self) -> tuple[record.AppliedSet, ...]:
        """Recorded sets, newest first, without their items."""

    def with_items(self, chosen: record.AppliedSet) -> record.AppliedSet:
        """The same set with its items."""

    def now(self) -> datetime.datetime:
        """The wall clock."""
