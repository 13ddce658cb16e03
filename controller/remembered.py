"""What is stored of a target, and how each thing that happens changes it. Pure values; `controller.state` keeps them.

Owns the rules of remembering: which applied sets are kept, what a success clears, what a failure leaves. Shared by the
real store and by the one in memory that tests use.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace

from controller import clock, history
from core import compatibility, image_inputs, items, record


@dataclass(frozen=True, slots=True)
class Success:
    """A pass that ended converged.

    `items` is the complete set that is live now, in publishing order; `reason` is the plan's outcome; `holds` are added
    to those that stand; `events` are what happened to single things. `images`, `base_tag` and `commit` are None where
    this pass says nothing of them; `ref` goes with `commit`; without `repairs` it healed nothing. `project` and
    `requirement` are what the set's artifact says of the stack, "" and None when it says nothing.
    """

    revision: str
    generation: int
    desired_digest: str
    document_digests: Mapping[items.Document, str]
    items: tuple[record.AppliedItem, ...]
    pass_digest: str
    newest_mtime_s: int
    conditions: Mapping[str, record.Condition]
    reason: str
    message: str
    notes: tuple[str, ...] = ()
    holds: tuple[record.Hold, ...] = ()
    events: tuple[history.Event, ...] = ()
    images: tuple[image_inputs.ImageRecord, ...] | None = None
    base_tag: str | None = None
    commit: str | None = None
    ref: str = ""
    project: str = ""
    repairs: record.Repairs | None = None
    requirement: compatibility.Requirement | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A pass that ended otherwise. `doubtful_generation` is set when a failed fsync left one in doubt; None leaves what
    is remembered about that. `events` are what happened to single things nevertheless; `refused` is what failed of
    them, which is told once for as long as it fails."""

    revision: str
    reason: str
    message: str
    conditions: Mapping[str, record.Condition]
    doubtful_generation: int | None = None
    events: tuple[history.Event, ...] = ()
    refused: tuple[history.Event, ...] = ()
    commit: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class StoredSet:
    """An applied set without its items, and the digest that these are stored under."""

    applied: record.AppliedSet
    items_digest: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The whole memory of a target but for items, history and events.

    `facts` has no `applied` of its own: the first of `sets` (newest first) is the live one.
    """

    facts: record.Record = record.Record()
    sets: tuple[StoredSet, ...] = ()

    def as_record(self, now: datetime.datetime) -> record.Record:
        """The record as passes see it: a suspension whose time is over does not count any more."""
        applied = self.sets[0].applied if self.sets else None
        suspension = self.facts.suspension
        if suspension is not None and suspension.until is not None and suspension.until <= clock.iso(now):
            suspension = None
        return replace(self.facts, applied=applied, suspension=suspension)

    def find(self, set_id: int) -> StoredSet | None:
        """The stored set with this id."""
        return next((stored for stored in self.sets if stored.applied.id == set_id), None)


def row_of_success(success: Success, at: str) -> history.HistoryRow:
    """What the history says of a success; the table gives the id."""
    return history.HistoryRow(
        0,
        history.APPLIED,
        success.revision,
        success.reason,
        success.message,
        success.generation,
        first_at=at,
        last_at=at,
        commit=success.commit or "",
        ref=success.ref,
    )


def row_of_failure(failure: Failure, at: str) -> history.HistoryRow:
    """What the history says of a failure; the table gives the id."""
    return history.HistoryRow(
        0,
        history.FAILED,
        failure.revision,
        failure.reason,
        failure.message,
        first_at=at,
        last_at=at,
        commit=failure.commit,
        ref=failure.ref,
    )


def after_attempt(
    stored: Stored,
    revision: str,
    intended: tuple[record.Intended, ...],
    unconverged: tuple[record.Unconverged, ...],
) -> Stored:
    """Acting on a revision is about to begin. `intended` replaces what earlier attempts left of that, until a success;
    `unconverged` stands until the next attempt."""
    facts = replace(stored.facts, attempted_revision=revision, intended=intended, unconverged=unconverged)
    return replace(stored, facts=facts)


def after_success(stored: Stored, success: Success, *, items_digest: str, at: str, keep: int) -> Stored:
    """The set is live. `keep` sets with different documents are kept; one that came back moves to the front."""
    digests = dict(success.document_digests)
    applied = record.AppliedSet(
        id=max((known.applied.id for known in stored.sets), default=0) + 1,
        revision=success.revision,
        generation=success.generation,
        desired_digest=success.desired_digest,
        document_digests=digests,
        applied_at=at,
        project=success.project,
        requirement=success.requirement,
    )
    others = [known for known in stored.sets if known.applied.document_digests != digests]
    facts = replace(
        stored.facts,
        attempted_revision=success.revision,
        intended=(),
        pass_digest=success.pass_digest,
        notes=success.notes,
        newest_mtime_s=success.newest_mtime_s,
        doubtful_generation=None,
        holds=_merged(stored.facts.holds, success.holds),
        conditions=dict(success.conditions),
        images=stored.facts.images if success.images is None else success.images,
        base_tag=stored.facts.base_tag if success.base_tag is None else success.base_tag,
        commit=stored.facts.commit if success.commit is None else success.commit,
        ref=stored.facts.ref if success.commit is None else success.ref,
        project=success.project or stored.facts.project,
        repairs=success.repairs,
        rebuilt="",
    )
    return Stored(facts, (StoredSet(applied, items_digest), *others)[:keep])


def after_failure(stored: Stored, failure: Failure) -> Stored:
    """Nothing new is live for certain; what was applied before is still remembered as applied."""
    doubtful = failure.doubtful_generation
    facts = replace(
        stored.facts,
        conditions=dict(failure.conditions),
        doubtful_generation=stored.facts.doubtful_generation if doubtful is None else doubtful,
    )
    return replace(stored, facts=facts)


def after_provision(stored: Stored, resources_digest: str) -> Stored:
    """The provisioner made these resources true, or failed (`core.provisioning.FAILED`): they may be half made."""
    return replace(stored, facts=replace(stored.facts, provisioned_digest=resources_digest))


def after_look(
    stored: Stored, conditions: Mapping[str, record.Condition], *, commit: str = "", ref: str = ""
) -> Stored:
    """A look at the stack said something new, or another `commit` asks for what is applied already."""
    facts = replace(stored.facts, conditions=dict(conditions))
    return replace(stored, facts=replace(facts, commit=commit, ref=ref) if commit else facts)


def after_claim(stored: Stored, claim: record.Claim) -> Stored:
    """CONFIG_DIR is this target's."""
    return replace(stored, facts=replace(stored.facts, claim=claim))


def after_hold(stored: Stored, hold: record.Hold) -> Stored:
    """One more revision must not be applied; the newer reason counts."""
    return replace(stored, facts=replace(stored.facts, holds=_merged(stored.facts.holds, (hold,))))


def after_release(stored: Stored, revision: str | None) -> Stored:
    """One revision, or with None every one, may be applied again."""
    left = tuple(hold for hold in stored.facts.holds if revision is not None and hold.revision != revision)
    return replace(stored, facts=replace(stored.facts, holds=left))


def after_suspension(stored: Stored, suspension: record.Suspension | None) -> Stored:
    """A person says "not now", or with None "go on"."""
    return replace(stored, facts=replace(stored.facts, suspension=suspension))


def _merged(standing: tuple[record.Hold, ...], new: tuple[record.Hold, ...]) -> tuple[record.Hold, ...]:
    revisions = {hold.revision for hold in new}
    return (*(hold for hold in standing if hold.revision not in revisions), *new)
