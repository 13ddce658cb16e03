"""When healing does not hold: the loop breaker (faults.md P12). Pure.

Part of `core.plan`. A difference that comes back as often as the policy bears is not healed again until some time has
passed: somebody else writes there, and two writers that undo each other all day help nobody. The count is part of the
record, so that passes of one process and those of a timer count alike.
"""

from collections.abc import Iterator

from core import diff, digest, image_work, notices, outcomes, policy, record
from core import situation as situations

_HEALING = frozenset({outcomes.Outcome.DRIFTED, outcomes.Outcome.LAYOUT_DIFFERS})
_NAMED = 5
"""So many things are named in a message, the rest is counted."""


def repair(
    situation: situations.Situation, comparison: diff.Diff, outcome: outcomes.Outcome
) -> tuple[record.Repairs | None, notices.Blocker | None]:
    """What to remember once the plan is carried out, and what forbids it. Both None for a plan that heals nothing."""
    if outcome not in _HEALING:
        return None, None
    known, limits, now_s = situation.remembered.repairs, situation.rules.stall, situation.now_s
    subjects = tuple(_subjects(situation, comparison)) or ("the layout of CONFIG_DIR",)
    identity = digest.of_parts(_identity(situation, comparison, outcome))
    if known is None or known.difference != identity or not _in_window(known, now_s, limits):
        count = known.count if known and known.difference == identity and known.count >= limits.repairs else 0
        return record.Repairs(identity, count + 1, now_s), None
    if known.count >= limits.repairs:
        return known, notices.Blocker("Stalled", _words(known, subjects, limits))
    return record.Repairs(identity, known.count + 1, now_s), None


def _in_window(known: record.Repairs, now_s: float, limits: policy.Stall) -> bool:
    """A clock that went back is no reason to begin anew (faults.md L1)."""
    return now_s - known.last_s <= limits.window_s


def _identity(situation: situations.Situation, comparison: diff.Diff, outcome: outcomes.Outcome) -> Iterator[str]:
    """What is repaired, and to what; not what stood there instead, which may be new each time."""
    yield outcome
    for change in comparison.changes:
        yield from (change.operation, change.key.kind, change.key.name, change.after.digest if change.after else "")
    for work in _works(situation):
        yield from ("image", work.wanted.function, work.wanted.digest)


def _subjects(situation: situations.Situation, comparison: diff.Diff) -> Iterator[str]:
    for change in comparison.changes:
        yield f"{change.key.kind} {change.key.name}"
    for work in _works(situation):
        yield f"image of {work.wanted.function}"


def _works(situation: situations.Situation) -> tuple[image_work.Work, ...]:
    return (*outcomes.needed(situation.images), *situation.made)


def _words(known: record.Repairs, subjects: tuple[str, ...], limits: policy.Stall) -> str:
    """The residual difference, and why it is left alone."""
    named = ", ".join(subjects[:_NAMED])
    more = f" and {len(subjects) - _NAMED} more" if len(subjects) > _NAMED else ""
    return (
        f"healed {known.count} times, and here again: {named}{more}; something else changes it back. "
        f"It is left alone for {limits.window_s:g} s after the last repair"
    )
