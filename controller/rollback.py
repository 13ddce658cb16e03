"""`controller rollback`: an earlier set of documents becomes live again, as a new generation (consumers.md GW3).

Works without the source: the record holds the documents. The revision that was live is held until the source changes.
"""

from controller import clock, errors, executor, planning, report
from controller import world as worlds
from core import plan, record, rollback


def roll_back(
    world: worlds.RollbackWorld, request: worlds.Request, revision: str | None, *, reason: str
) -> report.Report:
    """Return to `revision` (None: the one before). Every expected failure is a report, as in a pass."""
    target_revision = ""
    try:
        with world.exclusive():
            look = world.look()
            remembered = world.remember(with_items=False)
            held = frozenset(hold.revision for hold in remembered.holds)
            chosen = rollback.choose(world.applied_sets(), remembered.applied, revision, held=held)
            if isinstance(chosen, str):
                raise errors.ControllerError("NothingToRollBackTo", chosen)
            target_revision = chosen.revision
            chosen = world.with_items(chosen)
            situation = planning.decide_rollback(world, request, look=look, target=chosen)
            decision = plan.make(situation)
            if decision.makes_images:
                made = executor.make_images(world, decision, situation)
                situation = planning.decide_rollback(world, request, look=world.look(), target=chosen, made=made)
                decision = plan.make(situation)
            holds = tuple(
                record.Hold(bad, reason, clock.iso(world.now()))
                for bad in rollback.to_hold(remembered.applied, remembered.attempted_revision, chosen)
            )
            return executor.carry_out(world, decision, situation, holds=holds)
    except errors.ControllerError as error:
        return executor.failed(world, error, target_revision)
