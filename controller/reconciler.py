"""One pass: look at the world, decide, act, record. Reads top to bottom like the flow of design.md section 1.

A pass looks at the world and never at what woke it. `core.plan` decides; `world` is the only way to touch anything.
"""

from controller import errors, executor, failpoints, planning, report
from controller import world as worlds
from core import plan


def reconcile_once(world: worlds.World, request: worlds.Request) -> report.Report:
    """Converge once. Every expected failure is a report; CONFIG_DIR shows one complete generation either way."""
    revision = ""
    try:
        with world.exclusive():
            failpoints.reach(failpoints.Step.LOCKED)
            remembered = world.remember(with_items=False)
            failpoints.reach(failpoints.Step.REMEMBERED)
            look = world.look()
            failpoints.reach(failpoints.Step.OBSERVED)
            fetched = world.fetch()
            revision = fetched.revision
            failpoints.reach(failpoints.Step.FETCHED)
            inputs = planning.pass_digest(fetched, request)
            if request.saved is None and plan.unchanged(look, remembered, inputs, mode=request.rules.publish):
                return report.in_sync(remembered, look)
            situation = planning.decide(world, request, fetched, look)
            decision = plan.make(situation)
            planning.refuse_moved_plan(request, decision)
            failpoints.reach(failpoints.Step.PLANNED)
            return executor.carry_out(world, decision, situation)
    except errors.ControllerError as error:
        return executor.failed(world, error, revision)


def plan_once(world: worlds.World, request: worlds.Request) -> plan.Plan:
    """What `reconcile_once` would do, without lock and without writing anything. Raises `ControllerError`."""
    look = world.look()
    return plan.make(planning.decide(world, request, world.fetch(), look))
