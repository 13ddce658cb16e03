"""What an attempt published and never recorded is ours, and the provisioner's work is bound to its stack."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from controller import errors, reconciler, state
from core import actions, diff, items, outcomes, plan, policy, provisioning, record
from tests.fakes.stories import REQUEST, RULES, changed, converge, converged, with_docker
from tests.fakes.world import Crash, Place, World, function, revision, route, table

REFUSED = errors.ControllerError("ProvisionerFailed", "exited with 1")


def tables(place: Place) -> set[str]:
    """The tables that CONFIG_DIR shows."""
    return {key.name for key in place.disk.shown if key.kind is items.Kind.TABLE}


def ask_for(place: Place, number: int, *names: str) -> None:
    """Another revision: other tables beside the same functions."""
    place.source.now(revision(number), function("a"), function("b"), route("/a", "a"), *map(table, names))


def cut(make: Callable[[], Place], kind: type[actions.Action], where: str) -> Place:
    """The place after a pass that was killed at the first action of a kind."""
    rehearsal = World(make())
    converge(rehearsal)
    performs = [at for at, name in enumerate(rehearsal.calls) if name == "perform"]
    at = performs[[type(action) for action in rehearsal.performed].index(kind)]
    place = make()
    with pytest.raises(Crash):
        converge(World(place, stop=(at, where)))
    return place


def removals(ended_with: plan.Plan | None) -> list[tuple[str, str]]:
    """What a pass removed, and why."""
    assert ended_with is not None
    gone = (change for change in ended_with.comparison.changes if change.operation is diff.Operation.REMOVE)
    return [(change.key.name, str(change.reason)) for change in gone]


def with_another_table() -> Place:
    """Converged; the source asks for one more table."""
    place = converged(with_docker())
    ask_for(place, 2, "t", "u")
    return place


def test_h4_a_table_of_a_pass_that_failed_with_81_is_pruned_once_it_is_renamed() -> None:
    place = with_another_table()
    place.docker.refusing[actions.Provision] = REFUSED
    assert (converge(World(place)).exit_code, tables(place)) == (81, {"t", "u"})
    ask_for(place, 3, "t", "v")
    place.docker.refusing.clear()
    ended = converge(World(place))
    assert removals(ended.decision) == [("u", "RemovedFromSource")]
    assert (tables(place), place.store.load(with_items=False).intended) == ({"t", "v"}, ())
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC


def test_h4_nothing_stays_of_several_attempts_and_what_is_remembered_does_not_grow() -> None:
    place = with_another_table()
    place.docker.refusing[actions.Provision] = REFUSED
    for number, name in enumerate(("u", "v", "w", "x"), 3):
        ask_for(place, number, "t", name)
        assert (converge(World(place)).exit_code, tables(place)) == (81, {"t", name})
        known = place.store.load(with_items=False).intended
        assert len({each.key for each in known if each.key.kind is items.Kind.TABLE}) <= 2
    ask_for(place, 9, "t")
    place.docker.refusing.clear()
    assert not converge(World(place)).failed
    assert tables(place) == {"t"}


@pytest.mark.parametrize("kind", [actions.PublishResources, actions.Provision, actions.Publish])
def test_a2_a_table_of_a_pass_that_was_killed_is_pruned_once_the_source_drops_it(kind: type[actions.Action]) -> None:
    def before() -> Place:
        place = with_another_table()
        place.source.parts = (*place.source.parts, function("c"))
        return place

    place = cut(before, kind, "after")
    assert tables(place) == {"t", "u"}
    ask_for(place, 3, "t")
    ended = converge(World(place))
    assert ("u", "RemovedFromSource") in removals(ended.decision)
    assert (tables(place), function("c").key in place.disk.shown) == ({"t"}, False)
    assert not [note for note in ended.notes if note.startswith("Foreign")]
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC


def test_a2_functions_of_a_first_publish_that_was_killed_are_ours() -> None:
    place = cut(Place, actions.Publish, "after")
    place.source.now(revision(2), function("b"), route("/a", "b"))
    assert not converge(World(place)).failed
    assert {key.name for key in place.disk.shown} == {"b", "/a:GET"}


def test_a_source_that_goes_back_after_a_killed_publish_is_a_change_and_no_drift() -> None:
    """Else a policy that leaves drift alone would leave there what nobody asks for."""
    place = cut(lambda: changed(converged(Place())), actions.Publish, "after")
    place.source.now(revision(1), *Place().source.parts)
    request = replace(REQUEST, rules=replace(RULES, self_heal=False))
    assert reconciler.reconcile_once(World(place), request).reason == outcomes.Outcome.SOURCE_CHANGED
    assert {item.digest for item in place.disk.shown.values()} == {item.digest for item in place.source.parts}


@pytest.mark.parametrize("value", [1, 9], ids=["as wanted", "otherwise"])
def test_a_foreign_item_that_an_attempt_never_took_over_stays_foreign(value: int) -> None:
    def before() -> Place:
        place = converged(Place())
        place.disk.shown[function("f").key] = function("f", value)
        place.source.now(revision(2), *place.source.parts, function("f"), function("g"))
        return place

    place = cut(before, actions.Publish, "before")
    assert place.store.load(with_items=False).intended, "the attempt was noted"
    place.source.now(revision(3), *Place().source.parts)
    ended = converge(World(place))
    assert place.disk.shown[function("f").key] == function("f", value)
    assert [note for note in ended.notes if note.startswith("Foreign: function f ")]


def test_the_record_keeps_what_was_intended_until_a_success(tmp_path: Path) -> None:
    now = datetime.datetime(2026, 2, 20, tzinfo=datetime.UTC)
    intended = (record.Intended(table("u").key, "entry", "sha256:u"), record.Intended(route("/", "a").key, "e", "d"))
    with_it = state.State(tmp_path, now=lambda: now)
    with_it.record_attempt("sha256:2", intended)
    with_it.close()
    assert state.State(tmp_path, now=lambda: now).load(with_items=False).intended == intended


def test_another_stack_is_provisioned_although_nothing_else_moved() -> None:
    """Contract section 8: what one stack has, a new and empty one lacks."""
    place = converged(with_docker())
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC
    place.docker.where = "project q, here"
    world = World(place)
    ended = converge(world)
    assert (ended.reason, ended.decision and ended.decision.provision) == (
        outcomes.Outcome.PROVISION_DUE,
        provisioning.Reason.RESOURCES_CHANGED,
    )
    assert [type(action).__name__ for action in world.performed] == ["Provision", "Confirm"]
    assert len(set(place.docker.runs)) == 2, "the label of a run tells the stacks apart as well"
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC


def test_a_stack_without_resources_is_not_provisioned_wherever_it_is() -> None:
    place = Place()
    place.docker.provisioner = True
    converged(place)
    place.docker.where = "project q, here"
    assert not converge(World(place)).failed
    assert place.docker.runs == []


def planned(place: Place, rules: policy.Policy = RULES) -> plan.Plan:
    """What a pass would do."""
    return reconciler.plan_once(World(place), replace(REQUEST, rules=rules))


def test_a_saved_plan_covers_the_run_of_the_provisioner() -> None:
    """Its reason, its resources and its stack; CONFIG_DIR would stay as it is in every case."""
    place = converged(with_docker())
    nothing = planned(place)
    always = planned(place, replace(RULES, provision=policy.Provision.ALWAYS))
    place.docker.where = "project q, here"
    elsewhere = planned(place)
    place.docker.where = "project r, here"
    digests = {each.preconditions.changes_digest for each in (nothing, always, elsewhere, planned(place))}
    assert len(digests) == 4
    saved = replace(REQUEST, saved=nothing.preconditions)
    refused = reconciler.reconcile_once(World(place), saved)
    assert (refused.reason, len(place.docker.runs)) == ("PlanMoved", 1)
