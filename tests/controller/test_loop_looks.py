"""Turns of the loop that only look at the source (faults.md C4, P11): what they tell, and what a bug in one does."""

from dataclasses import replace

import pytest

from controller import metrics, report, runs, telling, turning
from core import requeue
from tests.fakes import loops, web


class _Log:
    def write(self, level: str, event: str, **fields: object) -> None:
        """Nobody reads it."""


def test_p11_nothing_new_is_no_success_while_the_last_pass_failed() -> None:
    """Who pushed something bad, and asks again, is not told that all is well."""
    stage = loops.Stage()
    stage.worker.answers = [loops.bad("ImageBuildFailed"), loops.good()]
    asked: list[str] = []
    for seconds in (2, 20):
        stage.runs.at(seconds, lambda: asked.append(stage.runs.request(runs.Cause.RESCAN)))
    told = telling.Telling(telling.Who("one", "git"), stage.runs, _Log(), metrics.Metrics().of("one"), None)
    stage.tell = told  # type: ignore[method-assign]  # the real one in the place of the fake
    stage.run(25.0)
    outcomes = [found.outcome for found in map(stage.runs.find, asked) if found]
    assert [(one["reason"], one["failed"]) for one in outcomes] == [("Unchanged", True), ("Unchanged", False)]
    assert "ImageBuildFailed" in str(outcomes[0]["message"])


def test_a_bug_in_a_look_ends_the_look_and_not_the_loop() -> None:
    """The pass that follows meets it too, and tells it."""
    stage = loops.Stage()
    stage.worker.answers = [loops.bad(), KeyError("a bug"), loops.good()]

    def broken(*, whole: bool = False) -> turning.Sight:
        raise KeyError("a bug")

    stage.worker.look = broken  # type: ignore[method-assign]  # a fault is planted
    stage.runs.at(2, lambda: stage.runs.request(runs.Cause.WEBHOOK))
    turns: list[turning.Turn] = stage.run(20.0)
    assert [turn.ended.report.reason for turn in turns if turn.ended] == ["RegistryUnavailable", "Bug", "InSync"]


# E2: a remote that is down, or that asks for patience


def away(retry_after_s: float = 0.0) -> report.Report:
    """The remote does not answer."""
    return report.Report("SourceUnavailable", "no answer", retry_after_s=retry_after_s)


def asked_s(stage: loops.Stage) -> list[float]:
    """When the remote was asked, by a pass or by a look."""
    return sorted(stage.moments + stage.worker.looked_s)


def test_e2_a_remote_that_is_down_is_asked_by_the_back_off_only() -> None:
    """Rescans every second do not undo the growing waits."""
    stage = loops.Stage()
    stage.worker.answers = [away()]
    stage.run(400, rescan_s=1.0)
    assert asked_s(stage) == [0.0, 5.0, 15.0, 35.0, 75.0, 155.0, 315.0]


def test_e2_who_pushes_is_looked_for_through_a_back_off_but_not_through_a_wish() -> None:
    for wish_s, expected in ((0.0, [0.0, 2.0, 3.0, 5.0, 15.0]), (20.0, [0.0, 20.0])):
        stage = loops.Stage()
        stage.worker.answers = [away(wish_s)]
        stage.worker.sight = turning.Sight(None, good=False, away=True)
        stage.runs.at(2, lambda stage=stage: stage.runs.request(runs.Cause.WEBHOOK))  # type: ignore[misc]  # a loop's value
        stage.runs.at(3, lambda stage=stage: stage.runs.request(runs.Cause.SIGNAL))  # type: ignore[misc]  # a loop's value
        stage.run(22, rescan_s=1.0)
        found = asked_s(stage)
        assert found[:2] == expected[:2]
        assert [moment for moment in found if moment < 5] == [moment for moment in expected if moment < 5]
        assert [turn.put_off_s > 0 for turn in stage.turns].count(True) == (2 if wish_s else 0)


def test_e2_passes_go_on_with_the_last_good_checkout_while_the_remote_is_away() -> None:
    """Drift is healed within the interval, however long the back-off has grown."""
    stage = loops.Stage()
    stage.worker.answers, stage.worker.served = [away()], True
    stage.worker.sight = turning.Sight("one", away=True)
    stage.run(130)
    assert stage.moments == [0.0, 5.0, 15.0, 35.0, 65.0, 95.0, 125.0]


def test_e2_a_remote_that_is_back_is_news_although_its_content_is_the_same() -> None:
    """Who pushes then, or only looks, is not told of a failure that is over."""
    stage = loops.Stage()
    stage.rhythm = requeue.Rhythm(3600.0, lambda failures: 600.0, jitter=0.0)
    stage.worker.answers, stage.worker.served = [away(), loops.good()], True
    stage.worker.sight = turning.Sight("one", away=True)
    stage.runs.at(10, lambda: stage.runs.request(runs.Cause.WEBHOOK))

    def back() -> None:
        stage.worker.sight, stage.worker.served = None, False
        stage.runs.request(runs.Cause.WEBHOOK)

    stage.runs.at(20, back)
    stage.run(30)
    assert stage.moments == [0.0, 20.0]
    assert stage.worker.looked_s == [10.0, 20.0]


def test_e2_looks_that_meet_a_remote_that_is_down_back_off_too() -> None:
    """Passes are an hour apart, so nothing but looks finds out."""
    stage = loops.Stage()
    stage.rhythm = requeue.Rhythm(3600.0, stage.rhythm.backoff_s, jitter=0.0)
    stage.worker.sight = turning.Sight(None, good=False, away=True)
    stage.run(100, rescan_s=1.0)
    assert asked_s(stage) == [0.0, 1.0, 6.0, 16.0, 36.0, 76.0]


def test_e2_a_wish_that_a_look_hears_puts_off_passes_and_ends() -> None:
    stage = loops.Stage()
    stage.worker.sight = turning.Sight(None, good=False, away=True, retry_after_s=100.0)
    stage.run(140, rescan_s=10.0)
    assert asked_s(stage) == [0.0, 10.0, 110.0, 120.0]
    assert len(stage.turns) < 10


def test_e2_a_wish_heard_while_images_are_made_outlives_the_pass() -> None:
    stage = loops.Stage()
    stage.worker.sight = turning.Sight(None, good=False, away=True, retry_after_s=50.0)

    def build() -> None:
        stage.worker.during = lambda: None
        for _ in range(40):
            stage.machine.sleep(1.0)
            stage.cuts.check_newer()

    stage.worker.during = build
    stage.run(70, rescan_s=10.0)
    assert asked_s(stage) == [0.0, 10.0, 60.0]


def test_e2_after_a_wish_is_told_to_who_asks() -> None:
    stage = loops.Stage()
    stage.worker.answers = [away(60.0)]
    asked: list[str] = []
    stage.runs.at(10, lambda: asked.append(stage.runs.request(runs.Cause.WEBHOOK)))
    stage.tell = telling.Telling(telling.Who("one", "git"), stage.runs, _Log(), metrics.Metrics().of("one"), None)  # type: ignore[method-assign]  # the real one
    stage.run(20)
    found = stage.runs.find(asked[0])
    assert found is not None
    assert (found.outcome["reason"], found.outcome["failed"]) == ("Unchanged", True)
    assert "50 s" in str(found.outcome["message"])


# What may cut a build short


def test_p11_content_that_is_broken_or_not_trusted_cuts_no_build() -> None:
    for good in (True, False):
        stage = loops.Stage()

        def build(stage: loops.Stage = stage) -> None:
            stage.worker.during = lambda: None
            stage.worker.content = "two"
            stage.runs.request(runs.Cause.WEBHOOK)
            stage.cuts.check_newer()

        stage.worker.sight = turning.Sight("two", good=good)
        stage.worker.during = build
        stage.run(1)
        assert stage.turns[0].superseded == good


# The time of the reaction


def reactions(stage: loops.Stage, seconds: float) -> list[float]:
    """Those that were told, over so many seconds."""
    stage.worker.published = True
    return [turn.reaction_s for turn in stage.run(seconds) if turn.reaction_s is not None]


def change(stage: loops.Stage, content: str, cause: runs.Cause | None) -> None:
    """The source moves, and somebody tells of it or nobody does."""
    stage.worker.content = content
    if cause is not None:
        stage.runs.request(cause)


def test_a_reaction_is_counted_only_from_the_word_of_new_content() -> None:
    """A first publish, a healed drift and what a look found by itself began at no known time."""
    stage = loops.Stage()
    stage.runs.at(10, lambda: stage.runs.request(runs.Cause.FILES))  # nothing moved: what is published heals a drift
    stage.runs.at(50, lambda: change(stage, "two", None))
    stage.runs.at(90, lambda: change(stage, "three", runs.Cause.WEBHOOK))
    assert reactions(stage, 100) == [0.0]


def test_a_reaction_is_counted_through_failures_from_the_first_word() -> None:
    stage = loops.Stage()
    stage.worker.answers = [loops.good(), loops.bad(), loops.bad(), loops.good()]
    stage.runs.at(10, lambda: change(stage, "two", runs.Cause.WEBHOOK))
    assert reactions(stage, 40) == [15.0]


def test_a_reaction_to_a_fix_is_counted_from_the_fix() -> None:
    stage = loops.Stage()
    stage.worker.answers = [loops.good(), loops.bad("ArtifactInvalid"), loops.good()]
    stage.runs.at(10, lambda: change(stage, "two", runs.Cause.FILES))
    stage.runs.at(12, lambda: change(stage, "three", runs.Cause.FILES))
    assert reactions(stage, 20) == [0.0]


def test_a_miss_is_one_only_where_something_listens() -> None:
    """P10: without a webhook or events, the look is the way in which changes are found."""
    for listens in (True, False):
        counted = metrics.Metrics()
        stage = loops.Stage()
        who = telling.Who("one", "git", listens)
        stage.tell = telling.Telling(who, stage.runs, _Log(), counted.of("one"), None)  # type: ignore[method-assign]  # the real one
        stage.runs.at(10, lambda stage=stage: change(stage, "two", None))  # type: ignore[misc]  # a loop's value
        stage.run(40)
        assert web.sample(counted, 'artifact_controller_watch_missed_total{target="one"}') == listens


class _Blind(loops.FakeWorker):
    """Does not see the content while the remote is away."""

    def converge(self) -> turning.Ended:
        ended = super().converge()
        return replace(ended, subject="away", seen=False) if ended.report.failed else ended


def test_an_outage_is_no_missed_change() -> None:
    """P10: the same content before and after. Counter-check: another one is a miss."""
    for after, missed in (("one", []), ("two", ["two"])):
        stage = loops.Stage()
        stage.worker = _Blind(stage.machine, [loops.good(), away(), loops.good()])
        stage.runs.at(10, lambda stage=stage, after=after: setattr(stage.worker, "content", after))  # type: ignore[misc]  # values of a loop
        stage.run(80)
        assert [turn.ended.subject for turn in stage.turns if turn.missed and turn.ended] == missed


def test_e2_a_look_that_takes_long_is_followed_by_a_rest() -> None:
    """The time to the next look begins when the last one is over, or slow looks would follow one another."""
    stage = loops.Stage()
    stage.rhythm = requeue.Rhythm(3600.0, stage.rhythm.backoff_s, jitter=0.0)

    class Slow(loops.FakeWorker):
        def look(self, *, whole: bool = False) -> turning.Sight:
            seen = super().look(whole=whole)
            stage.machine.sleep(20.0)
            return seen

    stage.worker = Slow(stage.machine)
    stage.run(100, rescan_s=10.0)
    assert stage.worker.looked_s == [10.0, 40.0, 70.0]


def test_p8_a_slow_look_at_a_remote_is_no_hang() -> None:
    stage = loops.Stage()
    stage.rhythm = requeue.Rhythm(3600.0, stage.rhythm.backoff_s, jitter=0.0)
    alive = []

    class Slow(loops.FakeWorker):
        def look(self, *, whole: bool = False) -> turning.Sight:
            stage.machine.sleep(70.0)
            alive.append(stage.pulse.alive)
            stage.machine.sleep(10.0)
            alive.append(stage.pulse.alive)
            return super().look(whole=whole)

    stage.worker = Slow(stage.machine)
    stage.run(60, rescan_s=10.0)
    assert alive == [True, False]


@pytest.mark.parametrize("wish_s", [60.0, 0.0])
def test_e2_a_delivery_while_the_remote_is_away_is_not_forgotten(wish_s: float) -> None:
    """P10: the pass that sees what it told of begins because of the time: no miss, and the reaction is the whole wait."""
    stage = loops.Stage()
    stage.worker.answers, stage.worker.published = [loops.good(), away(wish_s), loops.good()], True
    stage.worker.sight = turning.Sight(None, good=False, away=True)
    stage.worker = _Blind(**vars(stage.worker))
    stage.rhythm = requeue.Rhythm(30.0, lambda failures: 20.0, jitter=0.0)

    def push() -> None:
        stage.worker.content = "two"
        stage.runs.request(runs.Cause.WEBHOOK)

    stage.runs.at(31, push)
    stage.runs.at(45, lambda: setattr(stage.worker, "sight", None))
    stage.run(100, rescan_s=1000.0)
    seen = [turn for turn in stage.turns if turn.ended and turn.ended.subject == "two"]
    assert runs.Cause.WEBHOOK not in seen[0].run.causes
    assert not seen[0].missed
    assert seen[0].reaction_s == (59.0 if wish_s else 19.0)
    assert [turn.missed for turn in stage.turns].count(True) == 0
