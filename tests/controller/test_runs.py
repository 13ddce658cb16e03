"""Requests and runs (faults.md I1, I6), signs of life (I4, P8), and when work may be cut (P16, L2)."""

import threading

import pytest

from controller import cancellation, errors, pulse, runs
from tests.fakes.loops import FakeClock


def test_i6_one_runs_and_one_waits_however_many_ask() -> None:
    asked = runs.Runs()
    first = {asked.request(runs.Cause.WEBHOOK) for _ in range(100)}
    with asked.begun(runs.Cause.INTERVAL) as run:
        assert {run.id} == first
        second = {asked.request(runs.Cause.FILES), asked.request(runs.Cause.WEBHOOK)}
        assert len(second) == 1
        assert second != first
        assert asked.await_request(0)


def test_the_outcome_of_a_run_can_be_waited_for() -> None:
    asked = runs.Runs()
    wanted = asked.request(runs.Cause.WEBHOOK)

    def work() -> None:
        with asked.begun(runs.Cause.INTERVAL) as run:
            asked.end(run, {"reason": "InSync"})

    thread = threading.Thread(target=work)
    thread.start()
    ended = asked.await_end(wanted, timeout_s=30)
    thread.join()
    assert ended is not None
    assert (ended.state, ended.outcome) == (runs.State.ENDED, {"reason": "InSync"})
    assert ended.causes == {runs.Cause.WEBHOOK}


def test_a_run_that_nobody_ended_ends_with_its_block() -> None:
    asked = runs.Runs()
    with pytest.raises(ZeroDivisionError), asked.begun(runs.Cause.START) as run:
        raise ZeroDivisionError
    ended = asked.find(run.id)
    assert ended is not None
    assert ended.state is runs.State.ENDED


def test_an_unknown_run_is_nothing_and_is_not_waited_for() -> None:
    assert runs.Runs().find("nobody") is None
    assert runs.Runs().await_end("nobody", timeout_s=3600) is None


def test_old_runs_are_forgotten() -> None:
    asked = runs.Runs()
    ids = []
    for _ in range(runs.KEPT + 50):
        with asked.begun(runs.Cause.INTERVAL) as run:
            ids.append(run.id)
    assert asked.find(ids[0]) is None
    assert asked.find(ids[-1]) is not None


def test_i4_a_step_within_its_limit_lives_and_one_beyond_it_does_not() -> None:
    machine = FakeClock()
    beats = pulse.Pulse(machine)  # type: ignore[arg-type]  # a clock by its methods
    beats.enter("build", 900.0)
    lived = [beats.alive]
    for seconds in (900.0, pulse.MARGIN_S + 1):
        machine.now += seconds
        lived.append(beats.alive)
    assert lived == [True, True, False], "a long build is no hang, one past its deadline is"
    beats.enter("waiting", 30.0)
    lived = [beats.alive]
    beats.end()
    assert [*lived, beats.alive] == [True, False]


def test_i4_when_the_last_good_check_was() -> None:
    machine = FakeClock()
    beats = pulse.Pulse(machine)  # type: ignore[arg-type]  # a clock by its methods
    assert beats.good_ago_s is None
    beats.good()
    machine.now += 40.0
    assert beats.good_ago_s == 40.0


def test_p16_a_publish_is_finished_before_an_end_is_heard() -> None:
    cuts = cancellation.Cancellation()
    with cuts.deferred(complete=True):
        cuts.stop(15)
        cuts.check()
        assert cuts.finishing
    with pytest.raises(errors.Interrupted):
        cuts.check()


def test_p16_work_that_is_not_complete_is_cut_right_after() -> None:
    cuts = cancellation.Cancellation()
    with pytest.raises(errors.Interrupted), cuts.deferred(complete=False):
        cuts.stop(15)


def test_p16_nothing_new_is_begun_once_an_end_is_wanted() -> None:
    cuts = cancellation.Cancellation()
    cuts.stop(2)
    with pytest.raises(errors.Interrupted) as ended, cuts.awaited():
        pytest.fail("the provisioner was started")
    assert ended.value.exit_code == 130
    with pytest.raises(errors.Interrupted), cuts.deferred():
        pytest.fail("a publish was begun")
