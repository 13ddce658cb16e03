"""From the world to a plan: gathers what `core.plan` decides from. Shared by `reconcile`, `diff` and `rollback`; writes
nothing."""

from dataclasses import dataclass, replace

from controller import errors, failpoints
from controller import world as worlds
from core import desired, digest, guards, image_work, observed, ownership, plan, policy, record, stack
from core import situation as situations
from manifests import pinning


@dataclass(frozen=True, slots=True)
class Sight:
    """What a pass saw before it read anything."""

    fetched: worlds.Fetched
    look: observed.Observed
    running: stack.Stack
    provisions_where: str


def sight(world: worlds.World, request: worlds.Request, look: observed.Observed) -> Sight:
    """Resolve the source and probe the stack."""
    fetched = world.fetch()
    failpoints.reach(failpoints.Step.FETCHED)
    try:
        running = world.probe(fetched, images=not request.allowed.skip_images)
    except errors.ControllerError:
        _tell_a_stop(world, request, fetched)
        raise
    failpoints.reach(failpoints.Step.PROBED)
    return Sight(fetched, look, running, world.provisions_where())


def _tell_a_stop(world: worlds.World, request: worlds.Request, fetched: worlds.Fetched) -> None:
    """A pass that somebody has stopped needs nothing of the stack: it says so, whatever the engine does."""
    remembered = world.remember(with_items=False)
    owning = world.owning(request.asked(fetched.project), remembered)
    if owning.refusal:
        raise errors.ControllerError("OwnedByOther", owning.refusal) from None
    for stop in guards.stops(remembered, fetched.revision):
        raise errors.ControllerError(stop.reason, stop.message) from None


def sight_of(world: worlds.World, request: worlds.Request, look: observed.Observed, target: record.AppliedSet) -> Sight:
    """The same for a set that was applied earlier: its manifest is remembered, the stack is probed now (contract.md
    section 6: compatible, or nothing is written)."""
    fetched = worlds.Fetched(target.revision, "", target.requirement, project=target.project)
    running = world.probe(fetched, images=not request.allowed.skip_images)
    failpoints.reach(failpoints.Step.PROBED)
    return Sight(fetched, look, running, world.provisions_where())


def in_sync(world: worlds.World, request: worlds.Request, seen: Sight, remembered: record.Record) -> bool:
    """Whether the pass can stop here: nothing that the last converged pass depended on has moved."""
    always = world.provisions() and request.rules.provision is policy.Provision.ALWAYS
    return (
        request.saved is None
        and not request.allowed.rebuild
        and not always
        and world.owning(request.asked(seen.fetched.project), remembered) == ownership.OURS
        and plan.unchanged(seen.look, remembered, pass_digest(seen, request, remembered), mode=request.rules.publish)
        and (request.allowed.skip_images or world.images_unmoved(remembered))
    )


def pass_digest(seen: Sight, request: worlds.Request, remembered: record.Record) -> str:
    """Covers everything that a converged pass depended on besides CONFIG_DIR, the images and the record. What a pass
    with images found in order is in order for one without them too, but not the other way round."""
    if request.allowed.skip_images and remembered.pass_digest == (whole := _pass_digest(seen, request, skips=False)):
        return whole
    return _pass_digest(seen, request, skips=request.allowed.skip_images)


def _pass_digest(seen: Sight, request: worlds.Request, *, skips: bool) -> str:
    return digest.of_parts(
        (
            seen.fetched.revision,
            seen.fetched.rules_digest,
            repr(request.rules),
            repr(skips),
            seen.running.fingerprint,
            seen.provisions_where,
            *seen.fetched.missing_secrets,
        )
    )


def decide(
    world: worlds.World, request: worlds.Request, seen: Sight, *, made: tuple[image_work.Work, ...] = ()
) -> situations.Situation:
    """Read everything: the entries' documents, CONFIG_DIR's items, the applied set, the images. `made` are those that
    this pass has made already: they are looked at again, and none of them may be missing now."""
    wanted = world.read()
    failpoints.reach(failpoints.Step.PARSED)
    remembered = world.remember(with_items=True)
    if request.allowed.skip_images:
        look, shown = seen.look, world.seen(seen.look, remembered)
        built = world.kept_images(wanted, shown, remembered)
        failpoints.reach(failpoints.Step.IMAGES_SEEN)
    else:
        built = world.images(wanted, remembered, rebuild=request.allowed.rebuild and not made)
        failpoints.reach(failpoints.Step.IMAGES_SEEN)
        if made:
            _require_made(built, made)
        look = world.look() if made else seen.look
        shown = world.seen(look, remembered)
    return situations.Situation(
        wanted=pinning.pin(wanted, built.pins) if built.pins else wanted,
        look=look,
        seen=shown,
        remembered=remembered,
        rules=request.rules,
        allowed=request.allowed,
        requirement=seen.fetched.requirement,
        missing_secrets=seen.fetched.missing_secrets,
        pass_digest=pass_digest(seen, request, remembered),
        running=seen.running,
        images=built.works,
        made=made,
        obstacles=built.obstacles,
        skipped=built.skipped,
        provisioner=world.provisions(),
        provisions_where=seen.provisions_where,
        owning=world.owning(request.asked(seen.fetched.project), remembered),
        now_s=world.now().timestamp(),
    )


def _require_made(built: worlds.Images, made: tuple[image_work.Work, ...]) -> None:
    """What is published names only digests that the registry holds at that time (faults.md H10). Of what this pass has
    made, no answer is not enough: what was there before may be another image."""
    own = {work.wanted.target for work in made}
    unsure = [
        work.wanted
        for work in built.works
        if work.need is not image_work.Need.NOTHING or (not work.known and work.wanted.target in own)
    ]
    if unsure:
        names = ", ".join(f"{one.target} (function {one.function})" for one in unsure)
        raise errors.ControllerError("ImagePushFailed", f"pushed, but the registry does not show it: {names}")


def decide_rollback(
    world: worlds.RollbackWorld,
    request: worlds.Request,
    *,
    probed: Sight,
    target: record.AppliedSet,
    made: tuple[image_work.Work, ...] = (),
) -> situations.Situation:
    """The same for a set that was applied earlier: needs no source. What a person asks for by name is not stopped by
    holds, suspension or the shrink guard. Raises ``ControllerError("ImageLost")`` when an image of the set is nowhere
    any more."""
    remembered = world.remember(with_items=True)
    wanted = _as_wanted(target)
    built = world.pinned_images(wanted, remembered)
    failpoints.reach(failpoints.Step.IMAGES_SEEN)
    if made:
        _require_made(built, made)
    look = world.look() if made else probed.look
    return situations.Situation(
        wanted=wanted,
        look=look,
        seen=world.seen(look, remembered),
        remembered=replace(remembered, holds=(), suspension=None),
        rules=request.rules,
        allowed=replace(request.allowed, shrink=target.revision),
        requirement=probed.fetched.requirement,
        rollback=True,
        running=probed.running,
        images=built.works,
        made=made,
        provisioner=world.provisions(),
        provisions_where=probed.provisions_where,
        owning=world.owning(ownership.Asked(ownership.Manner.STEERS), remembered),
    )


def _as_wanted(target: record.AppliedSet) -> desired.Desired:
    """What an earlier set asked for; what was foreign in it is left out."""
    owned = [part for part in target.items if part.entry is not None]
    return desired.Desired(
        revision=target.revision,
        items={part.item.key: part.item for part in owned},
        provenance={
            part.item.key: desired.Provenance(part.entry or "", part.file, part.item.line)
            if part.file
            else desired.Provenance(part.entry or "", f"revision {digest.short(target.revision)}", 0)
            for part in owned
        },
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
