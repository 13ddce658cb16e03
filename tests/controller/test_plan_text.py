"""The last line of a plan: one sentence with everything that a pass would do."""

import pytest

from controller import plan_text
from core import actions, diff, image_inputs, image_work, items, notices, outcomes, plan, provisioning

_CHANGES = {
    diff.Operation.ADD: diff.Reason.NEW_IN_SOURCE,
    diff.Operation.CHANGE: diff.Reason.CHANGED_IN_SOURCE,
    diff.Operation.REMOVE: diff.Reason.REMOVED_FROM_SOURCE,
}


def _change(operation: diff.Operation, number: int, cause: diff.Cause = diff.Cause.CHANGE) -> diff.Change:
    key = items.ItemKey(items.Kind.FUNCTION, f"f{number}")
    return diff.Change(operation, key, cause, _CHANGES[operation], diff.Effect.RELOAD, None, None, None)


def _changes(added: int, changed: int, removed: int, cause: diff.Cause = diff.Cause.CHANGE) -> tuple[diff.Change, ...]:
    counts = {diff.Operation.ADD: added, diff.Operation.CHANGE: changed, diff.Operation.REMOVE: removed}
    return tuple(_change(operation, number, cause) for operation, count in counts.items() for number in range(count))


def _works(built: int, pushed: int = 0) -> tuple[image_work.Work, ...]:
    wanted = image_inputs.ImageInput("f", "e", "f:1", "f:1", "", "")
    needs = (*(image_work.Need.BUILD,) * built, *(image_work.Need.PUSH,) * pushed)
    return tuple(image_work.Work(wanted, need, image_work.Why.NEW) for need in needs)


def _summary(
    changes: tuple[diff.Change, ...] = (),
    images: tuple[image_work.Work, ...] = (),
    *,
    provision: provisioning.Reason | None = None,
    steps: tuple[actions.Action, ...] = (),
    outcome: outcomes.Outcome = outcomes.Outcome.SOURCE_CHANGED,
    blockers: tuple[notices.Blocker, ...] = (),
) -> str:
    comparison = diff.Diff(changes, ())
    before = plan.Preconditions("", "", "")
    return plan_text.summary(
        plan.Plan("", outcome, comparison, before, steps, blockers, (), images=images, provision=provision)
    )


_STEPS: tuple[actions.Action, ...] = (actions.Sweep(("x",)),)


def test_one_line_says_everything() -> None:
    told = _summary(_changes(2, 1, 0), _works(3), provision=provisioning.Reason.RESOURCES_CHANGED, steps=_STEPS)
    assert told == "Plan: 2 to add, 1 to change, 0 to remove · 3 images to build · provisioner will run"


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (_works(1), " · 1 image to build"),
        (_works(0, 1), " · 1 image to push"),
        (_works(2, 2), " · 2 images to build · 2 images to push"),
    ],
)
def test_images_that_are_only_pushed_are_counted_apart(images: tuple[image_work.Work, ...], told: str) -> None:
    assert _summary(images=images, steps=_STEPS) == f"Plan: 0 to add, 0 to change, 0 to remove{told}"


def test_drift_is_counted() -> None:
    told = _summary(_changes(0, 2, 0, diff.Cause.DRIFT), steps=_STEPS, outcome=outcomes.Outcome.DRIFTED)
    assert told == "Plan: 0 to add, 2 to change, 0 to remove (2 drifted)"


def test_nothing_to_see_says_why() -> None:
    nothing = "Plan: 0 to add, 0 to change, 0 to remove"
    assert _summary(outcome=outcomes.Outcome.IN_SYNC) == f"{nothing} · InSync: nothing to do"
    assert _summary(steps=_STEPS, outcome=outcomes.Outcome.LEFTOVERS) == f"{nothing} · Leftovers"


def test_what_stands_in_the_way_is_named_once() -> None:
    blockers = (notices.Blocker("Held", "a"), notices.Blocker("Suspended", "b"), notices.Blocker("Held", "c"))
    told = _summary(_changes(0, 1, 0), blockers=blockers)
    assert told == "Plan: 0 to add, 1 to change, 0 to remove · blocked: Held, Suspended"
