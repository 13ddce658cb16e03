"""A plan for people and for programs: `+ ~ -` lines with effect, reason and provenance, and the same as JSON.

Shows field-level changes with everything masked that may be secret (`core.field_changes`). Colour carries no meaning
here, because there is none.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from core import diff, digest, field_changes, image_work, items, plan
from manifests import yaml_text

MOST_LINES = 40
"""Changes shown without ``-v``; the summary always counts all of them."""

_BARE_VALUES = frozenset({items.Kind.DEFAULT_ENVIRONMENT, items.Kind.DEFAULT})
"""Kinds whose item is one value, perhaps an environment value, and nothing around it."""


def lines(decision: plan.Plan, *, everything: bool) -> Iterator[str]:
    """The plan as text: one line a change, its fields below, then blockers and the summary."""
    changes = decision.comparison.changes
    for change in changes if everything else changes[:MOST_LINES]:
        yield from change_lines(change)
    yield from closing_lines(decision, everything=everything)


def change_lines(change: diff.Change) -> Iterator[str]:
    """One change, with its fields below."""
    yield _headline(change)
    for field in fields(change):
        yield f"      {_field_line(field)}"


def closing_lines(decision: plan.Plan, *, everything: bool) -> Iterator[str]:
    """What comes after the changes: how many were left out, images, provisioner, blockers, and the summary."""
    left_out = () if everything else decision.comparison.changes[MOST_LINES:]
    if left_out:
        counted = Counter(change.operation for change in left_out)
        marks = " ".join(f"{operation}{counted[operation]}" for operation in diff.Operation if counted[operation])
        yield f"  … and {len(left_out)} more, {marks} (-v shows all)"
    for work in decision.images:
        yield _image_line(work)
    if decision.provision is not None:
        yield f"> provisioner  {decision.provision}"
    for blocker in decision.blockers:
        yield f"! {blocker.reason}: {blocker.message}"
    yield summary(decision)


def summary(decision: plan.Plan) -> str:
    """``Plan: 2 to add, 1 to change, 0 to remove · 3 images to build · provisioner will run``.

    An image that is only pushed is told beside those that are built, and pushed too. The outcome stands there where
    nothing before it says what a pass would do, or why nothing.
    """
    counted = Counter(change.operation for change in decision.comparison.changes)
    drifted = sum(change.cause is diff.Cause.DRIFT for change in decision.comparison.changes)
    text = (
        f"Plan: {counted[diff.Operation.ADD]} to add, {counted[diff.Operation.CHANGE]} to change, "
        f"{counted[diff.Operation.REMOVE]} to remove"
    )
    if drifted:
        text += f" ({drifted} drifted)"
    for verb, need in (("build", image_work.Need.BUILD), ("push", image_work.Need.PUSH)):
        if count := sum(work.need is need for work in decision.images):
            text += f" · {count} image{'' if count == 1 else 's'} to {verb}"
    if decision.provision is not None:
        text += " · provisioner will run"
    if decision.blockers:
        return f"{text} · blocked: {', '.join(dict.fromkeys(blocker.reason for blocker in decision.blockers))}"
    if not decision.actions:
        return f"{text} · {decision.outcome}: nothing to do"
    told = decision.comparison.changes or decision.images or decision.provision
    return text if told else f"{text} · {decision.outcome}"


def _image_line(work: image_work.Work) -> str:
    """What is made and why. What comes out is told by the function's own line, once its digest is known."""
    cause = diff.Cause.DRIFT if work.why in image_work.DRIFT else diff.Cause.CHANGE
    steps = "build and push" if work.need is image_work.Need.BUILD else "push"
    origin = f"{work.wanted.entry} function {work.wanted.function}"
    return f"* image {work.wanted.target}  {cause}: {work.why}, {steps}  [{origin}]"


def payload(decision: plan.Plan) -> dict[str, Any]:
    """The plan as JSON; `docs/json.md` describes it."""
    return {
        "revision": decision.revision,
        "outcome": str(decision.outcome),
        "publishes": decision.publishes,
        "changes": [_change_payload(change) for change in decision.comparison.changes],
        "images": [
            {
                "function": work.wanted.function,
                "entry": work.wanted.entry,
                "target": work.wanted.target,
                "input_digest": work.wanted.digest,
                "before": work.before,
                "need": str(work.need),
                "reason": str(work.why),
            }
            for work in decision.images
        ],
        "provision": None if decision.provision is None else str(decision.provision),
        "foreign": [_key(key) for key in decision.comparison.foreign],
        "orphaned": [_key(key) for key in decision.comparison.orphaned],
        "adopted": [_key(key) for key in decision.comparison.adopted],
        "blockers": [{"reason": blocker.reason, "message": blocker.message} for blocker in decision.blockers],
        "notices": [{"code": notice.code, "message": notice.message} for notice in decision.notices],
        "preconditions": {
            "desired_digest": decision.preconditions.desired_digest,
            "applied_digest": decision.preconditions.applied_digest,
            "changes_digest": decision.preconditions.changes_digest,
            "stack_fingerprint": decision.preconditions.stack_fingerprint,
        },
    }


def fields(change: diff.Change) -> tuple[field_changes.FieldChange, ...]:
    """Field by field, for an item that stays; an added or removed one says everything by its name."""
    if change.before is None or change.after is None:
        return ()
    return field_changes.compare(change.key.kind, _value(change.before), _value(change.after))


def _value(item: items.Item) -> digest.Value:
    """The item's value from its own rendered text, which is one mapping entry or one list item."""
    parsed = yaml_text.parse(item.text.encode(), file=item.key.name).value
    if isinstance(parsed, dict) and len(parsed) == 1:
        return next(iter(parsed.values()))
    return parsed[0] if isinstance(parsed, list) else parsed


def _headline(change: diff.Change) -> str:
    where = ""
    if change.provenance is not None:
        place = f":{change.provenance.line}" if change.provenance.line else ""
        where = f"{change.provenance.entry} {change.provenance.file}{place}".rstrip()
        was = "was " if change.operation is diff.Operation.REMOVE else ""  # at that line stands something else now
        where = f"  [{was}{where}]"
        if change.provenance.overrides:
            where += f" over {', '.join(change.provenance.overrides)}"
    kind, name = change.key
    return f"{change.operation} {kind} {name}  {change.cause}: {change.reason}, {change.effect}{where}"


def _field_line(field: field_changes.FieldChange) -> str:
    if field.before is None:
        return f"+ {field.path}: {field.after}"
    if field.after is None:
        return f"- {field.path}: {field.before}"
    return f"~ {field.path}: {field.before} -> {field.after}"


def _change_payload(change: diff.Change) -> dict[str, Any]:
    origin = change.provenance
    return {
        "operation": {"+": "add", "~": "change", "-": "remove"}[change.operation],
        **_key(change.key),
        "document": str(change.key.kind.document),
        "cause": str(change.cause),
        "reason": str(change.reason),
        "effect": str(change.effect),
        "before": _digest(change.before),
        "after": _digest(change.after),
        "fields": [{"path": field.path, "before": field.before, "after": field.after} for field in fields(change)],
        "provenance": None
        if origin is None
        else {
            "entry": origin.entry,
            "file": origin.file,
            "line": origin.line,
            "overrides": list(origin.overrides),
        },
    }


def _digest(item: items.Item | None) -> str | None:
    """None too where the value alone is digested and may be a short secret: it could be found by trying (P13)."""
    return None if item is None or item.key.kind in _BARE_VALUES else item.digest


def _key(key: items.ItemKey) -> dict[str, str]:
    return {"kind": str(key.kind), "name": key.name}
