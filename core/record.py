"""What the controller remembers of a target between passes.

Owns the values of the record; `controller.state` keeps them on disk. The record is a hint: whatever can be observed is
observed, and a record that was lost is rebuilt from what is seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core import compatibility, image_inputs, items


@dataclass(frozen=True, slots=True)
class AppliedItem:
    """An item of a published set. `entry` is the id of the entry that it came from; None means foreign: it was there
    before us, was kept, and is never pruned. `file` is the document of the entry that it stood in, at the item's line;
    "" when that is not known."""

    item: items.Item
    entry: str | None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """That a CONFIG_DIR is this target's (`core.ownership`): the `id` that stands there too, and the one before it,
    which still stands there when a claim was cut short. `place` is its absolute path and `folder` its inode, by which
    another one is told from it."""

    id: str
    previous: str
    place: str
    folder: str


@dataclass(frozen=True, slots=True)
class AppliedSet:
    """One complete set of documents that was live, in publishing order, kept for comparing and for rollback.

    `project` and `requirement` are what its manifest said of the stack ("" and None when it said nothing, or when an
    older controller did not write it down): a rollback has no manifest to read.
    """

    id: int
    revision: str
    generation: int
    desired_digest: str
    document_digests: Mapping[items.Document, str]
    applied_at: str
    items: tuple[AppliedItem, ...] = ()
    project: str = ""
    requirement: compatibility.Requirement | None = None


@dataclass(frozen=True, slots=True)
class Intended:
    """An item that an attempt was about to publish as ours, for `entry`, with this digest. It may be live or not."""

    key: items.ItemKey
    entry: str
    digest: str


@dataclass(frozen=True, slots=True)
class Unconverged:
    """A table or bucket that a publish changed or dropped, and that no provisioner run changes (consumers.md PR1).

    `made` is the digest of what was published before that, and exists as far as is known; `digest` is what is published
    now, "" when it is no longer asked for; `revision` brought that.
    """

    key: items.ItemKey
    made: str
    digest: str
    revision: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What has to be known before the first action: the revision, what is going to be ours with it, and what of it is
    left to a person."""

    revision: str
    intended: tuple[Intended, ...] = ()
    unconverged: tuple[Unconverged, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """A revision that must not be applied again, and why."""

    revision: str
    reason: str
    since: str


@dataclass(frozen=True, slots=True)
class Suspension:
    """Nothing is done while this stands. `until` is an ISO time or None for "until resumed"."""

    owner: str
    reason: str
    since: str
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement about the target: design.md section 3. `status` is ``True``, ``False`` or ``Unknown``."""

    type: str
    status: str
    reason: str
    message: str
    revision: str
    changed_at: str


@dataclass(frozen=True, slots=True)
class Repairs:
    """How often one difference was healed. `difference` is its identity, `last_s` the time of the last repair in
    seconds since the epoch."""

    difference: str
    count: int
    last_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """Everything remembered of one target.

    `applied` is the live set, with items only when it was loaded for comparing. `pass_digest` is the digest of every
    input of the last pass that ended converged (revision, rules, policy); `notes` are the lines that pass reported
    besides "nothing to do" (warnings, foreign items). `doubtful_generation` is one whose durability a failed fsync left
    in doubt: it is replaced by a new one, never trusted.

    `images` are those that were built here, as they were last seen in order. `provisioned_digest` is the one of the
    resources that the provisioner last made true, and where: "" when it never ran, `core.provisioning.FAILED` when it
    last failed. `claim` says which CONFIG_DIR is ours. `base_tag` is the tag of the stack that the floating lambda base
    last took: a stack that is down for a while rebuilds nothing. `commit` is the newest one of a git source that was
    applied, as `ref`, "" for other sources. `project` is the last one that an applied artifact named. `repairs` count
    the healing that does not hold. `intended` is what attempts since the last success were about to publish: see
    `core.intentions`. `unconverged` is what nobody but a person makes true: see `core.unconverged`.
    """

    attempted_revision: str = ""
    intended: tuple[Intended, ...] = ()
    applied: AppliedSet | None = None
    pass_digest: str = ""
    notes: tuple[str, ...] = ()
    newest_mtime_s: int = 0
    doubtful_generation: int | None = None
    holds: tuple[Hold, ...] = ()
    suspension: Suspension | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    images: tuple[image_inputs.ImageRecord, ...] = ()
    provisioned_digest: str = ""
    base_tag: str = ""
    commit: str = ""
    ref: str = ""
    project: str = ""
    repairs: Repairs | None = None
    unconverged: tuple[Unconverged, ...] = ()
    claim: Claim | None = None
    rebuilt: str = ""
    """Why the record is empty although a target was there: set when a lost or corrupt one was set aside."""
