"""What is told of every turn of the loop: a log line, metrics, a message, and the run's outcome for who asked for it.

Stands behind the loop. Owns the words and fields; decides nothing, and a failure in here never reaches the loop
(faults.md P15).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller import metrics, output, runs, turning
from core import conditions, diff, digest, image_work, outcomes


class Log(Protocol):
    """What is asked of `log.Log`."""

    def write(self, level: str, event: str, **fields: object) -> None:
        """One line."""


class Metrics(Protocol):
    """What is asked of `metrics.OfTarget`."""

    def pass_ended(self, ended: metrics.Pass) -> None:
        """A pass is over."""

    def provisioner_run(self, ok: bool) -> None:
        """The provisioner ran."""

    def watch_missed(self) -> None:
        """Content moved, and no event had told so."""

    def fetched(self, source: str, ok: bool, seconds: float) -> None:
        """The source was looked at."""

    def condition(self, type_: str, status: str) -> None:
        """A condition as it is now."""

    def suspended(self, suspended: bool) -> None:
        """Whether the target is suspended."""


class Notices(Protocol):
    """What is asked of `notify.Notifier`."""

    def tell(self, event: str, fields: Mapping[str, object]) -> None:
        """Queue a message."""


@dataclass(slots=True)
class Failing:
    """What the last pass failed with, for who is told only of changes; None when it did not fail. "" is a failure of
    which nobody here was told. Outlives the settings."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Who:
    """Of whom it is told: the target's name, and the kind of its source (directory, git). `listens` says that changes
    of the source are to be heard of, so that one which was not is a miss. `failing` is how it stands, and is kept."""

    name: str
    source: str
    listens: bool = True
    failing: Failing = field(default_factory=Failing)


class Telling:
    """Everybody who is told."""

    def __init__(self, told: Who, asked: runs.Runs, log: Log, counts: Metrics, notices: Notices | None) -> None:
        self._name = told.name
        self._source = told.source
        self._listens = told.listens
        self._runs = asked
        self._log = log
        self._metrics = counts
        self._notices = notices
        self._failing = told.failing

    def __call__(self, turn: turning.Turn) -> None:
        """Tell of one turn."""
        fields = _fields(turn)
        try:
            self._write(turn, fields)
            self._measure(turn, fields)
            self._notify(turn, fields)
        finally:
            self._runs.end(turn.run, fields)

    def _write(self, turn: turning.Turn, fields: Mapping[str, object]) -> None:
        if turn.ended is None and not turn.superseded:
            self._log.write("debug", "looked", target=self._name, run=turn.run.id, seconds=round(turn.took_s, 3))
            return
        failed = bool(turn.ended and turn.ended.report.failed)
        self._log.write("error" if failed else "info", "pass", target=self._name, **fields)
        for problem in turn.ended.report.problems if failed and turn.ended else ():
            self._log.write("error", "problem", target=self._name, run=turn.run.id, **output.problem_payload(problem))
        if turn.traceback:
            trace = turn.traceback.splitlines()
            self._log.write("error", "bug", target=self._name, run=turn.run.id, traceback=trace)

    def _measure(self, turn: turning.Turn, fields: Mapping[str, object]) -> None:
        if turn.missed and self._listens:
            self._metrics.watch_missed()
        if turn.ended is None:
            return
        ended = turn.ended
        published = fields.get("changed_to_published_s")
        self._metrics.pass_ended(
            metrics.Pass(
                str(ended.report.reason),
                ended.report.failed,
                ended.phases,
                published if isinstance(published, float) else None,
                _built(ended),
                _healed(ended),
            )
        )
        if "fetch" in ended.phases:
            self._metrics.fetched(
                self._source, bool(ended.report.reason not in conditions.SOURCE_REASONS), ended.phases["fetch"]
            )
        for type_, status in ended.conditions.items():
            self._metrics.condition(type_, status)
        if ended.conditions or ended.suspended:  # else nobody looked into the record
            self._metrics.suspended(ended.suspended)
        if ended.provisioned or ended.report.reason == "ProvisionerFailed":
            self._metrics.provisioner_run(ended.provisioned and _went_well(ended))

    def _notify(self, turn: turning.Turn, fields: Mapping[str, object]) -> None:
        if turn.ended is None or self._notices is None:
            return
        ended, before = turn.ended.report, self._failing.reason
        self._failing.reason = str(ended.reason) if ended.failed else None
        told = {"target": self._name, **fields}
        if ended.failed and before != ended.reason:
            self._notices.tell("failed", told)
        elif not ended.failed and before is not None:
            self._notices.tell("recovered", told)
        elif ended.changed:
            self._notices.tell("changed", told)


def _went_well(ended: turning.Ended) -> bool:
    """Whether what was to be done was done; with the last good checkout the pass has failed all the same."""
    return ended.served or not ended.report.failed


def _healed(ended: turning.Ended) -> bool:
    decision = ended.report.decision
    outcome = decision.outcome if ended.served and decision else ended.report.reason
    return outcome == outcomes.Outcome.DRIFTED


def _built(ended: turning.Ended) -> int:
    decision = ended.report.decision
    works = decision.images if decision and _went_well(ended) else ()
    return sum(work.need is image_work.Need.BUILD for work in works)


def _without_a_pass(turn: turning.Turn) -> dict[str, object]:
    """Nothing new is no success while the last pass failed: who pushed, and asks again, must not be told so."""
    if turn.superseded:
        return {"reason": "Superseded", "message": turn.cut_by, "failed": False}
    last = turn.standing
    if turn.put_off_s:
        words = f"not looked: the remote asked not to be asked for another {turn.put_off_s:.0f} s"
        return {"reason": "Unchanged", "message": words, "failed": bool(last and last.failed)}
    if last is None or not last.failed:
        return {"reason": "Unchanged", "message": "nothing new", "failed": False}
    words = f"nothing new since the pass that failed, {last.reason}: {last.message}"
    return {"reason": "Unchanged", "message": words, "failed": True}


def _fields(turn: turning.Turn) -> dict[str, object]:
    """The facts of a turn, as docs/json.md describes a run's outcome and docs/operations.md a log line."""
    common: dict[str, object] = {
        "run": turn.run.id,
        "causes": sorted(turn.run.causes),
        "seconds": round(turn.took_s, 3),
        "next_in_s": round(max(turn.next_s, 0.0), 1),
    }
    if turn.ended is None:
        return {**_without_a_pass(turn), "changed": False, **common}
    ended, result = turn.ended, turn.ended.report
    fields: dict[str, object] = {
        "reason": str(result.reason),
        "message": result.message,
        "failed": result.failed,
        "changed": result.changed and _went_well(ended),
        "revision": digest.short(result.revision) if result.revision else "",
        "generation": result.generation,
        **common,
        "phases": {name: round(seconds, 4) for name, seconds in ended.phases.items()},
    }
    if ended.commit:
        fields["commit"] = ended.commit
    if result.hint:
        fields["hint"] = result.hint
    if result.decision is not None:
        counted = Counter(change.operation for change in result.decision.comparison.changes)
        fields |= {f"{operation.name.lower()}_items": counted[operation] for operation in diff.Operation}
        fields["images_built"] = _built(ended)
    if turn.reaction_s is not None:
        fields["changed_to_published_s"] = round(turn.reaction_s, 4)
    return fields
