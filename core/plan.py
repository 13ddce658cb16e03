"""The plan: desired x observed x record x policy -> ordered actions, or blockers, with a reason either way.

The heart of the controller, and pure. `diff` prints what this returns and stops; `reconcile` performs it. One blocker
means that nothing at all is written. Knows no exit codes: `controller.errors` maps reasons to them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from core import (
    actions,
    assembly,
    compatibility,
    conditions,
    desired,
    diff,
    digest,
    guards,
    items,
    observed,
    policy,
    record,
)
from core import notices as remarks
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
    BLOCKED = "Blocked"


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What has to be the same for a saved plan to be applied later (design.md section 6).

    `applied_digest` covers what CONFIG_DIR showed, `changes_digest` what would be done to it (which also depends on
    policy and record); `stack_fingerprint` is empty when nothing is observable.
    """

    desired_digest: str
    applied_digest: str
    changes_digest: str
    stack_fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass will do, and why. `actions` is empty when there is a blocker or nothing to do."""

    revision: str
    outcome: Outcome
    comparison: diff.Diff
    preconditions: Preconditions
    actions: tuple[actions.Action, ...]
    blockers: tuple[remarks.Blocker, ...]
    notices: tuple[remarks.Notice, ...]

    @property
    def publishes(self) -> bool:
        """Whether consumers of CONFIG_DIR will see anything of this plan."""
        return any(isinstance(action, actions.Publish) for action in self.actions)


def make(situation: situations.Situation) -> Plan:
    """Decide. Never raises: whatever stands in the way is a blocker."""
    applied = situation.remembered.applied
    by_key = {part.item.key: part for part in applied.items} if applied else {}
    comparison = diff.compare(situation.wanted, situation.seen, by_key, prune=situation.rules.prune)
    comparison = _with_rebuilds(comparison, situation.wanted)
    blockers = tuple(guards.blockers(situation, comparison))
    outcome = Outcome.BLOCKED if blockers else _outcome(situation, comparison)
    return Plan(
        revision=situation.wanted.revision,
        outcome=outcome,
        comparison=comparison,
        preconditions=Preconditions(
            desired_digest=situation.wanted.digest,
            applied_digest=observed_digest(situation.look),
            changes_digest=changes_digest(situation, comparison),
        ),
        actions=tuple(_actions(outcome, situation, comparison)),
        blockers=blockers,
        notices=tuple(_notices(situation, comparison)),
    )


def observed_digest(look: observed.Observed) -> str:
    """One digest for what a consumer of CONFIG_DIR would read now."""
    return digest.of_parts(f"{document}={look.digests.get(document) or 'nothing'}" for document in items.Document)


def changes_digest(situation: situations.Situation, comparison: diff.Diff) -> str:
    """One digest for what a pass would do to CONFIG_DIR, in which layout."""
    changes = (
        part
        for change in comparison.changes
        for part in (
            change.operation,
            change.key.kind,
            change.key.name,
            change.before.digest if change.before else "",
            change.after.digest if change.after else "",
        )
    )
    return digest.of_parts((situation.rules.publish, *changes))


def layout_is_ours(look: observed.Observed, mode: policy.PublishMode) -> bool:
    """Whether every document stands where the publishing mode wants it."""
    wanted = observed.Presence.LINK if mode is policy.PublishMode.GENERATION else observed.Presence.PLAIN
    return all(state.presence is wanted for state in look.documents.values())


def _with_rebuilds(comparison: diff.Diff, wanted: desired.Desired) -> diff.Diff:
    built = {items.ItemKey(items.Kind.FUNCTION, function) for _, function in wanted.builds}
    return replace(
        comparison,
        changes=tuple(
            replace(change, effect=diff.Effect.REBUILD) if change.key in built and change.after else change
            for change in comparison.changes
        ),
    )


def _outcome(situation: situations.Situation, comparison: diff.Diff) -> Outcome:
    if comparison.changes:
        return _outcome_of_changes(situation, comparison)
    look = situation.look
    if (look.generation or 0) == situation.remembered.doubtful_generation:
        return Outcome.DOUBTFUL_GENERATION
    if not layout_is_ours(look, situation.rules.publish):
        return Outcome.LAYOUT_DIFFERS if _visible(look) else Outcome.FIRST_PUBLISH
    if not _recorded(situation, comparison):
        return Outcome.RECORD_ONLY
    return Outcome.LEFTOVERS if look.leftovers else Outcome.IN_SYNC


def _outcome_of_changes(situation: situations.Situation, comparison: diff.Diff) -> Outcome:
    if situation.rollback:
        return Outcome.ROLLED_BACK
    applied = situation.remembered.applied
    if applied is None:
        return Outcome.FIRST_PUBLISH
    moved = applied.desired_digest not in ("", situation.wanted.digest)
    if moved or any(change.cause is diff.Cause.CHANGE for change in comparison.changes):
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


def _actions(outcome: Outcome, situation: situations.Situation, comparison: diff.Diff) -> Iterator[actions.Action]:
    match outcome:
        case Outcome.IN_SYNC | Outcome.BLOCKED | Outcome.DRIFT_LEFT_ALONE:
            return
        case Outcome.LEFTOVERS:
            yield actions.Sweep(situation.look.leftovers)
        case Outcome.RECORD_ONLY:
            if situation.look.leftovers:
                yield actions.Sweep(situation.look.leftovers)
            yield actions.Confirm(comparison.result)
        case _:
            documents = assembly.assemble(part.item for part in comparison.result)
            yield actions.Publish(documents, comparison.result, situation.rules.publish)


def _notices(situation: situations.Situation, comparison: diff.Diff) -> Iterator[remarks.Notice]:
    for warning in situation.wanted.warnings:
        yield remarks.Notice("ArtifactWarning", str(warning))
    for problem in situation.seen.problems:
        yield remarks.Notice("ConfigDirInvalid", str(problem))
    for key in comparison.foreign:
        yield remarks.Notice("Foreign", f"{key.kind} {key.name} is not ours: kept")
    for key in comparison.orphaned:
        yield remarks.Notice(
            "Orphaned", f"{key.kind} {key.name} is no longer in the source: kept, because of prune: none"
        )
    yield from foreign_files(situation.look)
    if situation.remembered.rebuilt:
        yield remarks.Notice("RecordRebuilt", situation.remembered.rebuilt)
    yield remarks.Notice("NoStack", "no compose stack is configured: nothing to probe, no provisioner to run")
    finding = compatibility.without_observation(situation.requirement, strict=situation.rules.strict)
    if finding is not None and not finding.blocks:
        yield remarks.Notice("NothingObservable", finding.message)
    for change in comparison.changes:
        if change.effect is diff.Effect.NOT_CONVERGEABLE:
            verb = "changes" if change.after else "goes"
            yield remarks.Notice(
                "NotConvergeable",
                f"{change.key.kind} {change.key.name} {verb} here only; what exists already is never changed or "
                "deleted: do that by hand",
            )


def foreign_files(look: observed.Observed) -> Iterator[remarks.Notice]:
    """Files in CONFIG_DIR that are nobody's business here; looked up anew by every pass."""
    for name in look.foreign_files:
        yield remarks.Notice("ForeignFile", f"{name} in CONFIG_DIR is not ours: kept")


def unchanged(
    look: observed.Observed, remembered: record.Record, pass_digest: str, *, mode: policy.PublishMode
) -> bool:
    """Whether a pass can stop before reading a single document: same inputs as the last converged pass, CONFIG_DIR
    showing what that pass left, and nothing pending. True implies that `make` would find `InSync`.

    `pass_digest` covers the source's revision and every rule that the plan depends on.
    """
    applied = remembered.applied
    return (
        applied is not None
        and remembered.pass_digest == pass_digest != ""
        and applied.generation == (look.generation or 0)
        and _same_documents(applied.document_digests, look)
        and layout_is_ours(look, mode)
        and not look.leftovers
        and remembered.suspension is None
        and not remembered.holds
        and not remembered.rebuilt
        and conditions.is_ready(remembered.conditions)
        and (look.generation or 0) != remembered.doubtful_generation
    )


def _same_documents(recorded: Mapping[items.Document, str], look: observed.Observed) -> bool:
    return all(recorded.get(document) == look.digests.get(document) is not None for document in items.Document)
