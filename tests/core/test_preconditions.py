"""What a saved plan is bound to: every fact that decides a pass is in one of its four digests (design.md section 6).

The tables name every field. A field that is added later fails a test until it is said here whether a plan depends on it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from core import (
    desired,
    diff,
    digest,
    image_inputs,
    image_work,
    items,
    observed,
    plan,
    policy,
    provisioning,
    record,
    stack,
)
from core import situation as situations

AGENT = stack.Service("agent", "esb/agent-docker:v1", "v1", "sha256:a", "1.0")
GATEWAY = stack.Service("gateway", "esb/gateway-docker:v1", "v1", "sha256:g", "1.0")
RUNNING = stack.Stack("p", (AGENT, GATEWAY), source="compose project p on here")

COMPATIBILITY: Mapping[str, Any] = {
    "name": "agent-of-another-name",
    "image": "other/agent-docker:v1",
    "tag": "v2",
    "digest": "sha256:b",
    "version": "1.1",
    "runtime": "firecracker",
}
"""Another value for each field of a service that compatibility depends on (contract.md section 6). None changes the
order of the services: that alone would make a difference."""

PASSING: Mapping[str, Any] = {"state": "restarting", "health": "unhealthy", "exit_code": 1, "one_shot": True}
"""Another value for each field that comes and goes while the stack stays the same."""


def with_agent(**fields: Any) -> stack.Stack:
    """The stack, and another agent in it."""
    return replace(RUNNING, services=(replace(AGENT, **fields), GATEWAY))


def test_every_field_of_a_service_is_said_to_count_or_not() -> None:
    assert {each.name for each in dataclasses.fields(stack.Service)} == COMPATIBILITY.keys() | PASSING.keys()


@pytest.mark.parametrize("name", COMPATIBILITY)
def test_the_stack_is_another_one_when_this_field_is(name: str) -> None:
    """Contract.md section 6: another version, or another container digest under the same tag."""
    assert with_agent(**{name: COMPATIBILITY[name]}).fingerprint != RUNNING.fingerprint


@pytest.mark.parametrize("name", PASSING)
def test_the_stack_is_the_same_while_this_field_comes_and_goes(name: str) -> None:
    """A container that restarts is no reason to refuse a plan."""
    assert with_agent(**{name: PASSING[name]}).fingerprint == RUNNING.fingerprint


def test_the_stack_is_another_one_when_a_service_goes_or_comes() -> None:
    fewer, more = replace(RUNNING, services=(GATEWAY,)), replace(RUNNING, services=(AGENT, AGENT, GATEWAY))
    assert len({RUNNING.fingerprint, fewer.fingerprint, more.fingerprint, stack.NOT_CONFIGURED.fingerprint}) == 4
    assert stack.NOT_CONFIGURED.fingerprint == ""


def test_the_stack_is_the_same_in_whatever_order_and_from_wherever_it_was_seen() -> None:
    assert stack.Stack("p", (GATEWAY, AGENT), source="elsewhere").fingerprint == RUNNING.fingerprint


FUNCTION = items.Item(items.ItemKey(items.Kind.FUNCTION, "f"), "sha256:f1", "f: 1\n", 1)
OTHER = replace(FUNCTION, digest="sha256:f2", text="f: 2\n")
TABLE = items.Item(items.ItemKey(items.Kind.TABLE, "t"), "sha256:t1", "- TableName: t\n", 1)
CHANGE = diff.Change(
    operation=diff.Operation.CHANGE,
    key=FUNCTION.key,
    cause=diff.Cause.CHANGE,
    reason=diff.Reason.CHANGED_IN_SOURCE,
    effect=diff.Effect.RELOAD,
    before=FUNCTION,
    after=OTHER,
    provenance=None,
)
RESULT = tuple(record.AppliedItem(item, "entry") for item in (OTHER, TABLE))
MADE_FROM = image_inputs.ImageInput(
    "f", "entry", "r:5010/f:1", "h:5010/f:1", "sha256:c", "FROM b\n", (image_inputs.Base("b", "sha256:b1"),)
)
WORK = image_work.Work(MADE_FROM, image_work.Need.BUILD, image_work.Why.INPUT_CHANGED)
SHOWN = observed.Observed(
    exists=True,
    documents={
        document: observed.DocumentState(observed.Presence.LINK, f"sha256:{document}", 1) for document in items.Document
    },
)
SITUATION = situations.Situation(
    wanted=desired.Desired("sha256:r", {FUNCTION.key: FUNCTION}, {FUNCTION.key: desired.Provenance("entry", "f", 1)}),
    look=SHOWN,
    seen=observed.ObservedItems({}),
    remembered=record.Record(),
    rules=policy.Policy(),
    running=RUNNING,
    images=(WORK,),
    provisioner=True,
    provisions_where="project p, here",
)


def done(
    situation: situations.Situation = SITUATION,
    *changes: diff.Change,
    result: tuple[record.AppliedItem, ...] = RESULT,
    reason: provisioning.Reason | None = provisioning.Reason.FIRST_RUN,
) -> str:
    """The digest of what a pass would do; by default of one changed function, one image, and a first run."""
    return plan.changes_digest(situation, diff.Diff(changes or (CHANGE,), result), reason)


def built(**fields: Any) -> situations.Situation:
    """The situation, and another image to build in it."""
    return replace(SITUATION, images=(replace(WORK, wanted=replace(MADE_FROM, **fields)),))


NOTHING_TO_BUILD = replace(WORK, need=image_work.Need.NOTHING, why=None, digest="sha256:m")
OTHER_RESOURCES = (record.AppliedItem(replace(TABLE, digest="sha256:t2"), "entry"),)

OTHERWISE: Mapping[str, Callable[[], str]] = {
    "as it is": done,
    "in another layout": lambda: done(replace(SITUATION, rules=policy.Policy(publish=policy.PublishMode.FILES))),
    "added": lambda: done(SITUATION, replace(CHANGE, operation=diff.Operation.ADD)),
    "a table": lambda: done(SITUATION, replace(CHANGE, key=items.ItemKey(items.Kind.TABLE, "f"))),
    "another function": lambda: done(SITUATION, replace(CHANGE, key=items.ItemKey(items.Kind.FUNCTION, "g"))),
    "from something else": lambda: done(SITUATION, replace(CHANGE, before=replace(FUNCTION, digest="sha256:f0"))),
    "from nothing": lambda: done(SITUATION, replace(CHANGE, before=None)),
    "to something else": lambda: done(SITUATION, replace(CHANGE, after=replace(OTHER, digest="sha256:f3"))),
    "to nothing": lambda: done(SITUATION, replace(CHANGE, after=None)),
    "twice": lambda: done(SITUATION, CHANGE, CHANGE),
    "no image": lambda: done(replace(SITUATION, images=())),
    "two images": lambda: done(replace(SITUATION, images=(WORK, replace(WORK, wanted=replace(MADE_FROM, image="g"))))),
    "of another function": lambda: done(built(function="g")),
    "of other code": lambda: done(built(context_digest="sha256:d")),
    "of another Dockerfile": lambda: done(built(dockerfile="FROM b AS c\n")),
    "on a base that moved": lambda: done(built(bases=(image_inputs.Base("b", "sha256:b2"),))),
    "for another platform": lambda: done(built(platform="linux/arm64")),
    "with another argument": lambda: done(built(arguments=(("A", "1"),))),
    "no run": lambda: done(reason=None),
    "a run without resources": lambda: done(result=()),
    "a run on other resources": lambda: done(result=OTHER_RESOURCES),
    "a run in another stack": lambda: done(replace(SITUATION, provisions_where="project q, here")),
    **{
        f"a run because of {reason}": (lambda reason=reason: done(reason=reason))  # type: ignore[misc]  # bound early
        for reason in provisioning.Reason
        if reason is not provisioning.Reason.FIRST_RUN
    },
}
"""What may be done otherwise: each differs from the first, and from every other, in one fact."""


def test_what_would_be_done_is_told_apart_in_every_fact() -> None:
    """Each fact alone makes another digest: a plan that was saved before it moved is not carried out."""
    digests = {name: make() for name, make in OTHERWISE.items()}
    by_digest: dict[str, list[str]] = {}
    for name, found in digests.items():
        by_digest.setdefault(found, []).append(name)
    assert {tuple(names) for names in by_digest.values() if len(names) > 1} == set()


def test_an_image_that_nothing_has_to_be_done_about_is_no_part_of_what_is_done() -> None:
    idle = replace(SITUATION, images=(NOTHING_TO_BUILD,))
    moved = replace(NOTHING_TO_BUILD, wanted=replace(MADE_FROM, context_digest="sha256:d"))
    assert done(idle) == done(replace(SITUATION, images=(moved,))) == done(replace(SITUATION, images=()))
    assert done(idle) != done(replace(SITUATION, images=(WORK,)))


@pytest.mark.parametrize("document", items.Document)
def test_what_config_dir_shows_is_told_apart_by_every_document(document: items.Document) -> None:
    """Other bytes, no bytes, and an empty digest are three things."""
    digests = {
        plan.observed_digest(
            replace(SHOWN, documents={**SHOWN.documents, document: replace(SHOWN.documents[document], digest=found)})
        )
        for found in ("sha256:x", f"sha256:{document}", None)
    }
    assert len(digests) == 3


def test_what_the_source_asks_for_is_told_apart_by_every_item_and_their_order() -> None:
    one, two = (FUNCTION.key, FUNCTION), (TABLE.key, TABLE)
    renamed = items.ItemKey(items.Kind.FUNCTION, "g")
    sets = (
        (one, two),
        (two, one),
        (one,),
        (one, (TABLE.key, replace(TABLE, digest="sha256:t2"))),
        ((renamed, FUNCTION), two),
        ((items.ItemKey(items.Kind.ROUTE, "f"), FUNCTION), two),
    )
    assert len({desired.items_digest(dict(each)) for each in sets}) == len(sets)


def test_a_plan_carries_each_of_the_four_where_it_belongs() -> None:
    decision = plan.make(SITUATION)
    assert decision.preconditions == plan.Preconditions(
        desired_digest=SITUATION.wanted.digest,
        applied_digest=plan.observed_digest(SHOWN),
        changes_digest=plan.changes_digest(SITUATION, decision.comparison, decision.provision),
        stack_fingerprint=RUNNING.fingerprint,
    )
    assert len(set(dataclasses.astuple(decision.preconditions))) == 4
    assert (decision.provision, decision.makes_images) == (None, True), "an image, and no resources"


def test_digests_of_the_preconditions_are_whole_digests() -> None:
    """Abbreviated ones would be the same by accident."""
    told = dataclasses.astuple(plan.make(SITUATION).preconditions)
    assert [each for each in told if len(each) != len(digest.of_parts(()))] == []
