"""P12: healing that does not hold is bounded, and says what keeps coming back."""

import datetime

from core import policy
from tests.fakes.stories import RULES, converge, converged
from tests.fakes.world import Place, World, function, revision, route


def _edit(place: Place, value: int) -> None:
    place.disk.shown[function("a").key] = function("a", value)


def _pass_after_edit(place: Place, value: int, minutes: float = 1) -> str:
    _edit(place, value)
    place.age += datetime.timedelta(minutes=minutes)
    return converge(World(place)).reason


def test_p12_the_same_repair_again_and_again_ends_in_stalled() -> None:
    """Also when the other writer writes something new each time: what we repair is the same."""
    place = converged(Place())
    reasons = [_pass_after_edit(place, 100 + number) for number in range(RULES.stall.repairs + 2)]
    assert reasons == ["Drifted"] * RULES.stall.repairs + ["Stalled"] * 2
    stalled = place.store.load(with_items=False)
    assert stalled.conditions["Stalled"].status == "True"
    assert stalled.conditions["Ready"].reason == "Stalled"
    assert "function a" in stalled.conditions["Ready"].message
    assert place.history()[-1] == ("failed", "Stalled", 2), "one message, counted"


def test_p12_a_pass_in_sync_in_between_does_not_hide_it() -> None:
    place = converged(Place())
    for number in range(RULES.stall.repairs):
        assert _pass_after_edit(place, 100 + number) == "Drifted"
        assert converge(World(place)).reason == "InSync"
    assert _pass_after_edit(place, 1000) == "Stalled"


def test_p12_exit_code_82_names_the_residual_difference() -> None:
    place = converged(Place())
    for number in range(RULES.stall.repairs):
        _pass_after_edit(place, 100 + number)
    _edit(place, 1)
    _edit(place, 1000)
    ended = converge(World(place))
    assert ended.exit_code == 82
    assert "function a" in ended.message
    assert ended.decision is not None
    assert ended.decision.actions == ()


def test_p12_after_the_window_it_is_tried_once_and_stalls_again_at_once() -> None:
    place = converged(Place())
    for number in range(RULES.stall.repairs + 1):
        _pass_after_edit(place, 100 + number)
    assert _pass_after_edit(place, 500, minutes=11) == "Drifted"
    assert converge(World(place)).reason == "InSync"
    assert place.store.load(with_items=False).conditions["Stalled"].status == "False"
    assert _pass_after_edit(place, 501) == "Stalled"


def test_p12_another_difference_and_another_revision_count_anew() -> None:
    place = converged(Place())
    for number in range(RULES.stall.repairs):
        _pass_after_edit(place, 100 + number)
    place.disk.shown.pop(route("/a", "a").key)
    assert converge(World(place)).reason == "Drifted"
    for number in range(RULES.stall.repairs):
        assert _pass_after_edit(place, 200 + number) == "Drifted"
    place.source.now(revision(7), function("a", 7), function("b"), route("/a", "a"))
    assert converge(World(place)).reason == "SourceChanged"
    assert _pass_after_edit(place, 300) == "Drifted"


def test_repairs_that_are_far_apart_are_no_fight() -> None:
    place = converged(Place())
    reasons = {_pass_after_edit(place, 100 + number, minutes=15) for number in range(20)}
    assert reasons == {"Drifted"}


def test_l1_a_clock_that_went_back_is_no_reason_to_fight_on() -> None:
    place = converged(Place())
    for number in range(RULES.stall.repairs):
        _pass_after_edit(place, 100 + number)
    assert _pass_after_edit(place, 300, minutes=-600) == "Stalled"


def test_the_policy_says_how_often() -> None:
    assert policy.Policy(stall=policy.Stall(2, 60.0)) != RULES
