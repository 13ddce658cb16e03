"""`controller rollback`: an earlier set of documents becomes live again, as a new generation (consumers.md GW3).

Works without the source: the record holds the documents. The revision that was live is held until the source changes:
from before the first action on, so that a rollback that fails half-way is not undone by the next pass.
"""

from dataclasses import replace

from controller import clock, errors, executor, planning, report
from controller import world as worlds
from core import image_work, plan, record, rollback


def roll_back(
    world: worlds.RollbackWorld, request: worlds.Request, revision: str | None, *, reason: str
) -> report.Report:
    """Return to `revision` (None: the one before). Every expected failure is a report, as in a pass."""
    target_revision = ""
    made: tuple[image_work.Work, ...] = ()
    try:
        with world.exclusive():
            look = world.look()
            remembered = world.remember(with_items=False)
            chosen = _chosen(world, remembered, revision)
            target_revision = chosen.revision
            probed = planning.sight_of(world, request, look, chosen)
            situation = planning.decide_rollback(world, request, probed=probed, target=chosen)
            decision = plan.make(situation)
            executor.require_provisioner(world, decision, situation)
            holds = tuple(
                record.Hold(bad, reason, clock.iso(world.now()))
                for bad in rollback.to_hold(remembered.applied, remembered.attempted_revision, chosen)
            )
            if decision.actions:
                # What follows may fail half-way, and the next pass must not heal with the bad revision.
                world.hold(holds)
            if decision.makes_images:
                made = executor.make_images(world, decision, situation)
                situation = planning.decide_rollback(world, request, probed=probed, target=chosen, made=made)
                decision = plan.make(situation)
            return executor.carry_out(world, decision, situation, holds=holds)
    except errors.ControllerError as error:
        return executor.failed(world, error, target_revision, made=made)


def _chosen(world: worlds.RollbackWorld, remembered: record.Record, revision: str | None) -> record.AppliedSet:
    """The set to return to, with its items. One without a project is brought back to the stack of the live one."""
    held = frozenset(hold.revision for hold in remembered.holds)
    found = rollback.choose(world.applied_sets(), remembered.applied, revision, held=held)
    if isinstance(found, str):
        raise errors.ControllerError("NothingToRollBackTo", found)
    return replace(world.with_items(found), project=found.project or remembered.project)
