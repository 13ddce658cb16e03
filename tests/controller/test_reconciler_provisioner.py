"""A pass whose provisioner is due: what is asked before anything is begun, and what is left to a person; and a pass
that a person has stopped, while the engine is away."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller import errors, reconciler, report
from core import actions, outcomes, policy, record
from tests.fakes.stories import (
    REQUEST,
    RULES,
    after_a_lost_image,
    after_changed_code,
    after_changed_resources,
    after_two_revisions,
    converge,
    converged,
    go_back,
    with_docker,
)
from tests.fakes.world import Place, World, function, revision, route, table

ALWAYS = replace(REQUEST, rules=replace(RULES, provision=policy.Provision.ALWAYS, self_heal=False))
NOT_THERE = errors.ControllerError("StackNotRunning", "nothing runs")
AWAY = errors.ControllerError("DockerUnavailable", "no engine answers")


def kinds(world: World) -> list[str]:
    """What a pass did, in order."""
    return [type(action).__name__ for action in world.performed]


def back_to_other_resources() -> Place:
    """Two revisions of resources, provisioned; the older one is gone back to."""
    place = converged(with_docker())
    place.source.now(revision(2), *place.source.parts, table("u"))
    return converged(place)


REFUSED: dict[str, tuple[Callable[[], Place], Callable[[World], report.Report]]] = {
    "first": (with_docker, converge),
    "images first": (after_changed_resources, converge),
    "rollback": (back_to_other_resources, go_back),
}


@pytest.mark.parametrize("name", REFUSED)
def test_h5_a_provisioner_that_cannot_start_is_told_before_anything_is_begun(name: str) -> None:
    """No build, no push, no publish, no hold and no attempt; once it can, the same pass goes through."""
    before, act = REFUSED[name]
    place = before()
    facts = place.facts()
    place.docker.unready = NOT_THERE
    world = World(place)
    ended = act(world)
    assert (ended.reason, ended.exit_code) == ("StackNotRunning", 69)
    assert not {"begin", "hold", "perform", "succeed"} & set(world.calls)
    assert place.facts() == facts
    assert place.history()[-1][:2] == ("failed", "StackNotRunning")
    place.docker.unready = None
    again = World(place)
    assert not act(again).failed
    assert "Provision" in kinds(again)


@pytest.mark.parametrize("before", [after_changed_code, after_a_lost_image, lambda: converged(with_docker())])
def test_p8_a_provisioner_that_is_not_due_is_not_asked_for(before: Callable[[], Place]) -> None:
    place = before()
    place.docker.unready = NOT_THERE
    world = World(place)
    assert not converge(world).failed
    assert "require_provisioner" not in world.calls


def drifted() -> Place:
    """Published and provisioned; somebody edited a function, and nobody heals."""
    place = with_docker()
    place.source.builds = ()
    converged(place)
    place.disk.shown[function("a").key] = function("a", 99)
    return place


def test_always_means_in_every_pass_also_beside_drift_that_is_left_alone() -> None:
    place = drifted()
    shown, runs = dict(place.disk.shown), len(place.docker.runs)
    for number in (1, 2):
        world = World(place)
        ended = reconciler.reconcile_once(world, ALWAYS)
        assert (ended.reason, ended.exit_code, kinds(world)) == (outcomes.Outcome.DRIFT_LEFT_ALONE, 0, ["Provision"])
        assert len(place.docker.runs) == runs + number
        assert "succeed" not in world.calls, "what is live is not what the source asks for"
    assert place.disk.shown == shown
    ready = place.store.load(with_items=False).conditions["Ready"]
    assert (ready.status, ready.reason) == ("False", "DriftLeftAlone")


def test_h4_a_failed_run_beside_drift_that_is_left_alone_is_tried_again() -> None:
    place = drifted()
    place.docker.refusing[actions.Provision] = errors.ControllerError("ProvisionerFailed", "exited with 1")
    assert reconciler.reconcile_once(World(place), ALWAYS).exit_code == 81
    place.docker.refusing.clear()
    runs, on_change = len(place.docker.runs), replace(REQUEST, rules=replace(RULES, self_heal=False))
    for _ in range(2):
        assert reconciler.reconcile_once(World(place), on_change).reason == outcomes.Outcome.DRIFT_LEFT_ALONE
    assert len(place.docker.runs) == runs + 1
    assert place.store.load(with_items=False).conditions["Ready"].reason == "DriftLeftAlone"


def test_drift_of_the_resources_is_not_made_true() -> None:
    place = drifted()
    place.disk.shown[table("t").key] = table("t", 99)
    world = World(place)
    ended = reconciler.reconcile_once(world, ALWAYS)
    assert (ended.reason, world.performed) == (outcomes.Outcome.DRIFT_LEFT_ALONE, [])
    assert [note for note in ended.notes if note.startswith("NotProvisioned: ") and "self_heal" in note]


# What is left to a person.


def by_hand(place: Place) -> list[tuple[str, str, bool]]:
    """Name, revision, and whether it is still asked for."""
    left = place.store.load(with_items=False).unconverged
    return [(one.key.name, one.revision, bool(one.digest)) for one in left]


def tables(place: Place, number: int, *parts: int) -> Place:
    """The place, whose source asks for tables ``t``, ``u``, ... with these values, 0 for none."""
    wanted = [table(name, value) for name, value in zip("tuv", parts, strict=False) if value]
    place.source.now(revision(number), function("a"), route("/a", "a"), *wanted)
    place.source.builds = ()
    return place


def test_pr1_what_no_provisioner_changes_is_kept_until_it_is_as_it_was_made() -> None:
    place = converged(tables(with_docker(), 1, 1, 1))
    assert by_hand(place) == []
    converged(tables(place, 2, 2, 1))
    assert by_hand(place) == [("t", revision(2), True)]
    converged(place)
    place.source.now(revision(3), function("a", 3), *place.source.parts[1:])
    converged(place)
    assert by_hand(place) == [("t", revision(2), True)], "a pass without a word of it is no answer"
    converged(tables(place, 4, 2, 0))
    assert by_hand(place) == [("t", revision(2), True), ("u", revision(4), False)]
    converged(tables(place, 5, 1, 0, 1))
    assert by_hand(place) == []


def test_pr1_it_is_known_also_when_the_provisioner_fails_between() -> None:
    """The next pass finds the resources live, and no change of them."""
    place = converged(tables(with_docker(), 1, 1))
    tables(place, 2, 2)
    place.docker.refusing[actions.Provision] = errors.ControllerError("ProvisionerFailed", "exited with 1")
    assert converge(World(place)).failed
    assert by_hand(place) == [("t", revision(2), True)]
    place.docker.refusing.clear()
    converged(place)
    assert by_hand(place) == [("t", revision(2), True)]


def test_pr1_a_rollback_to_what_was_made_is_the_end_of_it() -> None:
    place = converged(tables(with_docker(), 1, 1))
    converged(tables(place, 2, 2))
    assert not go_back(World(place)).failed
    assert by_hand(place) == []


# A pass that a person has stopped.


def suspended() -> Place:
    """Published, and suspended."""
    place = converged(Place())
    place.store.suspend(record.Suspension("me", "freeze", "2026-02-20T00:00:00Z"))
    return place


def held() -> Place:
    """Rolled back: the revision of the source is held."""
    place = after_two_revisions()
    assert not go_back(World(place)).failed
    return place


@pytest.mark.parametrize(("before", "reason"), [(suspended, "Suspended"), (held, "Held")])
def test_h8_a_person_s_word_is_told_first_whatever_the_engine_does(before: Callable[[], Place], reason: str) -> None:
    """Nothing is needed of the engine for a pass that is not to be."""
    place = before()
    told = converge(World(place)).message
    place.docker.silent = AWAY
    world = World(place)
    ended = converge(world)
    assert (ended.reason, ended.exit_code, ended.message) == (reason, 77, told)
    assert world.performed == []
    with pytest.raises(errors.ControllerError) as caught:
        reconciler.plan_once(World(place), REQUEST)
    assert caught.value.reason == reason


def test_h8_an_engine_that_is_away_is_told_to_who_stopped_nothing() -> None:
    place = held()
    place.source.now(revision(3), function("a", 3))
    place.docker.silent = AWAY
    assert converge(World(place)).exit_code == 69
