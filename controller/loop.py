"""The loop: wait, look, converge, tell, and wait again (design.md section 1).

Level-based: a turn looks at the world and never at what woke it; one turn at a time, and all requests that arrive
before it begins are one. Owns when to look and when to be patient, by `core.requeue`; what a pass does is the worker's,
what is told of it is told elsewhere. A bug in a pass ends that pass, not the loop. Every wait is on the monotonic clock
(faults.md L1).
"""

import traceback

from controller import cancellation, errors, ordering, report, runs, turning, words
from core import conditions, requeue, turn_order

CUT_AT_MOST = 3
"""So many passes in a row give way to newer content; the next one makes its images to the end, or a source that changes
faster than they are made would never be live."""

_ONLY_LOOKS = frozenset({runs.Cause.FILES, runs.Cause.WEBHOOK, runs.Cause.RESCAN, runs.Cause.SHARED})
"""Causes that say nothing but that the source may have moved: content that has just failed is not tried again."""

_TURN_S = 30.0
"""After so long of waiting for those that come before, a sign of life is given."""


class Loop:
    """One target's loop. `rescan_s` is the longest time between two looks at the source."""

    def __init__(
        self, worker: turning.Worker, rhythm: requeue.Rhythm, rescan_s: float, plumbing: turning.Plumbing
    ) -> None:
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
        self._served = False
        self._closed_until_s = self._now()
        self._word = requeue.Word()
        self._heard = words.Words()
        self._verdict = turn_order.Verdict(turn_order.Word.BEGIN)

    def run(self) -> None:
        """Until somebody wants an end: returns between two passes, raises `errors.Interrupted` when one was cut."""
        self._with.runs.request(runs.Cause.START)
        try:
            while self._sleep() and self._is_its_turn():
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

    def _is_its_turn(self) -> bool:
        """Wait for the targets that come before; whether to go on."""
        place = self._with.place
        while place is not None and not self._is_over():
            self._with.pulse.enter("waiting", _TURN_S)
            self._verdict = place.pause(self._is_over, _TURN_S)
            if self._verdict.word is not turn_order.Word.WAIT:
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
        if closed_s or (began_s < self._next_pass_s and self._is_patient(run) and self._sees_nothing_new(run)):
            if closed_s:
                self._heard = self._heard.and_of(run)
            now_s = self._now()
            rest_s = self._next_pass_s - now_s
            self._tell(turning.Turn(run, None, now_s - began_s, rest_s, standing=self._last, put_off_s=closed_s))
        elif self._verdict.word is turn_order.Word.REFUSE:
            self._refuse(run)
        else:
            self._pass(run, began_s)

    def _is_patient(self, run: runs.Run) -> bool:
        """Whether new content is the only reason to begin before the time."""
        only_looks = run.causes <= _ONLY_LOOKS
        return only_looks and (self._standing.backs_off or run.causes == {runs.Cause.RESCAN})

    def _sees_nothing_new(self, run: runs.Run) -> bool:
        """Whether a look shows no other content. Nothing is looked at while the pass would not be run anyway. What
        cannot be seen now is remembered as told. A source that answers again is news, whatever it says."""
        if self._verdict.word is turn_order.Word.REFUSE:
            self._next_look_s = self._now() + self._rescan_s
            self._heard = self._heard.and_of(run)
            return True
        self._with.pulse.enter("looking", self._with.look_s)
        try:
            seen = self._look()
        except Exception:  # noqa: BLE001 - a bug: a pass meets it too, and tells it
            return False
        self._heard = self._heard.and_of(run) if seen.subject is None or seen.away else self._heard
        is_back = self._served and not seen.away
        return seen.subject in (self._standing.subject, None) and not is_back

    def _refuse(self, run: runs.Run) -> None:
        """Those that come before are not in order: the pass is told and recorded as one that failed, and is not run."""
        self._heard = self._heard.and_of(run)
        error = ordering.refusal(self._verdict)
        trace = ""
        try:
            ended = self._worker.refuse(error)
        except Exception:  # noqa: BLE001 - a bug: it keeps nobody from being told
            trace = traceback.format_exc()
            ended = turning.Ended(report.of_error(error), seen=False)
        self._last = ended.report
        self._stand(ended, 0.0)
        self._tell(turning.Turn(run, ended, 0.0, self._next_pass_s - self._now(), traceback=trace))

    def _look(self, *, whole: bool = False) -> turning.Sight:
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
            self._closed_until_s = self._now() + min(wish_s, requeue.LONGEST_WISH_S)
            self._next_look_s = max(self._next_look_s, self._closed_until_s)
            self._next_pass_s = max(self._next_pass_s, self._closed_until_s)

    def _pass(self, run: runs.Run, began_s: float) -> None:
        ended, cut_by, trace = None, "", ""
        known, heard = self._standing.subject, self._heard.and_of(run)
        self._requests_seen = self._with.runs.requests
        self._next_look_s = self._now() + self._rescan_s
        try:
            with self._with.cuts.superseded_by(self._is_newer):
                ended = self._worker.converge()
        except cancellation.Superseded as cut:
            cut_by = str(cut)
        except Exception as error:  # noqa: BLE001 - the one place besides cli.main: the next pass may do better
            trace = traceback.format_exc()
            ended = turning.Ended(report.Report("Bug", type(error).__name__), known, seen=False)
        self._last = ended.report if ended else self._last
        self._stand(ended, self._now() - began_s)
        reaction_s = self._reaction_s(heard.since_s, ended)
        missed = bool(
            ended and ended.seen and self._seen and ended.subject not in ("", self._seen) and not heard.tells(run)
        )
        self._heard = heard if ended and (ended.served or not ended.seen) else words.Words()
        self._seen = ended.subject if ended and ended.seen and ended.subject else self._seen
        took_s = self._now() - began_s
        self._tell(
            turning.Turn(
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

    def _reaction_s(self, told_s: float | None, ended: turning.Ended | None) -> float | None:
        """Seconds from the first word of the content to its publication."""
        if ended is None:
            self._word = requeue.Word(live=self._word.live)
            return None
        hidden = self._standing.ending is requeue.Ending.FAILED and not ended.seen
        first_s, self._word = requeue.heard(
            self._word,
            "" if hidden else ended.subject,
            told_s=told_s,
            good=self._standing.ending is requeue.Ending.GOOD,
        )
        return None if ended.published_s is None or first_s is None else ended.published_s - first_s

    def _tell(self, turn: turning.Turn) -> None:
        """What cannot be told fails no pass and ends nothing (faults.md P15): the next pass says what was wrong."""
        try:
            self._with.told(turn)
        except Exception:  # noqa: BLE001 - a bug in telling
            self._untold = traceback.format_exc()
        else:
            self._untold = "" if turn.traceback else self._untold

    def _stand(self, ended: turning.Ended | None, took_s: float) -> None:
        """What the pass means for the next wait."""
        ending = requeue.Ending.CUT if ended is None else ending_of(ended.report)
        subject = ended.subject if ended else ""
        self._standing = requeue.after(self._standing, ending, subject)
        self._cut = self._cut + 1 if ending is requeue.Ending.CUT else 0
        if ending is requeue.Ending.GOOD:
            self._with.pulse.good(took_s)
        if ending is not requeue.Ending.CUT:
            self._with.pulse.rest()
        self._take_place(ended, ending)
        wait_s = requeue.wait_s(self._standing, self._rhythm, chance=self._with.chance())
        wait_s = max(wait_s, min(ended.report.retry_after_s, requeue.LONGEST_WISH_S) if ended else 0.0)
        self._served = bool(ended and ended.served)
        if self._served:
            wait_s = min(wait_s, self._rhythm.interval_s)
        if ended and ended.suspended_s is not None:
            wait_s = min(wait_s, ended.suspended_s)
        self._next_pass_s = max(self._now() + wait_s, self._closed_until_s)
        self._next_look_s = max(self._now() + self._rescan_s, self._closed_until_s)
        self._away = self._away + 1 if ended and ended.report.reason == conditions.AWAY else 0
        if ended and self._away:
            self._leave_alone(wait_s, ended.report.retry_after_s)

    def _take_place(self, ended: turning.Ended | None, ending: requeue.Ending) -> None:
        """Tell those that come after."""
        if self._with.place is None:
            return
        if ended is not None and ended.report.reason == "AfterFailed":
            self._with.place.refused()
        else:
            self._with.place.ended(None if ending is requeue.Ending.CUT else ending is requeue.Ending.GOOD)

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
