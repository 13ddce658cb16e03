"""What a plan amounts to: one code for everything that a pass may find, also for doing nothing. Pure.

Part of `core.plan`, which acts on it; documented in docs/reasons.md.
"""

from enum import StrEnum

from core import conditions, diff, image_work, observed, policy
from core import situation as situations


class Outcome(StrEnum):
    """What a plan amounts to: one code, also for doing nothing."""

    IN_SYNC = "InSync"
    """CONFIG_DIR shows what the source asks for, and the record knows it."""
    RECORD_ONLY = "RecordOnly"
    """CONFIG_DIR shows what the source asks for; only the record has to learn it."""
    LEFTOVERS = "Leftovers"
    """In sync, but an interrupted publish left something to remove."""
    DRIFT_LEFT_ALONE = "DriftLeftAlone"
    """CONFIG_DIR drifted and `self_heal` is off."""
    FIRST_PUBLISH = "FirstPublish"
    SOURCE_CHANGED = "SourceChanged"
    ROLLED_BACK = "RolledBack"
    DRIFTED = "Drifted"
    LAYOUT_DIFFERS = "LayoutDiffers"
    """Same content, but not in the layout that makes a switch atomic: plain files to adopt, a broken link."""
    DOUBTFUL_GENERATION = "DoubtfulGeneration"
    """The visible generation may not be on the disk: an fsync failed while it was published."""
    PROVISION_DUE = "ProvisionDue"
    """CONFIG_DIR shows what the source asks for, and the provisioner has yet to make it true."""
    BLOCKED = "Blocked"


def of(situation: situations.Situation, comparison: diff.Diff, *, provision: bool) -> Outcome:
    """The outcome of a plan without blockers. `provision` says that the provisioner is due."""
    images = (*needed(situation.images), *situation.made)
    if comparison.changes or images:
        return _of_changes(situation, comparison, images)
    look = situation.look
    if (look.generation or 0) == situation.remembered.doubtful_generation:
        return Outcome.DOUBTFUL_GENERATION
    if not layout_is_ours(look, situation.rules.publish):
        return Outcome.LAYOUT_DIFFERS if _visible(look) else Outcome.FIRST_PUBLISH
    if provision:
        return Outcome.PROVISION_DUE
    if not _recorded(situation, comparison):
        return Outcome.RECORD_ONLY
    return Outcome.LEFTOVERS if look.leftovers else Outcome.IN_SYNC


def needed(works: tuple[image_work.Work, ...]) -> tuple[image_work.Work, ...]:
    """The images that something has to be done about."""
    return tuple(work for work in works if work.need is not image_work.Need.NOTHING)


def layout_is_ours(look: observed.Observed, mode: policy.PublishMode) -> bool:
    """Whether every document stands where the publishing mode wants it."""
    wanted = observed.Presence.LINK if mode is policy.PublishMode.GENERATION else observed.Presence.PLAIN
    return all(state.presence is wanted for state in look.documents.values())


def _of_changes(situation: situations.Situation, comparison: diff.Diff, images: tuple[image_work.Work, ...]) -> Outcome:
    if situation.rollback:
        return Outcome.ROLLED_BACK
    applied = situation.remembered.applied
    if applied is None:
        return Outcome.FIRST_PUBLISH
    moved = bool(comparison.changes) and applied.desired_digest not in ("", situation.wanted.digest)
    changed = any(change.cause is diff.Cause.CHANGE for change in comparison.changes)
    remade = any(work.why not in image_work.DRIFT for work in images)
    if moved or changed or remade:
        return Outcome.SOURCE_CHANGED
    return Outcome.DRIFTED if situation.rules.self_heal else Outcome.DRIFT_LEFT_ALONE


def _visible(look: observed.Observed) -> bool:
    return any(state.digest is not None for state in look.documents.values())


def _recorded(situation: situations.Situation, comparison: diff.Diff) -> bool:
    applied = situation.remembered.applied
    return (
        applied is not None
        and applied.revision == situation.wanted.revision
        and applied.generation == (situation.look.generation or 0)
        and situation.remembered.pass_digest == situation.pass_digest
        and conditions.is_ready(situation.remembered.conditions)
        and dict(applied.document_digests) == dict(situation.look.digests)
        and [(part.item.key, part.item.digest, part.entry) for part in applied.items]
        == [(part.item.key, part.item.digest, part.entry) for part in comparison.result]
    )
