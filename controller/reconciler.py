"""One pass: look at the world, decide, act, record. Reads top to bottom like the flow of design.md section 1.

A pass looks at the world and never at what woke it. `core.plan` decides; `world` is the only way to touch anything.
"""

from controller import errors, executor, failpoints, planning, report
from controller import world as worlds
from core import image_work, ownership, plan


def reconcile_once(world: worlds.World, request: worlds.Request) -> report.Report:
    """Converge once. Every expected failure is a report; CONFIG_DIR shows one complete generation either way."""
    revision = ""
    made: tuple[image_work.Work, ...] = ()
    try:
        with world.exclusive():
            failpoints.reach(failpoints.Step.LOCKED)
            remembered = world.remember(with_items=False)
            failpoints.reach(failpoints.Step.REMEMBERED)
            look = world.look()
            failpoints.reach(failpoints.Step.OBSERVED)
            seen = planning.sight(world, request, look)
            revision = seen.fetched.revision
            if planning.in_sync(world, request, seen, remembered):
                world.note_conditions(remembered)
                return _told(report.in_sync(remembered, look), seen)
            situation = planning.decide(world, request, seen)
            decision = plan.make(situation)
            planning.refuse_moved_plan(request, decision)
            failpoints.reach(failpoints.Step.PLANNED)
            executor.require_provisioner(world, decision, situation)
            if decision.makes_images:
                made = executor.make_images(world, decision, situation)
                situation = planning.decide(world, request, seen, made=made)
                decision = plan.make(situation)
            return _told(executor.carry_out(world, decision, situation), seen)
    except errors.ControllerError as error:
        return executor.failed(world, error, revision, made=made)


def not_run(world: worlds.World, error: errors.ControllerError) -> report.Report:
    """A pass that is due and is not run, because of others: nothing is looked at, and it is recorded like one that
    failed, where the record is ours."""
    try:
        world.owning(ownership.Asked(ownership.Manner.FOLLOWS), world.remember(with_items=False))
    except errors.ControllerError:  # the next pass tells it
        return report.of_error(error)
    return executor.failed(world, error, "")


def plan_once(world: worlds.World, request: worlds.Request) -> plan.Plan:
    """What `reconcile_once` would do, without lock and without writing anything. Raises `ControllerError`, also when
    only the last good checkout can be had: that says nothing of what the source asks for."""
    seen = planning.sight(world, request, world.look())
    if seen.fetched.away is not None:
        raise seen.fetched.away
    return plan.make(planning.decide(world, request, seen))


def _told(ended: report.Report, seen: planning.Sight) -> report.Report:
    return report.of_source(ended, away=seen.fetched.away, notes=seen.fetched.notes)
