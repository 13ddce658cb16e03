"""The statements that `status` shows: design.md section 3.

Owns how a finished pass turns into conditions, and the rule that the time of a condition moves only when its status
or reason does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from core import compatibility, record, stack

AWAY = "SourceUnavailable"
"""The reason of a remote that does not answer: it is asked again in its own time, whoever asks here (faults.md E2)."""

SOURCE_REASONS = frozenset(
    {
        "SourceMissing",
        "SourceEmpty",
        "SourceUnreadable",
        "SourceUnstable",
        AWAY,
        "SourceUntrusted",
        "SourceRewound",
        "SourceRefused",
        "RefMissing",
        "NoManifest",
        "AmbiguousManifest",
    }
)
"""Failures that say that the source itself could not be had."""


TYPES = ("Ready", "Stalled", "SourceReady", "Compatible", "Healthy")
"""In the order in which they are shown. A record may hold others of an older controller."""

Statement = tuple[str, str, str]
"""Status, reason and message."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a pass ended. `reason` is an `Outcome` or the code of the error or first blocker. `source_read` is None when
    the pass ended before it looked at the source, or needed none. `stack` is what `of_stack` says of the look at it,
    empty when there was none; with ``SourceReady``, where the look at the source said more than that it was read."""

    converged: bool
    reason: str
    message: str
    revision: str
    source_read: bool | None = None
    stack: Mapping[str, Statement] = field(default_factory=dict)


def of_stack(
    requirement: compatibility.Requirement | None, seen: stack.Stack, *, strict: bool
) -> Mapping[str, Statement]:
    """``Compatible`` and ``Healthy`` of a look at the stack (contract.md section 6)."""
    return {"Compatible": _compatible(requirement, seen, strict=strict), "Healthy": compatibility.health(seen)}


def _compatible(requirement: compatibility.Requirement | None, seen: stack.Stack, *, strict: bool) -> Statement:
    if not seen.services:
        return "Unknown", "NothingObservable", seen.unknown
    if requirement is None:
        return "Unknown", "NothingRequired", "the artifact requires nothing of the stack"
    findings = compatibility.judge(requirement, seen, strict=strict)
    blocking = [finding for finding in findings if finding.blocks]
    if blocking:
        return "False", "StackIncompatible", blocking[0].message
    if findings:
        unknown = compatibility.verdict(findings) is compatibility.Verdict.UNKNOWN
        return "Unknown" if unknown else "True", findings[0].code, findings[0].message
    return "True", "AsRequired", seen.source


def after(result: Result, before: Mapping[str, record.Condition], *, now: str) -> dict[str, record.Condition]:
    """The conditions once a pass has ended. `now` is an ISO time."""
    statements = {
        "Ready": ("True" if result.converged else "False", result.reason, result.message),
        "Stalled": ("True" if result.reason == "Stalled" else "False", *_stalled(result)),
        "SourceReady": _source(result, before.get("SourceReady")),
        "Compatible": _of_stack(result, before.get("Compatible"), "Compatible"),
        "Healthy": _of_stack(result, before.get("Healthy"), "Healthy"),
    }
    return {
        type_: _moved(before.get(type_), record.Condition(type_, status, reason, message, result.revision, now))
        for type_, (status, reason, message) in statements.items()
    }


def after_look(
    seen: Mapping[str, Statement], before: Mapping[str, record.Condition], *, now: str
) -> dict[str, record.Condition]:
    """The conditions after a look at stack and source that led to nothing else. Equal to `before` when it says nothing
    new: a message alone is not new, but for which source answered, and why none did."""
    return {
        type_: standing
        if (statement := seen.get(type_)) is None or _is_old(type_, statement, standing)
        else _moved(standing, record.Condition(type_, *statement, standing.revision, now))
        for type_, standing in before.items()
        if type_ in TYPES
    }


def _is_old(type_: str, statement: Statement, standing: record.Condition) -> bool:
    if statement[:2] != (standing.status, standing.reason):
        return False
    if type_ != "SourceReady" or statement[2] == standing.message:
        return True
    return standing.status != "True" and _words(statement[2]) == _words(standing.message)


def _words(message: str) -> str:
    """Without its numbers: "after 4394 ms" is another one at every look, and nothing new."""
    return re.sub(r"\d+", "", message)


def _of_stack(result: Result, before: record.Condition | None, type_: str) -> Statement:
    """A pass that ended before it looked leaves what the last look said."""
    if type_ in result.stack:
        return result.stack[type_]
    return _standing(before) or ("Unknown", "NotLookedAt", "")


def _standing(before: record.Condition | None) -> Statement | None:
    return (before.status, before.reason, before.message) if before else None


def _stalled(result: Result) -> tuple[str, str]:
    return ("HealingDoesNotHold", result.message) if result.reason == "Stalled" else ("Moving", "")


def _source(result: Result, before: record.Condition | None) -> Statement:
    if result.reason in SOURCE_REASONS:
        return "False", result.reason, result.message
    if "SourceReady" in result.stack:
        return result.stack["SourceReady"]
    if result.source_read:
        return "True", "Read", ""
    return _standing(before) or ("Unknown", "NotLookedAt", "")


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
