"""The statements that `status` shows: design.md section 3.

Owns how a finished pass turns into conditions, and the rule that the time of a condition moves only when its status
or reason does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core import record

SOURCE_REASONS = frozenset(
    {"SourceMissing", "SourceEmpty", "SourceUnreadable", "SourceUnstable", "NoManifest", "AmbiguousManifest"}
)
"""Failures that say that the source itself could not be had."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a pass ended. `reason` is an `Outcome` or the code of the error or first blocker. `source_read` is None when
    the pass ended before it looked at the source, or needed none. `compatible` is the verdict of contract.md section
    6: ``True``, ``False`` or ``Unknown``."""

    converged: bool
    reason: str
    message: str
    revision: str
    source_read: bool | None = None
    compatible: str = "Unknown"


def after(result: Result, before: Mapping[str, record.Condition], *, now: str) -> dict[str, record.Condition]:
    """The conditions once a pass has ended. `now` is an ISO time."""
    incompatible = result.reason == "StackIncompatible"
    statements = {
        "Ready": ("True" if result.converged else "False", result.reason, result.message),
        "Reconciling": ("False", "PassEnded", ""),
        "SourceReady": _source(result, before.get("SourceReady")),
        "Compatible": (
            ("False", result.reason, result.message)
            if incompatible
            else (result.compatible, "NothingObservable", "no compose stack is configured")
        ),
    }
    return {
        type_: _moved(before.get(type_), record.Condition(type_, status, reason, message, result.revision, now))
        for type_, (status, reason, message) in statements.items()
    }


def _source(result: Result, before: record.Condition | None) -> tuple[str, str, str]:
    if result.reason in SOURCE_REASONS:
        return "False", result.reason, result.message
    if result.source_read:
        return "True", "Read", ""
    return (before.status, before.reason, before.message) if before else ("Unknown", "NotLookedAt", "")


def is_ready(conditions: Mapping[str, record.Condition]) -> bool:
    """Whether the last pass ended converged. When it did not, the next one has to say so, even with nothing to do."""
    ready = conditions.get("Ready")
    return ready is not None and ready.status == "True"


def _moved(before: record.Condition | None, after_: record.Condition) -> record.Condition:
    if before is None or (before.status, before.reason) != (after_.status, after_.reason):
        return after_
    return record.Condition(
        after_.type, after_.status, after_.reason, after_.message, after_.revision, before.changed_at
    )
