"""The loop's decisions on a simulated clock (faults.md C3, C4, L1, P10, P11)."""

import pytest

from controller import cancellation, errors, report, runs
from tests.fakes import loops


def test_it_looks_at_once_and_then_every_interval() -> None:
    stage = loops.Stage()
    stage.run(100)
    assert stage.moments == [0.0, 30.0, 60.0, 90.0]


def test_requests_that_come_together_are_one_run() -> None:
    """I6, D3: a thousand requests are one pass."""
    stage = loops.Stage()

    def burst() -> None:
        assert len({stage.runs.request(runs.Cause.WEBHOOK) for _ in range(1000)}) == 1

    stage.runs.at(10, burst)
    stage.run(20)
    assert stage.moments == [0.0, 10.0]


def test_c3_a_failure_that_may_pass_is_tried_again_with_growing_waits() -> None:
    stage = loops.Stage()
    stage.worker.answers = [loops.bad()]
    stage.run(400)
    assert stage.moments == [0.0, 5.0, 15.0, 35.0, 75.0, 155.0, 315.0]


def test_e2_a_remote_that_asks_for_patience_gets_it_up_to_a_bound() -> None:
    for asked_s, moments in ((100.0, [0.0, 100.0, 200.0]), (1e9, [0.0])):
        stage = loops.Stage()
        stage.worker.answers = [report.Report("SourceUnavailable", "busy", retry_after_s=asked_s)]
        stage.run(250)
        assert stage.moments == moments


def test_c4_success_begins_the_waits_anew() -> None:
    stage = loops.Stage()
    stage.worker.answers = [loops.bad(), loops.bad(), loops.good(), loops.bad(), loops.bad()]
    stage.run(70)
    assert stage.moments == [0.0, 5.0, 15.0, 45.0, 50.0, 60.0]


def test_c4_new_content_begins_the_waits_anew_and_is_tried_at_once() -> None:
    """P11: bad content, then the fix: it does not wait for the back-off of the first."""
    stage = loops.Stage()
    stage.worker.answers = [*(loops.bad() for _ in range(5)), loops.good(changed=True)]

    def fix() -> None:
        stage.worker.content = "two"
        stage.runs.request(runs.Cause.FILES)

    stage.runs.at(80, fix)
    stage.run(90)
    assert stage.moments == [0.0, 5.0, 15.0, 35.0, 75.0, 80.0]
    assert stage.turns[-1].ended is not None
    assert not stage.turns[-1].ended.report.failed


def test_p11_the_same_content_is_not_tried_again_before_its_time() -> None:
    """A webhook that is delivered again and again does not turn a back-off into a busy loop."""
    stage = loops.Stage()
    stage.worker.answers = [loops.bad()]
    for second in range(36, 70):
        stage.runs.at(second, lambda: stage.runs.request(runs.Cause.WEBHOOK))
    stage.run(72)
    assert stage.moments == [0.0, 5.0, 15.0, 35.0]
    assert stage.worker.looks == 34


def test_a_person_who_asks_gets_a_whole_pass() -> None:
    stage = loops.Stage()
    stage.worker.answers = [loops.bad()]
    stage.runs.at(20, lambda: stage.runs.request(runs.Cause.SIGNAL))
    stage.run(25)
    assert 20.0 in stage.moments


def test_a_refusal_is_looked_at_again_every_interval_and_never_faster() -> None:
    """What cures it may be a hold that is lifted, or another stack: that shows at the next look."""
    stage = loops.Stage()
    stage.worker.answers = [loops.bad("Suspended")]
    stage.run(100)
    assert stage.moments == [0.0, 30.0, 60.0, 90.0]


def test_p10_a_rescan_finds_what_no_event_told() -> None:
    stage = loops.Stage()
    stage.rhythm = stage.rhythm.__class__(300.0, stage.rhythm.backoff_s, jitter=0.0)

    def change_silently() -> None:
        stage.worker.content = "two"

    stage.runs.at(40, change_silently)
    stage.run(100)
    assert stage.moments == [0.0, 60.0]
    assert [turn.missed for turn in stage.turns if turn.ended] == [False, True]


def test_a_bug_in_a_pass_ends_the_pass_and_not_the_loop() -> None:
    stage = loops.Stage()
    stage.worker.answers = [ZeroDivisionError("oops"), loops.good()]
    stage.run(40)
    first, second = stage.turns[0], stage.turns[1]
    assert first.ended is not None
    assert first.ended.report.reason == "Bug"
    assert "ZeroDivisionError" in first.traceback
    assert second.ended is not None
    assert second.ended.report.reason == "InSync"
    assert stage.moments == [0.0, 5.0, 35.0]


def test_newer_content_cuts_the_making_of_images_and_is_taken_at_once() -> None:
    stage = loops.Stage()

    def build() -> None:
        stage.worker.during = lambda: None
        stage.cuts.check_newer()
        stage.worker.content = "two"
        stage.cuts.check_newer()  # nobody asked yet
        stage.runs.request(runs.Cause.WEBHOOK)
        stage.cuts.check_newer()

    stage.worker.during = build
    stage.run(10)
    assert [turn.superseded for turn in stage.turns] == [True, False]
    assert stage.worker.passes == [(0.0, "one"), (0.0, "two")]


def test_a_source_that_changes_faster_than_images_are_made_is_live_at_last() -> None:
    stage = loops.Stage()
    rounds = iter(range(100))

    def build() -> None:
        for _ in range(5):
            stage.worker.content = f"content {next(rounds)}"
            stage.runs.request(runs.Cause.WEBHOOK)
            stage.cuts.check_newer()
        stage.worker.during = lambda: None

    stage.worker.during = build
    stage.run(1)
    assert [turn.superseded for turn in stage.turns[:5]] == [True, True, True, False, False]


def test_the_same_content_announced_again_cuts_nothing() -> None:
    stage = loops.Stage()

    def build() -> None:
        stage.worker.during = lambda: None
        stage.runs.request(runs.Cause.FILES)
        stage.cuts.check_newer()

    stage.worker.during = build
    stage.run(1)
    assert not any(turn.superseded for turn in stage.turns)


def test_outside_of_making_images_nothing_is_cut_by_newer_content() -> None:
    stage = loops.Stage()
    stage.worker.content = "two"
    stage.cuts.check()
    with stage.cuts.superseded_by(lambda: True):
        stage.cuts.check()
        with pytest.raises(cancellation.Superseded):
            stage.cuts.check_newer()


def test_a_stop_in_a_pass_is_told_from_one_between_passes() -> None:
    """L2: exit code 0 or 128 + n."""
    stage = loops.Stage()
    stage.worker.during = lambda: stage.cuts.stop(15)
    stage.worker.answers = [errors.Interrupted(15)]
    with pytest.raises(errors.Interrupted):
        stage.run(10)
    other = loops.Stage()
    other.run(10)
    assert not other.pulse.alive


def test_l1_ten_thousand_passes_leave_nothing_behind() -> None:
    """L5: runs are kept up to a bound, and the rhythm stays."""
    stage = loops.Stage()
    stage.run(30 * 10_000)
    assert len(stage.moments) == 10_000
    assert stage.moments[-1] == 30.0 * 9_999
    assert len(stage.runs._known) <= runs.KEPT + 1
