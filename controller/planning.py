"""From the world to a plan: gathers what `core.plan` decides from. Shared by `reconcile`, `diff` and `rollback`; writes
nothing."""

from dataclasses import replace

from controller import errors, failpoints
from controller import world as worlds
from core import desired, digest, observed, plan, record
from core import situation as situations


def pass_digest(fetched: worlds.Fetched, request: worlds.Request) -> str:
    """Covers everything that a converged pass depended on besides CONFIG_DIR and the record."""
    return digest.of_parts(
        (
            fetched.revision,
            fetched.rules_digest,
            repr(request.rules),
            repr(request.allowed.skip_images),
            *fetched.missing_secrets,
        )
    )


def decide(
    world: worlds.World, request: worlds.Request, fetched: worlds.Fetched, look: observed.Observed
) -> situations.Situation:
    """Read everything: the entries' documents, CONFIG_DIR's items, the applied set."""
    wanted = world.read()
    failpoints.reach(failpoints.Step.PARSED)
    remembered = world.remember(with_items=True)
    return situations.Situation(
        wanted=wanted,
        look=look,
        seen=world.seen(look, remembered),
        remembered=remembered,
        rules=request.rules,
        allowed=request.allowed,
        requirement=fetched.requirement,
        missing_secrets=fetched.missing_secrets,
        pass_digest=pass_digest(fetched, request),
    )


def decide_rollback(
    world: worlds.World, request: worlds.Request, look: observed.Observed, target: record.AppliedSet
) -> situations.Situation:
    """The same for a set that was applied earlier: needs no source. What a person asks for by name is not stopped by
    holds, suspension or the shrink guard."""
    remembered = world.remember(with_items=True)
    owned = [part for part in target.items if part.entry is not None]
    wanted = desired.Desired(
        revision=target.revision,
        items={part.item.key: part.item for part in owned},
        provenance={
            part.item.key: desired.Provenance(part.entry or "", f"revision {digest.short(target.revision)}", 0)
            for part in owned
        },
    )
    return situations.Situation(
        wanted=wanted,
        look=look,
        seen=world.seen(look, remembered),
        remembered=replace(remembered, holds=(), suspension=None),
        rules=request.rules,
        allowed=replace(request.allowed, shrink=target.revision),
        rollback=True,
    )


def refuse_moved_plan(request: worlds.Request, decision: plan.Plan) -> None:
    """A saved plan is applied only to the world that it was made for (design.md section 6)."""
    if request.saved is None or request.saved == decision.preconditions:
        return
    moved = [
        words
        for words, then, now in (
            ("what the source asks for", request.saved.desired_digest, decision.preconditions.desired_digest),
            ("what CONFIG_DIR shows", request.saved.applied_digest, decision.preconditions.applied_digest),
            (
                "what would be done (by policy or record)",
                request.saved.changes_digest,
                decision.preconditions.changes_digest,
            ),
            ("the running stack", request.saved.stack_fingerprint, decision.preconditions.stack_fingerprint),
        )
        if then != now
    ]
    raise errors.ControllerError("PlanMoved", f"changed since the plan was saved: {', '.join(moved)}")
