"""A saved plan and a world that moved since: refused with 77, and nothing was done (design.md section 6).

With images, a stack and a provisioner; `test_reconciler` has the moves of source and CONFIG_DIR.
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controller import errors, planning, reconciler, report, saved_plan
from core import outcomes, plan, policy, provisioning, stack
from tests.fakes.stories import (
    REQUEST,
    RULES,
    after_changed_code,
    after_changed_resources,
    converge,
    converged,
    with_docker,
)
from tests.fakes.world import Place, World, revision, table

AGENT = stack.Service("agent", "esb/agent-docker:v1", "v1", "sha256:a", "1.0")
GATEWAY = stack.Service("gateway", "esb/gateway-docker:v1", "v1", "sha256:g", "1.0")
RUNNING = stack.Stack("p", (AGENT, GATEWAY), source="compose project p on here")
ALWAYS = replace(RULES, provision=policy.Provision.ALWAYS)
STACK, DONE = "the running stack", "what would be done (by policy or record)"


def beside_a_stack(place: Place) -> Place:
    """The same place; its stack shows two services."""
    place.docker.running = RUNNING
    return place


def save(place: Place, rules: policy.Policy = RULES) -> plan.Preconditions:
    """What `diff --out` keeps."""
    return reconciler.plan_once(World(place), replace(REQUEST, rules=rules)).preconditions


def agent(place: Place, **fields: str) -> None:
    """Another agent runs."""
    place.docker.running = replace(RUNNING, services=(replace(AGENT, **fields), GATEWAY))  # type: ignore[arg-type]  # the moves name fields of Service


def another_state(place: Place) -> None:
    """A service restarts: the same stack."""
    agent(place, state="restarting", health="starting")


def base_moved(place: Place) -> None:
    """What the image is made from is something else, and not one item of the source is."""
    place.source.code["a"] = 77


def run_failed(place: Place) -> None:
    """The provisioner's last run failed: there is another reason to run it, on the same resources."""
    place.store.record_provision(provisioning.FAILED)


def image_gone(place: Place) -> None:
    """The registry lost the image, and nothing else moved."""
    place.docker.tags.clear()


@dataclass(frozen=True)
class Move:
    """Where a plan was saved, what moved since, and what the refusal says of it."""

    told: str
    words: str
    move: Callable[[Place], object]
    before: Callable[[], Place] = after_changed_code
    rules: policy.Policy = RULES


MOVES = (
    Move("an agent of another version", STACK, lambda place: agent(place, version="1.1")),
    Move("an agent of another tag", STACK, lambda place: agent(place, tag="v2", image="esb/agent-docker:v2")),
    Move("an agent of another digest under its tag", STACK, lambda place: agent(place, digest="sha256:moved")),
    Move("an agent in another mode", STACK, lambda place: agent(place, runtime="firecracker")),
    Move("no stack any more", STACK, lambda place: setattr(place.docker, "running", stack.NOT_CONFIGURED)),
    Move("a stack where there was none", STACK, beside_a_stack, lambda: without_stack(after_changed_code())),
    Move("a base of a changed function", DONE, base_moved),
    Move("a base, and nothing was to be done", DONE, base_moved, lambda: converged(with_docker())),
    Move("an image that was there", DONE, image_gone, lambda: converged(with_docker())),
    Move("the provisioner's last run", DONE, run_failed, after_changed_resources),
    Move("the provisioner's last run, and nothing was to be done", DONE, run_failed, lambda: converged(with_docker())),
    Move("the stack that is provisioned", DONE, lambda place: setattr(place.docker, "where", "project q, here")),
    Move("the layout", DONE, lambda place: None, rules=replace(RULES, publish=policy.PublishMode.FILES)),
    Move("the provisioner's policy", DONE, lambda place: None, after_changed_resources, ALWAYS),
    Move("the policy, and nothing was to be done", DONE, lambda place: None, lambda: converged(with_docker()), ALWAYS),
)


def without_stack(place: Place) -> Place:
    """The same place; nothing of a stack can be seen."""
    place.docker.running = stack.NOT_CONFIGURED
    return place


def carried_out(place: Place, saved: plan.Preconditions, rules: policy.Policy = RULES) -> tuple[World, report.Report]:
    """`reconcile --once --plan` of it."""
    world = World(place)
    return world, reconciler.reconcile_once(world, replace(REQUEST, rules=rules, saved=saved))


@pytest.mark.parametrize("case", MOVES, ids=lambda case: case.told)
def test_77_a_plan_is_refused_when_this_moved(case: Move) -> None:
    """Neither the engine nor CONFIG_DIR nor the record hears of it."""
    place = case.before()
    if case.move is not beside_a_stack:
        beside_a_stack(place)
    saved = save(place)
    case.move(place)
    facts, writes, docker = place.facts(), place.store.writes, repr(place.docker)
    world, ended = carried_out(place, saved, case.rules)
    assert (ended.reason, ended.exit_code, ended.changed) == ("PlanMoved", 77, False)
    assert ended.message == f"changed since the plan was saved: {case.words}"
    assert world.performed == []
    assert not {"begin", "perform", "succeed", "fail"} & set(world.calls)
    assert (place.facts(), place.store.writes, repr(place.docker)) == (facts, writes, docker)


@pytest.mark.parametrize(
    "before", [after_changed_code, after_changed_resources, with_docker], ids=lambda each: each.__name__
)
@pytest.mark.parametrize("rules", [RULES, ALWAYS], ids=["on-change", "always"])
def test_a_plan_with_images_and_a_provisioner_is_carried_out_when_nothing_moved(
    before: Callable[[], Place], rules: policy.Policy
) -> None:
    """Also while a service restarts. Making the images moves what the plan was made of, and that is no reason to stop
    half way."""
    place = beside_a_stack(before())
    saved = save(place, rules)
    another_state(place)
    world, ended = carried_out(place, saved, rules)
    assert (ended.exit_code, ended.changed) == (0, True), ended.message
    assert [type(action).__name__ for action in world.performed][:2] == ["Build", "Push"]
    assert converge(World(place)).exit_code == 0


def test_77_every_reason_to_run_the_provisioner_is_another_plan() -> None:
    """On the same resources in the same stack; each is refused where another was saved."""
    place = beside_a_stack(converged(with_docker()))
    plans = {"none": save(place), "always": save(place, ALWAYS)}
    for value, name in ((provisioning.FAILED, "failed"), ("", "first"), ("sha256:other", "changed")):
        place.store.record_provision(value)
        plans[name] = save(place)
    assert len({each.changes_digest for each in plans.values()}) == len(plans)
    rest = {replace(each, changes_digest="") for each in plans.values()}
    assert len(rest) == 1, "nothing but what would be done is different"
    runs = len(place.docker.runs)
    for name, saved in plans.items():
        if name != "changed":
            assert carried_out(place, saved)[1].reason == "PlanMoved", name
    assert len(place.docker.runs) == runs
    assert carried_out(place, plans["changed"])[1].exit_code == 0
    assert len(place.docker.runs) == runs + 1


def test_77_a_stack_that_moved_is_told_although_nothing_would_be_done() -> None:
    """The fast path of a pass that is in sync is not taken with a plan."""
    place = beside_a_stack(converged(with_docker()))
    saved = save(place)
    agent(place, digest="sha256:moved")
    converged(place)
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC
    assert carried_out(place, saved)[1].reason == "PlanMoved"


def test_77_everything_that_moved_is_told_at_once() -> None:
    place = beside_a_stack(after_changed_code())
    saved = save(place)
    agent(place, version="2.0")
    place.source.now(revision(9), *place.source.parts, table("u"))
    place.disk.shown.pop(place.source.parts[0].key)
    ended = carried_out(place, saved)[1]
    assert ended.message.removeprefix("changed since the plan was saved: ").split(", ") == [
        "what the source asks for",
        "what CONFIG_DIR shows",
        DONE,
        STACK,
    ]


SAVED = plan.Preconditions("sha256:d", "sha256:a", "sha256:c", "sha256:s")
WORDS = {
    "desired_digest": "what the source asks for",
    "applied_digest": "what CONFIG_DIR shows",
    "changes_digest": DONE,
    "stack_fingerprint": STACK,
}


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(plan.Preconditions)])
@pytest.mark.parametrize("value", ["", "sha256:other"])
def test_77_each_precondition_alone_refuses_and_is_named(name: str, value: str) -> None:
    """A field that is added later has to be compared and told too."""
    decision = reconciler.plan_once(World(beside_a_stack(with_docker())), REQUEST)
    saved = replace(decision.preconditions, **{name: value})
    with pytest.raises(errors.ControllerError, match="changed since the plan was saved") as refused:
        planning.refuse_moved_plan(replace(REQUEST, saved=saved), decision)
    assert refused.value.message == f"changed since the plan was saved: {WORDS[name]}"
    planning.refuse_moved_plan(replace(REQUEST, saved=decision.preconditions), decision)
    planning.refuse_moved_plan(replace(REQUEST, saved=None), decision)


def test_a_plan_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    """Each of its digests in its own place; the file itself has no more of them than these."""
    decision = replace(reconciler.plan_once(World(with_docker()), REQUEST), preconditions=SAVED)
    file = tmp_path / "plan.json"
    saved_plan.save(decision, file)
    assert saved_plan.load(file) == SAVED
    assert json.loads(file.read_text(encoding="utf-8"))["preconditions"] == dataclasses.asdict(SAVED)


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(plan.Preconditions)])
def test_65_a_plan_without_one_of_them_is_none(tmp_path: Path, name: str) -> None:
    """An absent precondition is never taken for an empty one, which a stack that cannot be seen has."""
    decision = reconciler.plan_once(World(with_docker()), REQUEST)
    file = tmp_path / "plan.json"
    saved_plan.save(decision, file)
    document = json.loads(file.read_text(encoding="utf-8"))
    del document["preconditions"][name]
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(errors.ControllerError) as refused:
        saved_plan.load(file)
    assert refused.value.reason == "PlanUnreadable"
