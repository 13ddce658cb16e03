"""The order between loops: who waits, who is refused, and who is woken (faults.md C2)."""

import threading

import pytest

from controller import ordering, runs
from core import requeue, turn_order
from tests.fakes import loops

BEGIN, WAIT, REFUSE = turn_order.Word.BEGIN, turn_order.Word.WAIT, turn_order.Word.REFUSE


class Pair:
    """Two targets, the second one after the first."""

    def __init__(self) -> None:
        self.order = ordering.Order()
        self.first, self.second = (runs.Runs(moved=self.order.moved) for _ in range(2))
        self.before = self.order.enter("first", self.first, ())
        self.place = self.order.enter("second", self.second, ("first",))

    def word(self) -> turn_order.Word:
        """What the second one hears now."""
        return self.place.pause(lambda: True, 0.0).word


def test_it_waits_until_the_first_pass_has_ended_and_every_time_while_one_is_due() -> None:
    pair = Pair()
    assert pair.word() is WAIT, "none has begun"
    with pair.first.begun(runs.Cause.START):
        assert pair.word() is WAIT
        pair.before.ended(True)
        assert pair.word() is WAIT, "it is not over before everything is told"
    assert pair.word() is BEGIN
    pair.first.request(runs.Cause.WEBHOOK)
    assert pair.word() is WAIT, "due"
    with pair.first.begun(runs.Cause.INTERVAL):
        pair.before.ended(False)
    assert pair.word() is REFUSE


def test_a_pass_that_was_cut_begins_again_at_once() -> None:
    pair = Pair()
    pair.before.ended(True)
    assert pair.word() is BEGIN
    with pair.first.begun(runs.Cause.START):
        pair.before.ended(None)
    assert pair.word() is WAIT


def test_who_was_refused_is_asked_once_when_it_may_begin() -> None:
    pair = Pair()
    pair.before.ended(False)
    pair.place.refused()
    pair.before.ended(False)
    assert [pair.second.busy] == [False]
    pair.before.ended(True)
    assert [pair.second.busy] == [True]
    with pair.second.begun(runs.Cause.INTERVAL) as run:
        assert run.causes == {runs.Cause.AFTER}
        pair.before.ended(True)
    assert [pair.second.busy] == [False], "it has been asked already"


def test_who_is_refused_while_the_other_comes_in_order_is_not_forgotten() -> None:
    """Between the verdict and the note of it."""
    pair = Pair()
    pair.before.ended(True)
    pair.place.refused()
    assert pair.second.busy


def test_a_target_that_began_anew_is_not_spoken_for_by_what_it_was() -> None:
    pair = Pair()
    again = pair.order.enter("first", pair.first, ())
    pair.before.ended(True)
    assert pair.word() is WAIT
    again.ended(True)
    assert pair.word() is BEGIN


def test_one_that_is_no_more_holds_up_nobody() -> None:
    pair = Pair()
    assert pair.word() is WAIT
    pair.order.leave("first")
    assert pair.word() is BEGIN


def test_one_that_waits_itself_is_due() -> None:
    """A third one must not slip in between: the second is due by its time, which nobody asked for."""
    pair = Pair()
    third = pair.order.enter("third", runs.Runs(), ("second",))
    pair.place.ended(True)
    begun = threading.Event()
    heard: list[turn_order.Word] = []

    def asked() -> bool:
        begun.set()
        return False

    def wait() -> None:
        heard.append(pair.place.pause(asked, 30.0).word)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(30)
    assert third.pause(lambda: True, 0.0).word is WAIT
    pair.before.ended(True)
    pair.order.moved()
    waiting.join(30)
    assert heard == [BEGIN]
    assert third.pause(lambda: True, 0.0).word is BEGIN


def test_an_end_is_heard_while_it_waits() -> None:
    pair, wish = Pair(), threading.Event()
    waiting = threading.Thread(target=pair.place.pause, args=(wish.is_set, 30.0))
    waiting.start()
    wish.set()
    pair.order.moved()
    waiting.join(30)
    assert not waiting.is_alive()


# With the loop


@pytest.mark.parametrize("fails", [False, True])
def test_a_loop_is_told_why_its_pass_is_not_run(fails: bool) -> None:
    stage, order = loops.Stage(), ordering.Order()
    first = order.enter("first", runs.Runs(), ())
    first.ended(not fails)
    stage.place = order.enter("second", stage.runs, ("first",))
    stage.runs.at(100, lambda: first.ended(True))
    stage.run(200)
    told = [turn.ended.report for turn in stage.turns if turn.ended]
    if not fails:
        assert {report.reason for report in told} == {"InSync"}
        return
    refused = [report for report in told if report.reason == "AfterFailed"]
    assert told[: len(refused)] == refused, "once it may begin it is not refused any more"
    assert stage.moments[0] == 100.0, "woken at once, and not run before"
    assert all("first" in report.message and report.failed for report in refused)
    assert len(refused) == 5, "told again after growing waits"


def test_a_bug_in_recording_it_keeps_nobody_from_being_told() -> None:
    stage, order = loops.Stage(), ordering.Order()
    order.enter("first", runs.Runs(), ()).ended(False)
    stage.place = order.enter("second", stage.runs, ("first",))
    stage.worker.refuse = lambda error: 1 // 0  # type: ignore[method-assign, assignment, return-value]  # a bug
    stage.run(100)
    told = [(turn.ended.report.reason, "ZeroDivisionError" in turn.traceback) for turn in stage.turns if turn.ended]
    assert set(told) == {("AfterFailed", True)}
    assert len(told) > 1, "it is no end of the loop"


def test_a_delivery_to_one_that_is_not_run_is_not_forgotten() -> None:
    """Its reaction counts from the delivery, and what it told of is no miss."""
    stage, order = loops.Stage(), ordering.Order()
    first = order.enter("first", runs.Runs(), ())
    first.ended(True)
    stage.place = order.enter("second", stage.runs, ("first",))
    stage.worker.published = True
    stage.rhythm = requeue.Rhythm(1000.0, lambda failures: 500.0, jitter=0.0)

    def push() -> None:
        first.ended(False)
        stage.worker.content = "two"
        stage.runs.request(runs.Cause.WEBHOOK)

    stage.runs.at(10, push)
    stage.runs.at(100, lambda: stage.runs.request(runs.Cause.WEBHOOK))
    stage.runs.at(150, lambda: first.ended(True))
    stage.run(200, rescan_s=1000.0)
    last = stage.turns[-1]
    assert (set(last.run.causes), last.missed, last.reaction_s) == ({runs.Cause.AFTER}, False, 140.0)
    assert stage.worker.looks == 0, "nobody looks for what is not converged anyway"
