"""The loop: wait, look, converge, tell, and wait again (design.md section 1).

Level-based: a turn looks at the world and never at what woke it; one turn at a time, and all requests that arrive
before it begins are one. Owns when to look and when to be patient, by `core.requeue`; what a pass does is the worker's,
what is told of it is told elsewhere. A bug in a pass ends that pass, not the loop. Every wait is on the monotonic clock
(faults.md L1).
"""

import random
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller import cancellation, clock, errors, pulse, report, runs
from core import requeue

CUT_AT_MOST = 3
"""So many passes in a row give way to newer content; the next one makes its images to the end, or a source that changes
faster than they are made would never be live."""

LONGEST_WISH_S = 3600.0
"""A remote that asks not to be asked again (``Retry-After``) is obeyed for so long at most (faults.md E2)."""

_ONLY_LOOKS = frozenset({runs.Cause.FILES, runs.Cause.WEBHOOK, runs.Cause.RESCAN})
"""Causes that say nothing but that the source may have moved: content that has just failed is not tried again."""

_WORDS_OF_CHANGE = frozenset({runs.Cause.FILES, runs.Cause.WEBHOOK})
"""Causes that come with a change of the source, so that the time since then is the one of the reaction."""

AWAY = "SourceUnavailable"
"""The reason of a remote that does not answer: it is asked again in its own time, whoever asks here (faults.md E2)."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at the source saw. `subject` is the identity of its content, None when it cannot be had. `good` says
    that the content may be read and is trusted. `away` says that a remote does not answer; `retry_after_s` is how long
    it asked not to be asked again."""

    subject: str | None
    good: bool = True
    away: bool = False
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a pass of the worker ended. `subject` is the identity of the content that it saw, "" for none; `phases` are
    in seconds; `published_s` is the monotonic time at which consumers saw the new documents. `conditions` are
    statuses by type; `seen` says that the content could be had; `suspended_s` is how long a suspension that has
    an end still lasts, in seconds."""

    report: report.Report
    subject: str = ""
    commit: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    published_s: float | None = None
    provisioned: bool = False
    conditions: Mapping[str, str] = field(default_factory=dict)
    suspended: bool = False
    seen: bool = True
    suspended_s: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the loop, as it is told to people and programs. Without `ended` it was only a look, or it was cut
    short by what `cut_by` says; `standing` is then how the last pass ended, which is still so. `next_s` is the wait
    until the next pass; `missed` says that content moved and no event had told so; `put_off_s` is for how long the
    remote wishes not to be asked, and was not. `reaction_s` is the time from the first word of new content to its
    publication, None where nothing new was published or nobody had told of it."""

    run: runs.Run
    ended: Ended | None
    took_s: float
    next_s: float
    superseded: bool = False
    missed: bool = False
    traceback: str = ""
    standing: report.Report | None = None
    put_off_s: float = 0.0
    reaction_s: float | None = None
    cut_by: str = ""


class Worker(Protocol):
    """What the loop drives."""

    @property
    def subject(self) -> str:
        """The identity of the content that the pass under way works on."""

    def look(self, *, whole: bool = False) -> Sight:
        """The source's content now, without doing anything about it. With `whole`, all of what is new is read, to say
        whether it is good."""

    def converge(self) -> Ended:
        """One pass. Raises what `cancellation` raises, and what is a bug."""


@dataclass(frozen=True, slots=True)
class Plumbing:
    """What the loop is connected with: requests, signs of life, the wish for an end, and who is told. `idle` is called
    before every wait; `look_s` is the longest that one look at the source may take."""

    runs: runs.Runs
    pulse: pulse.Pulse
    cuts: cancellation.Cancellation
    told: Callable[[Turn], None]
    idle: Callable[[], object] = lambda: None
    machine: clock.Clock = clock.Clock()
    chance: Callable[[], float] = random.random
    look_s: float = 60.0


class Loop:
    """One target's loop. `rescan_s` is the longest time between two looks at the source."""

    def __init__(self, worker: Worker, rhythm: requeue.Rhythm, rescan_s: float, plumbing: Plumbing) -> None:
        self._worker = worker
        self._rhythm = rhythm
        self._rescan_s = rescan_s
        self._with = plumbing
        self._standing = requeue.Standing()
        self._last: report.Report | None = None
        self._untold = self._seen = ""
        self._next_pass_s = self._next_look_s = self._now()
        self._requests_seen = 0
        self._cut = 0
        self._away = 0
        self._closed_until_s = self._now()
        self._word = requeue.Word()

    def run(self) -> None:
        """Until somebody wants an end: returns between two passes, raises `errors.Interrupted` when one was cut."""
        self._with.runs.request(runs.Cause.START)
        try:
            while self._sleep():
                with self._with.runs.begun(self._due()) as run:
                    self._turn(run)
        finally:
            self._with.pulse.end()

    def _sleep(self) -> bool:
        """Wait for a request or for the time; whether to go on."""
        self._with.idle()
        while not self._is_over():
            wait_s = min(self._next_pass_s, self._next_look_s) - self._now()
            self._with.pulse.enter("waiting", max(wait_s, 0.0))
            if self._with.runs.await_request(wait_s) or wait_s <= 0:
                break
        return not self._is_over()

    def _is_over(self) -> bool:
        return self._with.cuts.stopped or self._with.cuts.retired

    def _due(self) -> runs.Cause:
        """Why a turn begins that nobody asked for."""
        if self._now() < self._next_pass_s:
            return runs.Cause.RESCAN
        return runs.Cause.RETRY if self._standing.ending is requeue.Ending.FAILED else runs.Cause.INTERVAL

    def _turn(self, run: runs.Run) -> None:
        began_s = self._now()
        closed_s = max(self._closed_until_s - began_s, 0.0)
        if closed_s or (began_s < self._next_pass_s and self._is_patient(run) and self._sees_nothing_new()):
            now_s = self._now()
            rest_s = self._next_pass_s - now_s
            self._tell(Turn(run, None, now_s - began_s, rest_s, standing=self._last, put_off_s=closed_s))
            return
        self._pass(run, began_s)

    def _is_patient(self, run: runs.Run) -> bool:
        """Whether new content is the only reason to begin before the time."""
        only_looks = run.causes <= _ONLY_LOOKS
        return only_looks and (self._standing.backs_off or run.causes == {runs.Cause.RESCAN})

    def _sees_nothing_new(self) -> bool:
        self._with.pulse.enter("looking", self._with.look_s)
        try:
            return self._look().subject in (self._standing.subject, None)
        except Exception:  # noqa: BLE001 - a bug: a pass meets it too, and tells it
            return False

    def _look(self, *, whole: bool = False) -> Sight:
        """Look, and say when to look again: a remote that is away is left alone for as long as its back-off lasts, and
        longer if it asks for that."""
        seen = self._worker.look(whole=whole)
        self._next_look_s = self._now() + self._rescan_s
        self._away = self._away + 1 if seen.away else 0
        if seen.away:
            self._leave_alone(self._rhythm.backoff_s(self._away), seen.retry_after_s)
        return seen

    def _leave_alone(self, backoff_s: float, wish_s: float) -> None:
        """Put off the next look at a remote that is away; what it wishes puts off the next pass too."""
        self._next_look_s = max(self._next_look_s, self._now() + backoff_s)
        if self._standing.ending is requeue.Ending.FAILED:
            self._next_look_s = max(self._next_look_s, self._next_pass_s)
        if wish_s > 0:
            self._closed_until_s = self._now() + min(wish_s, LONGEST_WISH_S)
            self._next_look_s = max(self._next_look_s, self._closed_until_s)
            self._next_pass_s = max(self._next_pass_s, self._closed_until_s)

    def _pass(self, run: runs.Run, began_s: float) -> None:
        ended, cut_by, trace = None, "", ""
        known = self._standing.subject
        self._requests_seen = self._with.runs.requests
        self._next_look_s = self._now() + self._rescan_s
        try:
            with self._with.cuts.superseded_by(self._is_newer):
                ended = self._worker.converge()
        except cancellation.Superseded as cut:
            cut_by = str(cut)
        except Exception as error:  # noqa: BLE001 - the one place besides cli.main: the next pass may do better
            trace = traceback.format_exc()
            ended = Ended(report.Report("Bug", type(error).__name__), known, seen=False)
        self._last = ended.report if ended else self._last
        self._stand(ended, self._now() - began_s)
        reaction_s = self._reaction_s(run, ended)
        told = run.causes - {runs.Cause.RESCAN, runs.Cause.INTERVAL, runs.Cause.RETRY}
        missed = bool(ended and ended.seen and self._seen and ended.subject not in ("", self._seen) and not told)
        self._seen = ended.subject if ended and ended.seen and ended.subject else self._seen
        took_s = self._now() - began_s
        self._tell(
            Turn(
                run,
                ended,
                took_s,
                self._next_pass_s - self._now(),
                ended is None,
                missed,
                trace or self._untold,
                cut_by=cut_by,
                reaction_s=reaction_s,
            )
        )

    def _reaction_s(self, run: runs.Run, ended: Ended | None) -> float | None:
        """Seconds from the first word of the content to its publication."""
        if ended is None:
            self._word = requeue.Word(live=self._word.live)
            return None
        told = run.causes & _WORDS_OF_CHANGE and runs.Cause.START not in run.causes
        hidden = self._standing.ending is requeue.Ending.FAILED and not ended.seen
        first_s, self._word = requeue.heard(
            self._word,
            "" if hidden else ended.subject,
            told_s=run.requested_s if told else None,
            good=self._standing.ending is requeue.Ending.GOOD,
        )
        return None if ended.published_s is None or first_s is None else ended.published_s - first_s

    def _tell(self, turn: Turn) -> None:
        """What cannot be told fails no pass and ends nothing (faults.md P15): the next pass says what was wrong."""
        try:
            self._with.told(turn)
        except Exception:  # noqa: BLE001 - a bug in telling
            self._untold = traceback.format_exc()
        else:
            self._untold = "" if turn.traceback else self._untold

    def _stand(self, ended: Ended | None, took_s: float) -> None:
        """What the pass means for the next wait."""
        ending = requeue.Ending.CUT if ended is None else ending_of(ended.report)
        subject = ended.subject if ended else ""
        self._standing = requeue.after(self._standing, ending, subject)
        self._cut = self._cut + 1 if ending is requeue.Ending.CUT else 0
        if ending is requeue.Ending.GOOD:
            self._with.pulse.good(took_s)
        if ending is not requeue.Ending.CUT:
            self._with.pulse.rest()
        wait_s = requeue.wait_s(self._standing, self._rhythm, chance=self._with.chance())
        wait_s = max(wait_s, min(ended.report.retry_after_s, LONGEST_WISH_S) if ended else 0.0)
        if ended and ended.suspended_s is not None:
            wait_s = min(wait_s, ended.suspended_s)
        self._next_pass_s = max(self._now() + wait_s, self._closed_until_s)
        self._next_look_s = max(self._now() + self._rescan_s, self._closed_until_s)
        self._away = self._away + 1 if ended and ended.report.reason == AWAY else 0
        if ended and self._away:
            self._leave_alone(wait_s, ended.report.retry_after_s)

    def _is_newer(self) -> bool:
        """Whether there is newer content that is better than what the pass under way works on: looked at when somebody
        asks, and from time to time. What cannot be read, or is not trusted, cuts nothing."""
        requests = self._with.runs.requests
        if self._cut >= CUT_AT_MOST:
            return False
        if requests == self._requests_seen and self._now() < self._next_look_s:
            return False
        self._requests_seen = requests
        if self._now() < self._closed_until_s:
            return False
        seen = self._look(whole=True)
        return seen.good and seen.subject not in (self._worker.subject, None)

    def _now(self) -> float:
        return self._with.machine.monotonic_s()


def ending_of(ended: report.Report) -> requeue.Ending:
    """What a report means for the next wait: the table of `controller.errors` says whether trying again may help."""
    if not ended.failed:
        return requeue.Ending.GOOD
    terminal = errors.MEANINGS[ended.reason].disposition is errors.Disposition.TERMINAL
    return requeue.Ending.REFUSED if terminal else requeue.Ending.FAILED
