"""One target as the loop drives it: every pass opens it anew, so that nothing is believed that is not on the disk.

Stands between `controller.loop` and `controller.reconciler`. Owns the identity of content that cannot be read.
"""

import datetime
from dataclasses import replace

from controller import cancellation, clock, errors, pulse, reconciler, report, settings, target, timing, turning, world
from controller.sources import settling, shared_fetches
from core import conditions, digest, policy, record
from core import problems as found

_MOMENT_S = 0.1


class Worker:
    """Passes over the target that `configured` describes. `allowed` is what was allowed on the command line."""

    def __init__(  # noqa: PLR0913 - what surrounds a worker, by name
        self,
        configured: settings.Settings,
        beats: pulse.Pulse,
        cuts: cancellation.Cancellation,
        *,
        allowed: policy.Permissions = policy.Permissions(),
        machine: clock.Clock = clock.Clock(),
        shared: shared_fetches.Member | None = None,
    ) -> None:
        self._configured = configured
        self._beats = beats
        self._cuts = cuts
        self._allowed = allowed
        self._clock = machine
        self._limits = limits(configured)
        self._settle = settling.of_directories(configured, machine)
        self._shared = shared or shared_fetches.SharedFetches(machine).member()
        self._timed: timing.Timed | None = None

    @property
    def subject(self) -> str:
        """The identity of the content that the pass under way works on."""
        return self._timed.subject if self._timed else ""

    def look(self, *, whole: bool = False) -> turning.Sight:
        """The source's content now. Content that breaks the contract has an identity too: what is wrong with it. With
        `whole`, what is new is read to its end, to say whether it may take the place of what is worked on."""
        subject = ""
        served = False
        try:
            with self._open() as opened:
                fetched = opened.fetch()
                served = fetched.away is not None
                subject = timing.subject(fetched)
                if whole and subject != self.subject:
                    opened.read()
        except errors.ControllerError as error:
            away = error.reason == conditions.AWAY
            lasting = error.meaning.disposition is not errors.Disposition.TRANSIENT
            seen = subject or (identity(error.reason, error.message, error.problems) if lasting else None)
            return turning.Sight(seen, good=False, away=away, retry_after_s=error.retry_after_s)
        return turning.Sight(subject, good=not fetched.missing_secrets, away=served)

    def converge(self) -> turning.Ended:
        """One pass. What cannot even be opened is a failed pass like any other."""
        self._timed = None
        try:
            unopened = self._open()
        except errors.ControllerError as error:
            seen = identity(error.reason, error.message, error.problems)
            return turning.Ended(report.of_error(error), seen, seen=False)
        with unopened as opened:
            timed = timing.Timed(opened, self._beats, self._limits, self._clock)
            self._timed = timed
            ended = reconciler.reconcile_once(timed, world.Request(opened.rules, self._allowed))
            known = _record_of(opened)
        if timed.away:  # `shared` obeys the wish of the remote, and passes go on meanwhile
            ended = replace(ended, retry_after_s=0.0)
        if not ended.failed:  # one take-over is meant, not one in answer to each of somebody else's
            self._allowed = replace(self._allowed, take_over=False)
        return turning.Ended(
            ended,
            timed.subject or identity(ended.reason, ended.message, ended.problems),
            timed.commit,
            dict(timed.phases),
            timed.published_s,
            timed.provisioned,
            {one.type: one.status for one in known.conditions.values()},
            known.suspension is not None,
            seen=bool(timed.subject),
            suspended_s=_left_s(known.suspension, self._clock),
            served=timed.away != "" and ended.reason == timed.away,
        )

    def refuse(self, error: errors.ControllerError) -> turning.Ended:
        """A pass that is not run, because of other targets: `status` shows that too. Nothing cuts this short."""
        try:
            with target.Target(self._configured, machine=self._clock) as opened:
                ended = reconciler.not_run(opened, error)
                known = _record_of(opened)
        except errors.ControllerError:
            return turning.Ended(report.of_error(error), seen=False)
        statuses = {one.type: one.status for one in known.conditions.values()}
        return turning.Ended(ended, conditions=statuses, suspended=known.suspension is not None, seen=False)

    def _open(self) -> target.Target:
        return target.Target(
            self._configured, cuts=self._cuts, settle=self._settle, shared=self._shared, machine=self._clock
        )


def limits(configured: settings.Settings) -> timing.Limits:
    """How long steps may take when every deadline of the settings is used up."""
    given = configured.deadlines
    return timing.Limits(
        lock_s=configured.lock_wait,
        fetch_s=(given.git * 3 + 60.0) * max(len(configured.source.gits), 1),
        look_s=given.probe * 4,
        build_s=given.build,
        push_s=given.push * 4,
        provision_s=given.provision * configured.stack.provision_attempts + given.probe * 4,
    )


def longest_look_s(configured: settings.Settings) -> float:
    """How long one look at the sources may take: a folder is given its patience to come to rest."""
    patience_s = sum(directory.patience for directory in configured.source.directories)
    return limits(configured).fetch_s + patience_s


def _record_of(opened: target.Target) -> record.Record:
    """What is told besides the report; a record that cannot be read is told by the pass (faults.md P15)."""
    try:
        return opened.remember(with_items=False)
    except errors.ControllerError:
        return record.Record()


def recorded_failure(configured: settings.Settings) -> bool:
    """Whether the record says that the last pass failed."""
    with target.Target(configured) as opened:
        ready = _record_of(opened).conditions.get("Ready")
    return ready is not None and ready.status == "False"


def _left_s(suspension: record.Suspension | None, machine: clock.Clock) -> float | None:
    """How long it still lasts; None when it is none, or stands until somebody lifts it. Never so short that the next
    pass, by a clock that is set or read in whole seconds, begins again and again before its end."""
    if suspension is None or suspension.until is None:
        return None
    until = datetime.datetime.fromisoformat(suspension.until)
    return max((until - machine.utc()).total_seconds(), _MOMENT_S)


def identity(reason: str, message: str, problems: tuple[found.Problem, ...]) -> str:
    """What stands for content that could not be had. Of what may pass by itself only the reason and the places count:
    words such as "after 4394 ms" are others every time, and would begin the back-off anew (faults.md C3)."""
    if errors.MEANINGS[reason].disposition is errors.Disposition.TRANSIENT:
        return digest.of_parts((reason, *sorted({problem.file for problem in problems})))
    return digest.of_parts((reason, message, *map(str, problems)))
