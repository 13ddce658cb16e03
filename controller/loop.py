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


@dataclass(frozen=True, slots=True)
class Ended:
    """How a pass of the worker ended. `subject` is the identity of the content that it saw, "" for none; `phases` are
    in seconds; `published_s` is the monotonic time at which consumers saw the new documents. `conditions` are
    statuses by type."""

    report: report.Report
    subject: str = ""
    commit: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    published_s: float | None = None
    provisioned: bool = False
    conditions: Mapping[str, str] = field(default_factory=dict)
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the loop, as it is told to people and programs. Without `ended` it was only a look, or it was cut
    short by newer content; `standing` is then how the last pass ended, which is still so. `next_s` is the wait until
    the next pass; `missed` says that content moved and no event had told so."""

    run: runs.Run
    ended: Ended | None
    took_s: float
    next_s: float
    superseded: bool = False
    missed: bool = False
    traceback: str = ""
    standing: report.Report | None = None


class Worker(Protocol):
    """What the loop drives."""

    @property
    def subject(self) -> str:
        """The identity of the content that the pass under way works on."""

    def look(self) -> str | None:
        """The identity of the source's content now, without doing anything about it; None when it cannot be had."""

    def converge(self) -> Ended:
        """One pass. Raises what `cancellation` raises, and what is a bug."""


@dataclass(frozen=True, slots=True)
class Plumbing:
    """What the loop is connected with: requests, signs of life, the wish for an end, and who is told. `idle` is called
    before every wait."""

    runs: runs.Runs
    pulse: pulse.Pulse
    cuts: cancellation.Cancellation
    told: Callable[[Turn], None]
    idle: Callable[[], object] = lambda: None
    machine: clock.Clock = clock.Clock()
    chance: Callable[[], float] = random.random


class Loop:
    """One target's loop. `rescan_s` is the longest time between two looks at the source."""

    def __init__(self, worker: Worker, rhythm: requeue.Rhythm, rescan_s: float, plumbing: Plumbing) -> None:
        self._worker = worker
        self._rhythm = rhythm
        self._rescan_s = rescan_s
        self._with = plumbing
        self._standing = requeue.Standing()
        self._last: report.Report | None = None
        self._untold = ""
        self._next_pass_s = self._next_look_s = self._now()
        self._requests_seen = 0
        self._cut = 0

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
        if began_s < self._next_pass_s and self._is_patient(run) and self._sees_nothing_new():
            self._next_look_s = self._now() + self._rescan_s
            now_s = self._now()
            self._tell(Turn(run, None, now_s - began_s, self._next_pass_s - now_s, standing=self._last))
            return
        self._pass(run, began_s)

    def _is_patient(self, run: runs.Run) -> bool:
        """Whether new content is the only reason to begin before the time."""
        only_looks = run.causes <= _ONLY_LOOKS
        return only_looks and (self._standing.backs_off or run.causes == {runs.Cause.RESCAN})

    def _sees_nothing_new(self) -> bool:
        self._with.pulse.enter("looking", self._rescan_s)
        try:
            return self._worker.look() in (self._standing.subject, None)
        except Exception:  # noqa: BLE001 - a bug: a pass meets it too, and tells it
            return False

    def _pass(self, run: runs.Run, began_s: float) -> None:
        ended, superseded, trace = None, False, ""
        known = self._standing.subject
        self._requests_seen = self._with.runs.requests
        self._next_look_s = self._now() + self._rescan_s
        try:
            with self._with.cuts.superseded_by(self._is_newer):
                ended = self._worker.converge()
        except cancellation.Superseded:
            superseded = True
        except Exception as error:  # noqa: BLE001 - the one place besides cli.main: the next pass may do better
            trace = traceback.format_exc()
            ended = Ended(report.Report("Bug", type(error).__name__), known)
        self._last = ended.report if ended else self._last
        self._stand(ended)
        told = run.causes - {runs.Cause.RESCAN, runs.Cause.INTERVAL, runs.Cause.RETRY}
        missed = bool(ended and known and ended.subject not in ("", known) and not told)
        took_s = self._now() - began_s
        self._tell(Turn(run, ended, took_s, self._next_pass_s - self._now(), superseded, missed, trace or self._untold))

    def _tell(self, turn: Turn) -> None:
        """What cannot be told fails no pass and ends nothing (faults.md P15): the next pass says what was wrong."""
        try:
            self._with.told(turn)
        except Exception:  # noqa: BLE001 - a bug in telling
            self._untold = traceback.format_exc()
        else:
            self._untold = "" if turn.traceback else self._untold

    def _stand(self, ended: Ended | None) -> None:
        """What the pass means for the next wait."""
        ending = requeue.Ending.CUT if ended is None else ending_of(ended.report)
        subject = ended.subject if ended else ""
        self._standing = requeue.after(self._standing, ending, subject)
        self._cut = self._cut + 1 if ending is requeue.Ending.CUT else 0
        if ending is requeue.Ending.GOOD:
            self._with.pulse.good()
        wait_s = requeue.wait_s(self._standing, self._rhythm, chance=self._with.chance())
        wait_s = max(wait_s, min(ended.report.retry_after_s, LONGEST_WISH_S) if ended else 0.0)
        self._next_pass_s = self._now() + wait_s
        self._next_look_s = self._now() + self._rescan_s

    def _is_newer(self) -> bool:
        """Whether the content has moved on since the pass under way began: looked at when somebody asks, and from time
        to time."""
        requests = self._with.runs.requests
        if self._cut >= CUT_AT_MOST:
            return False
        if requests == self._requests_seen and self._now() < self._next_look_s:
            return False
        self._requests_seen, self._next_look_s = requests, self._now() + self._rescan_s
        return self._worker.look() not in (self._worker.subject, None)

    def _now(self) -> float:
        return self._with.machine.monotonic_s()


def ending_of(ended: report.Report) -> requeue.Ending:
    """What a report means for the next wait: the table of `controller.errors` says whether trying again may help."""
    if not ended.failed:
        return requeue.Ending.GOOD
    terminal = errors.MEANINGS[ended.reason].disposition is errors.Disposition.TERMINAL
    return requeue.Ending.REFUSED if terminal else requeue.Ending.FAILED
