"""Carries a plan out, action by action, and records how it ended. Decides nothing: no action is added, left out or
reordered here."""

from controller import errors, failpoints, report
from controller import world as worlds
from core import plan, record
from core import situation as situations

_OF_THE_COMMAND = frozenset({"LockBusy", "PlanMoved", "NothingToRollBackTo"})


def carry_out(
    world: worlds.World, decision: plan.Plan, situation: situations.Situation, *, holds: tuple[record.Hold, ...] = ()
) -> report.Report:
    """Perform every action and record the result; with blockers, record those and do nothing.

    Once the first action has begun, a signal waits until the record is written (faults.md P16).
    """
    if decision.blockers:
        blocked = report.of_blockers(decision)
        world.fail(revision=decision.revision, reason=blocked.reason, message=blocked.message)
        return blocked
    notes = tuple(str(notice) for notice in decision.notices)
    if not decision.actions:
        _note_drift(world, decision, situation)
        return report.of_plan(decision, situation.look.generation, notes=notes)
    with world.finishing():
        world.begin(decision.revision)
        failpoints.reach(failpoints.Step.ATTEMPTED)
        acted = _perform(world, decision, situation)
        failpoints.reach(failpoints.Step.ACTED)
        finished = report.of_plan(decision, acted.generation, notes=notes)
        recorded = world.succeed(
            worlds.Success(
                decision=decision,
                acted=acted,
                pass_digest=situation.pass_digest,
                message=finished.message,
                holds=holds,
                rollback=situation.rollback,
            )
        )
        failpoints.reach(failpoints.Step.RECORDED)
    return finished if recorded else report.not_recorded(finished)


def _note_drift(world: worlds.World, decision: plan.Plan, situation: situations.Situation) -> None:
    """Drift that policy leaves alone is no failure, and yet the target is not as the source asks: said once."""
    ready = situation.remembered.conditions.get("Ready")
    left_alone = plan.Outcome.DRIFT_LEFT_ALONE
    if decision.outcome is left_alone and (ready is None or ready.reason != left_alone):
        world.fail(revision=decision.revision, reason=left_alone, message=report.sentence(decision, None))


def failed(world: worlds.World, error: errors.ControllerError, revision: str) -> report.Report:
    """Record how a pass failed, and report it. A command that could not be carried out as it was given says nothing
    about the target, so it is only reported."""
    if error.reason not in _OF_THE_COMMAND:
        doubtful = error.doubtful if isinstance(error, errors.PublishFailed) else None
        world.fail(revision=revision, reason=error.reason, message=error.message, doubtful=doubtful)
    return report.of_error(error, revision)


def _perform(world: worlds.World, decision: plan.Plan, situation: situations.Situation) -> worlds.Acted:
    applied = situation.remembered.applied
    acted = worlds.Acted(
        generation=situation.look.generation,
        newest_mtime_s=situation.look.newest_mtime_s,
        document_digests=applied.document_digests if applied else {},
    )
    for action in decision.actions:
        acted = world.perform(action, situation.remembered) or acted
    return acted
