"""Which earlier set a rollback returns to. Pure: the sets are given newest first, as the record keeps them."""

from collections.abc import Sequence

from core import digest, record


def choose(
    sets: Sequence[record.AppliedSet],
    current: record.AppliedSet | None,
    revision: str | None,
    *,
    held: frozenset[str] = frozenset(),
) -> record.AppliedSet | str:
    """The set to return to, or a sentence that says why there is none.

    Without `revision`: the newest set that asks for something else than the live one and is not `held`, so that doing
    it again goes further back. `revision` may be cut short as long as it names one revision; a held one may be named.
    """
    if revision is None:
        for candidate in sets:
            differs = current is None or candidate.desired_digest != current.desired_digest
            if differs and candidate.revision not in held:
                return candidate
        return "no earlier revision is recorded that is not held"
    matching = [candidate for candidate in sets if digest.abbreviates(revision, candidate.revision)]
    named = sorted({candidate.revision for candidate in matching})
    if not named:
        kept = ", ".join(digest.short(candidate.revision) for candidate in sets) or "none"
        return f"no recorded revision begins with {revision}; recorded: {kept}"
    if len(named) > 1:
        return f"{revision} names several revisions: {', '.join(digest.short(name) for name in named)}"
    return matching[0]


def to_hold(current: record.AppliedSet | None, attempted: str, target: record.AppliedSet) -> tuple[str, ...]:
    """The revisions that must not come back by themselves: what was live, and what was last tried."""
    bad = [current.revision if current else "", attempted]
    return tuple(sorted({revision for revision in bad if revision and revision != target.revision}))
