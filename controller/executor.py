"""Carries a plan out, action by action, and records how it ended. Decides nothing: no action is added, left out or
reordered here."""

from collections.abc import Mapping

from controller import errors, failpoints, report
from controller import world as worlds
from core import actions, image_inputs, image_work, outcomes, plan, record
from core import situation as situations

_OF_THE_COMMAND = frozenset({"LockBusy", "PlanMoved", "NothingToRollBackTo", "ImageLost"})


def require_provisioner(world: worlds.World, decision: plan.Plan, situation: situations.Situation) -> None:
    """A provisioner that could not start, or would find nothing to work on, is told before anything is begun: later it
    would be a failure with half of the work done (faults.md H5, H12). Raises `ControllerError`."""
    if decision.actions and decision.provision is not None:
        world.require_provisioner(situation.running)


def make_images(
    world: worlds.World, decision: plan.Plan, situation: situations.Situation
) -> tuple[image_work.Work, ...]:
    """Build and push what the plan asks for. Nothing that a consumer sees changes, so a signal ends it at once."""
    world.begin(decision.attempt)
    failpoints.reach(failpoints.Step.ATTEMPTED)
    for action in decision.actions:
        world.perform(action, situation.remembered)
        failpoints.reach(_DONE[type(action)])
    return decision.images


def carry_out(
    world: worlds.World, decision: plan.Plan, situation: situations.Situation, *, holds: tuple[record.Hold, ...] = ()
) -> report.Report:
    """Perform every action and record the result; with blockers, record those and do nothing.

    Once the first action has begun, a signal waits until the record is written (faults.md P16).
    """
    if decision.blockers:
        blocked = report.of_blockers(decision)
        world.fail(worlds.Failure(decision.revision, blocked.reason, blocked.message, made=situation.made))
        return blocked
    if situation.owning.claim is not None:
        with world.finishing(complete=False):
            world.claim(situation.owning.claim, situation.remembered)
        failpoints.reach(failpoints.Step.CLAIMED)
    notes = tuple(str(notice) for notice in decision.notices)
    if not decision.actions or decision.outcome is outcomes.Outcome.DRIFT_LEFT_ALONE:
        told = _prepare(world, decision.actions, situation)
        world.note_conditions(situation.remembered)
        _note_drift(world, decision, situation)
        return report.of_plan(decision, situation.look.generation, notes=(*notes, *told))
    world.begin(decision.attempt)
    failpoints.reach(failpoints.Step.ATTEMPTED)
    first, last = _parts(decision.actions)
    told = _prepare(world, first, situation)
    with world.finishing(complete=True):
        acted = _perform(world, last, situation)
        failpoints.reach(failpoints.Step.ACTED)
        finished = report.of_plan(decision, acted.generation, notes=(*notes, *told))
        recorded = world.succeed(
            worlds.Success(
                decision=decision,
                acted=acted,
                pass_digest=situation.pass_digest,
                message=finished.message,
                holds=holds,
                rollback=situation.rollback,
                images=_to_remember(situation),
                requirement=situation.requirement,
            )
        )
        failpoints.reach(failpoints.Step.RECORDED)
    return finished if recorded else report.not_recorded(finished)


def _to_remember(situation: situations.Situation) -> tuple[image_inputs.ImageRecord, ...] | None:
    """A rollback, and a pass that left images to somebody else, know nothing new of them."""
    if situation.rollback or situation.allowed.skip_images:
        return None
    return tuple(work.record for work in situation.images)


def _note_drift(world: worlds.World, decision: plan.Plan, situation: situations.Situation) -> None:
    """Drift that policy leaves alone is no failure, and yet the target is not as the source asks: said once."""
    ready = situation.remembered.conditions.get("Ready")
    left_alone = outcomes.Outcome.DRIFT_LEFT_ALONE
    if decision.outcome is left_alone and (ready is None or ready.reason != left_alone):
        world.fail(worlds.Failure(decision.revision, left_alone, report.sentence(decision, None)))


def failed(
    world: worlds.World, error: errors.ControllerError, revision: str, *, made: tuple[image_work.Work, ...] = ()
) -> report.Report:
    """Record how a pass failed, and report it. A command that could not be carried out as it was given says nothing
    about the target, so it is only reported. `made` are the images that the pass has made before."""
    if error.reason not in _OF_THE_COMMAND:
        doubtful = error.doubtful if isinstance(error, errors.PublishFailed) else None
        world.fail(
            worlds.Failure(revision, error.reason, error.message, doubtful, made=made, functions=error.functions)
        )
    return report.of_error(error, revision)


_DONE: Mapping[type[actions.Action], failpoints.Step] = {
    actions.Build: failpoints.Step.BUILT,
    actions.Push: failpoints.Step.PUSHED,
    actions.PublishResources: failpoints.Step.RESOURCES_LIVE,
    actions.Provision: failpoints.Step.PROVISIONED,
    actions.Sweep: failpoints.Step.SWEPT,
    actions.Publish: failpoints.Step.PUBLISHED,
    actions.Confirm: failpoints.Step.CONFIRMED,
}
"""Where a test may stop a pass: after each kind of action (faults.md A2)."""


_Actions = tuple[actions.Action, ...]


def _parts(ordered: _Actions) -> tuple[_Actions, _Actions]:
    """What comes up to the provisioner, and what follows it."""
    ends = [at for at, action in enumerate(ordered, 1) if isinstance(action, actions.Provision)]
    cut = ends[0] if ends else 0
    return ordered[:cut], ordered[cut:]


def _prepare(world: worlds.World, first: _Actions, situation: situations.Situation) -> tuple[str, ...]:
    """Resources, then the provisioner. A signal may end the wait for it: the container is told as well, and if it goes
    on nevertheless, the next pass waits for its end (consumers.md DK1)."""
    told: tuple[str, ...] = ()
    for action in first:
        if isinstance(action, actions.Provision):
            done = world.perform(action, situation.remembered)
        else:
            with world.finishing(complete=False):
                done = world.perform(action, situation.remembered)
        told += done.notes if isinstance(done, worlds.Told) else ()
        failpoints.reach(_DONE[type(action)])
    return told


def _perform(world: worlds.World, last: _Actions, situation: situations.Situation) -> worlds.Acted:
    """Every action in order; what the documents are then."""
    applied = situation.remembered.applied
    acted = worlds.Acted(
        generation=situation.look.generation,
        newest_mtime_s=situation.look.newest_mtime_s,
        document_digests=applied.document_digests if applied else {},
    )
    for action in last:
        done = world.perform(action, situation.remembered)
        acted = done if isinstance(done, worlds.Acted) else acted
        failpoints.reach(_DONE[type(action)])
    return acted
