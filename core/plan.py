"""The plan: desired x observed x record x policy -> ordered actions, or blockers, with a reason either way.

The heart of the controller, and pure. `diff` prints what this returns and stops; `reconcile` performs it. One blocker
means that nothing at all is written. Knows no exit codes: `controller.errors` maps reasons to them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from core import (
    actions,
    assembly,
    conditions,
    convergence,
    diff,
    digest,
    guards,
    image_work,
    intentions,
    items,
    notices,
    observed,
    outcomes,
    policy,
    provisioning,
    record,
    remarks,
    unconverged,
)
from core import situation as situations

_NO_ATTEMPT = record.Attempt("")
"""Of a plan that is not made yet."""


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What has to be the same for a saved plan to be applied later (design.md section 6).

    `applied_digest` covers what CONFIG_DIR showed, `changes_digest` what would be done to it (which also depends on
    policy and record); `stack_fingerprint` is empty when nothing is observable.
    """

    desired_digest: str
    applied_digest: str
    changes_digest: str
    stack_fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass will do, and why. `actions` is empty when there is a blocker or nothing to do.

    `images` are those that have to be made, or that this pass has made. While some have to be, `actions` ends with
    pushing them: what is published holds their digests, so the rest is planned when these are known. `provision` says
    why the provisioner runs, None when it does not. `repairs` is what to remember of healing,
    None when nothing is healed. `attempt` is what the record has to hold before the first action.
    """

    revision: str
    outcome: outcomes.Outcome
    comparison: diff.Diff
    preconditions: Preconditions
    actions: tuple[actions.Action, ...]
    blockers: tuple[notices.Blocker, ...]
    notices: tuple[notices.Notice, ...]
    images: tuple[image_work.Work, ...] = ()
    provision: provisioning.Reason | None = None
    repairs: record.Repairs | None = None
    attempt: record.Attempt = _NO_ATTEMPT

    @property
    def publishes(self) -> bool:
        """Whether consumers of CONFIG_DIR will see anything of this plan."""
        return any(isinstance(action, actions.Publish | actions.PublishResources) for action in self.actions)

    @property
    def makes_images(self) -> bool:
        """Whether images have to be made before the rest can be planned."""
        return any(isinstance(action, actions.Push) for action in self.actions)

    @property
    def changes_something(self) -> bool:
        """Whether anything beyond the record becomes different: documents, images, or what the provisioner makes."""
        return self.publishes or any(isinstance(each, actions.Push | actions.Provision) for each in self.actions)


def make(situation: situations.Situation) -> Plan:
    """Decide. Never raises: whatever stands in the way is a blocker."""
    applied = situation.remembered.applied
    by_key = {part.item.key: part for part in applied.items} if applied else {}
    published = intentions.published(situation.remembered.intended, situation.seen)
    comparison = diff.compare(
        situation.wanted, situation.seen, by_key, prune=situation.rules.prune, published=published
    )
    comparison = _with_rebuilds(comparison, situation)
    blockers = tuple(guards.blockers(situation, comparison))
    provision = _provision(situation, comparison)
    outcome = outcomes.of(situation, comparison, provision=provision is not None)
    told = tuple(remarks.of(situation, comparison))
    if provision is not None and _is_left_alone(outcome, situation, comparison):
        provision, told = None, (*told, remarks.left_unprovisioned())
    repairs, stalled = convergence.repair(situation, comparison, outcome)
    blockers += (stalled,) if stalled else ()
    outcome = outcomes.Outcome.BLOCKED if blockers else outcome
    decision = Plan(
        revision=situation.wanted.revision,
        outcome=outcome,
        comparison=comparison,
        preconditions=Preconditions(
            desired_digest=situation.wanted.digest,
            applied_digest=observed_digest(situation.look),
            changes_digest=changes_digest(situation, comparison, provision),
            stack_fingerprint=situation.running.fingerprint,
        ),
        actions=tuple(_actions(outcome, situation, comparison, provision)),
        blockers=blockers,
        notices=told,
        images=(*outcomes.needed(situation.images), *situation.made),
        provision=provision,
        repairs=repairs,
    )
    return replace(decision, attempt=_attempt(decision, situation))


def _attempt(decision: Plan, situation: situations.Situation) -> record.Attempt:
    """What the record has to know before the first action; while images are made, nothing is claimed anew."""
    remembered, comparison = situation.remembered, decision.comparison
    intended, left = remembered.intended, remembered.unconverged
    if decision.publishes:
        intended = intentions.after_publishing(comparison, situation.seen, remembered)
    if not decision.makes_images:
        left = unconverged.after_publishing(comparison, decision.revision, left)
    return record.Attempt(decision.revision, intended, left)


def observed_digest(look: observed.Observed) -> str:
    """One digest for what a consumer of CONFIG_DIR would read now."""
    return digest.of_parts(f"{document}={look.digests.get(document) or 'nothing'}" for document in items.Document)


def changes_digest(
    situation: situations.Situation, comparison: diff.Diff, provision: provisioning.Reason | None
) -> str:
    """One digest for what a pass would do: to CONFIG_DIR, in which layout, to images, and with the provisioner."""
    changes = (
        part
        for change in comparison.changes
        for part in (
            change.operation,
            change.key.kind,
            change.key.name,
            change.before.digest if change.before else "",
            change.after.digest if change.after else "",
        )
    )
    images = (part for work in outcomes.needed(situation.images) for part in (work.wanted.function, work.wanted.digest))
    run = (
        () if provision is None else ("provision", provision, resources_digest(comparison, situation.provisions_where))
    )
    return digest.of_parts((situation.rules.publish, *changes, *images, *run))


def _with_rebuilds(comparison: diff.Diff, situation: situations.Situation) -> diff.Diff:
    """Say of each changed function whether its image is made anew: those without a verdict would be, if this pass
    makes images at all."""
    if situation.allowed.skip_images:
        return comparison
    judged = {work.wanted.function for work in situation.images}
    made = {work.wanted.function for work in (*outcomes.needed(situation.images), *situation.made)}
    made |= {function for _, function in situation.wanted.builds} - judged
    keys = {items.ItemKey(items.Kind.FUNCTION, function) for function in made}
    return replace(
        comparison,
        changes=tuple(
            replace(change, effect=diff.Effect.REBUILD) if change.key in keys and change.after else change
            for change in comparison.changes
        ),
    )


def resources_digest(comparison: diff.Diff, where: str) -> str:
    """The digest of the resources that a publish would hold, and of the stack that they are made true in; "" without
    any. `where` names the stack: what one stack has, another one lacks (contract.md section 8)."""
    resources = [part.item for part in comparison.result if part.item.key.kind.document is items.Document.RESOURCES]
    if not resources:
        return ""
    return digest.of_parts((where, *(f"{item.key.kind} {item.key.name} {item.digest}" for item in resources)))


def _provision(situation: situations.Situation, comparison: diff.Diff) -> provisioning.Reason | None:
    wanted = resources_digest(comparison, situation.provisions_where)
    return provisioning.needed(
        provision=situation.rules.provision,
        configured=situation.provisioner,
        wanted_digest=wanted,
        provisioned_digest=situation.remembered.provisioned_digest,
        empty=not wanted,
    )


def _is_left_alone(outcome: outcomes.Outcome, situation: situations.Situation, comparison: diff.Diff) -> bool:
    """Whether a provisioner that is run now would make drift true that nobody heals. Other drift is none of its
    business: contract.md section 8 has it read the resources alone."""
    if outcome is not outcomes.Outcome.DRIFT_LEFT_ALONE:
        return False
    moved = any(change.key.kind.document is items.Document.RESOURCES for change in comparison.changes)
    return moved or situation.look.digests.get(items.Document.RESOURCES) is None


_NOTHING_TO_ACT_ON = frozenset({outcomes.Outcome.IN_SYNC, outcomes.Outcome.BLOCKED})
_ONLY_THE_RECORD = frozenset({outcomes.Outcome.RECORD_ONLY, outcomes.Outcome.LEFTOVERS, outcomes.Outcome.PROVISION_DUE})


def _actions(
    outcome: outcomes.Outcome,
    situation: situations.Situation,
    comparison: diff.Diff,
    provision: provisioning.Reason | None,
) -> Iterator[actions.Action]:
    """The order of design.md section 4: nothing is built or pushed after the first publish."""
    if outcome in _NOTHING_TO_ACT_ON:
        return
    if outcome is outcomes.Outcome.DRIFT_LEFT_ALONE:
        yield from _provisioner(situation, comparison, provision)
        return
    works = outcomes.needed(situation.images)
    if works:
        builds = tuple(work for work in works if work.need is image_work.Need.BUILD)
        if builds:
            yield actions.Build(builds)
        yield actions.Push(works)
        return
    publishes = outcome not in _ONLY_THE_RECORD and _documents_differ(situation, comparison)
    if situation.look.leftovers and not publishes:
        yield actions.Sweep(situation.look.leftovers)
    if outcome is outcomes.Outcome.LEFTOVERS:
        return
    documents = assembly.assemble(part.item for part in comparison.result) if publishes else {}
    only_resources = False
    if provision is not None:
        if publishes and not _shows(situation, documents, items.Document.RESOURCES):
            yield actions.PublishResources(documents[items.Document.RESOURCES], situation.rules.publish)
            only_resources = all(
                _shows(situation, documents, document)
                for document in (items.Document.FUNCTIONS, items.Document.ROUTING)
            )
        yield from _provisioner(situation, comparison, provision)
    if publishes and not only_resources:
        yield actions.Publish(documents, comparison.result, situation.rules.publish)
    else:
        yield actions.Confirm(comparison.result)


def _provisioner(
    situation: situations.Situation, comparison: diff.Diff, provision: provisioning.Reason | None
) -> Iterator[actions.Action]:
    if provision is not None:
        yield actions.Provision(resources_digest(comparison, situation.provisions_where), provision)


def _documents_differ(situation: situations.Situation, comparison: diff.Diff) -> bool:
    """Whether there is something to publish: images that were made again may leave the documents as they are."""
    look = situation.look
    return bool(
        comparison.changes
        or not outcomes.layout_is_ours(look, situation.rules.publish)
        or (look.generation or 0) == situation.remembered.doubtful_generation
    )


def _shows(
    situation: situations.Situation, documents: Mapping[items.Document, bytes], document: items.Document
) -> bool:
    return situation.look.digests.get(document) == digest.of_bytes(documents[document])


def unchanged(
    look: observed.Observed, remembered: record.Record, pass_digest: str, *, mode: policy.PublishMode
) -> bool:
    """Whether a pass can stop before reading a single document: same inputs as the last converged pass, CONFIG_DIR
    showing what that pass left, and nothing pending. True implies that `make` would find `InSync`.

    `pass_digest` covers the source's revision and every rule that the plan depends on.
    """
    applied = remembered.applied
    return (
        applied is not None
        and remembered.pass_digest == pass_digest != ""
        and applied.generation == (look.generation or 0)
        and _same_documents(applied.document_digests, look)
        and outcomes.layout_is_ours(look, mode)
        and not look.leftovers
        and remembered.suspension is None
        and not remembered.holds
        and not remembered.rebuilt
        and conditions.is_ready(remembered.conditions)
        and (look.generation or 0) != remembered.doubtful_generation
    )


def _same_documents(recorded: Mapping[items.Document, str], look: observed.Observed) -> bool:
    return all(recorded.get(document) == look.digests.get(document) is not None for document in items.Document)
