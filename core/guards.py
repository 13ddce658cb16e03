"""What forbids a plan: a CONFIG_DIR of somebody else, suspension, holds, missing secrets, an incompatible stack, images
nobody builds, and removals that look like an accident (design.md section 5, faults.md P6, B8 and C1)."""

from collections.abc import Iterator

from core import compatibility, diff, digest, image_inputs, items, notices, policy, record
from core import situation as situations

REMOVALS_ALWAYS_ALLOWED = 3
"""A plan that removes no more things than this is never stopped for their share."""

_COUNTED = (items.Kind.FUNCTION, items.Kind.ROUTE, items.Kind.TABLE, items.Kind.BUCKET, items.Kind.LAYER)


def blockers(situation: situations.Situation, comparison: diff.Diff) -> Iterator[notices.Blocker]:
    """Everything that stands in the way, all of it, most deliberate first."""
    if situation.owning.refusal:
        yield notices.Blocker("OwnedByOther", situation.owning.refusal)
    yield from stops(situation.remembered, situation.wanted.revision)
    if situation.missing_secrets:
        yield notices.Blocker("SecretsMissing", f"required secrets are not set: {', '.join(situation.missing_secrets)}")
    for finding in compatibility.judge(situation.requirement, situation.running, strict=situation.rules.strict):
        if finding.blocks:
            yield notices.Blocker("StackIncompatible", finding.message)
    yield from situation.obstacles
    yield from _conflicting_images(situation)
    for document, state in situation.look.documents.items():
        if state.obstacle:
            yield notices.Blocker("PathObstructed", f"{document} in CONFIG_DIR: {state.obstacle}")
    yield from _unreadable(situation)
    yield from _too_large(comparison)
    yield from _shrinking(situation, comparison)


def stops(remembered: record.Record, revision: str) -> Iterator[notices.Blocker]:
    """What a person said about this revision, or about any: it stands whatever there is to see."""
    if remembered.suspension is not None:
        stop = remembered.suspension
        until = f" until {stop.until}" if stop.until else ""
        yield notices.Blocker("Suspended", f"suspended by {stop.owner}{until}: {stop.reason}")
    for hold in remembered.holds:
        if hold.revision == revision:
            yield notices.Blocker("Held", f"revision {hold.revision} is held since {hold.since}: {hold.reason}")


def _conflicting_images(situation: situations.Situation) -> Iterator[notices.Blocker]:
    """Two functions under one tag would push each other's image away, pass after pass (faults.md H9)."""
    first: dict[str, image_inputs.ImageInput] = {}
    for work in situation.images:
        standing = first.setdefault(work.wanted.target, work.wanted)
        if standing.function != work.wanted.function:
            yield notices.Blocker(
                "ImageConflict",
                f"functions {standing.function} and {work.wanted.function} are both built as {work.wanted.image}",
            )


def _unreadable(situation: situations.Situation) -> Iterator[notices.Blocker]:
    """Publishing over a document that cannot be read drops what is foreign in it, unless the record knows that."""
    if situation.remembered.applied is not None or situation.rules.prune is policy.Prune.ALL:
        return
    for document in items.Document:
        if document in situation.seen.unreadable:
            for problem in situation.seen.problems:
                if problem.file == document:
                    yield notices.Blocker("ConfigDirUnreadable", f"what is foreign in it would be lost: {problem}")
                    break


def _too_large(comparison: diff.Diff) -> Iterator[notices.Blocker]:
    for document in items.Document:
        size = sum(len(part.item.text) for part in comparison.result if part.item.key.kind.document is document)
        if size > items.MAX_DOCUMENT_BYTES:
            limit = items.MAX_DOCUMENT_BYTES >> 20
            yield notices.Blocker(
                "DocumentTooLarge", f"all entries together make a {document} of more than {limit} MiB"
            )


def _shrinking(situation: situations.Situation, comparison: diff.Diff) -> Iterator[notices.Blocker]:
    """Removals are counted against everything that is live or ours, also what is ours and was wiped from CONFIG_DIR:
    an accident at the source must not pass as the healing of one at the target."""
    applied = situation.remembered.applied
    owned = {part.item.key for part in (applied.items if applied else ()) if part.entry is not None}
    removed = {change.key for change in comparison.changes if change.operation is diff.Operation.REMOVE}
    if situation.rules.prune is not policy.Prune.NONE:
        removed |= owned - set(situation.wanted.items)
    removed = {key for key in removed if _counts(key)}
    live = {key for key in owned | set(situation.seen.items) if _counts(key)}
    revision = situation.wanted.revision
    if not removed or digest.abbreviates(situation.allowed.shrink, revision):
        return
    if not any(_counts(key) for key in situation.wanted.items):
        if not situation.rules.allow_empty:
            yield notices.Blocker(
                "SourceEmpty", f"the source asks for nothing, {len(live)} things are live: revision {revision}"
            )
    elif len(removed) > REMOVALS_ALWAYS_ALLOWED and len(removed) > situation.rules.max_removed * len(live):
        yield notices.Blocker("ShrinkGuard", f"would remove {len(removed)} of {len(live)} things: revision {revision}")


def _counts(key: items.ItemKey) -> bool:
    return key.kind in _COUNTED
