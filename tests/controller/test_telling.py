"""What is told of turns that were cut, and to those who hear of changes only (faults.md P15, I7)."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from controller import metrics, runs, telling, turning
from tests.fakes import loops


class _Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, object]] = []
        self.events: list[str] = []

    def write(self, level: str, event: str, **fields: object) -> None:
        """A line of the log."""
        self.lines.append({"level": level, "event": event, **fields})

    def tell(self, event: str, fields: Mapping[str, object]) -> None:
        """A message."""
        del fields
        self.events.append(event)


@pytest.mark.parametrize(
    ("by", "words"), [("settings", "the settings were read again"), ("news", "newer content came")]
)
def test_a_pass_that_was_cut_says_by_what(by: str, words: str) -> None:
    stage, kept = loops.Stage(), _Kept()
    stage.tell = telling.Telling(telling.Who("one", "git"), stage.runs, kept, metrics.Metrics().of("one"), None)  # type: ignore[method-assign]  # the real one

    def build() -> None:
        stage.worker.during = lambda: None
        if by == "settings":
            stage.cuts.retire()
        stage.worker.content = "two"
        stage.runs.request(runs.Cause.WEBHOOK)
        stage.cuts.check_newer()

    stage.worker.during = build
    stage.run(1)
    assert (kept.lines[0]["reason"], kept.lines[0]["message"]) == ("Superseded", words)


@pytest.mark.parametrize(
    ("before", "answers", "events"),
    [
        (None, [loops.good()], []),
        ("", [loops.good()], ["recovered"]),
        ("", [loops.bad()], ["failed"]),
        ("RegistryUnavailable", [loops.bad()], []),
        ("RegistryUnavailable", [loops.bad("NoManifest")], ["failed"]),
        ("RegistryUnavailable", [loops.bad(), loops.good()], ["recovered"]),
    ],
    ids=str,
)
def test_i7_how_it_stood_before_counts(before: str | None, answers: list[object], events: list[str]) -> None:
    """Before these settings, or before this process: there a failure of unknown reason is told again."""
    stage, kept, failing = loops.Stage(), _Kept(), telling.Failing(before)
    stage.worker.answers = list(answers)  # type: ignore[arg-type]  # reports
    who = telling.Who("one", "git", failing=failing)
    stage.tell = telling.Telling(who, stage.runs, kept, metrics.Metrics().of("one"), kept)  # type: ignore[method-assign]  # the real one
    stage.run(20)
    assert kept.events == events
    assert (failing.reason is not None) is (events[-1:] != ["recovered"] and before is not None)


def test_the_wait_ends_with_a_suspension() -> None:
    """P16: and not an interval later."""
    stage = loops.Stage()
    real = stage.worker.converge

    def suspended() -> turning.Ended:
        ended = real()
        left_s = 1007.0 - stage.machine.now
        return turning.Ended(loops.bad("Suspended"), ended.subject, suspended_s=left_s) if left_s > 0 else ended

    stage.worker.converge = suspended  # type: ignore[method-assign]  # a suspension is planted
    stage.run(60)
    assert stage.moments == [0.0, 7.0, 37.0]


def test_what_the_last_good_checkout_healed_is_told_although_the_pass_has_failed() -> None:
    stage, kept = loops.Stage(), _Kept()
    stage.worker.answers = [replace(loops.bad("SourceUnavailable"), changed=True)]
    stage.tell = telling.Telling(telling.Who("one", "git"), stage.runs, kept, metrics.Metrics().of("one"), None)  # type: ignore[method-assign]  # the real one
    for served in (False, True):
        stage.worker.served = served
        stage.run(1 if served else 0.5)
        assert (kept.lines[-1]["failed"], kept.lines[-1]["changed"]) == (True, served)
        stage.cuts = type(stage.cuts)()
