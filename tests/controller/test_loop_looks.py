"""Turns of the loop that only look at the source (faults.md C4, P11): what they tell, and what a bug in one does."""

from controller import loop, metrics, runs, telling
from tests.fakes import loops


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
    told = telling.Telling(telling.Who("one", "git"), stage.runs, _Log(), metrics.Metrics(), None)
    stage.tell = told  # type: ignore[method-assign]  # the real one in the place of the fake
    stage.run(25.0)
    outcomes = [found.outcome for found in map(stage.runs.find, asked) if found]
    assert [(one["reason"], one["failed"]) for one in outcomes] == [("Unchanged", True), ("Unchanged", False)]
    assert "ImageBuildFailed" in str(outcomes[0]["message"])


def test_a_bug_in_a_look_ends_the_look_and_not_the_loop() -> None:
    """The pass that follows meets it too, and tells it."""
    stage = loops.Stage()
    stage.worker.answers = [loops.bad(), KeyError("a bug"), loops.good()]

    def broken() -> str | None:
        raise KeyError("a bug")

    stage.worker.look = broken  # type: ignore[method-assign]  # a fault is planted
    stage.runs.at(2, lambda: stage.runs.request(runs.Cause.WEBHOOK))
    turns: list[loop.Turn] = stage.run(20.0)
    assert [turn.ended.report.reason for turn in turns if turn.ended] == ["RegistryUnavailable", "Bug", "InSync"]
