"""A model of the promises P1 to P16 of a loop, as far as a world in memory shows them, checked after every pass.

Knows what the source held, what was done to CONFIG_DIR behind the controller's back, and what the clocks say; nothing of
how the loop, the plan or the record decide. What is wrong is a `Violation` that names the promise.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from controller import errors, report, runs, turning
from core import actions, items, record
from tests.fakes import loops, world

INTERVAL_S, RESCAN_S, FIRST_S, LONGEST_S, JITTER = 30.0, 20.0, 5.0, 300.0, 0.1
REPAIRS, WINDOW_S = 5, 600.0
ONLY_LOOKS = frozenset({runs.Cause.FILES, runs.Cause.WEBHOOK, runs.Cause.RESCAN})
OF_THE_COMMAND = frozenset({"LockBusy", "Bug"})
UNWRITTEN = frozenset({"AppliedNotRecorded", "StateUnreadable", "StateUnwritable"})
"""Reasons that the record does not know."""
PLANTED = "a planted bug"
_SLACK_S = 1e-6
V = TypeVar("V")


class Violation(BaseException):
    """A promise was broken: no `Exception`, because the loop survives those."""


def require(kept: bool, promise: str) -> None:
    """Stop everything unless it is kept."""
    if not kept:
        raise Violation(promise)


Parts = Mapping[items.ItemKey, str]
"""What stands in documents: digests by key; of a function that is built here, whose image is pinned, only that it is."""


def parts(found: Collection[items.Item], built: Collection[str]) -> Parts:
    """The items by key."""
    return {
        one.key: "" if one.key.kind is items.Kind.FUNCTION and one.key.name in built else one.digest for one in found
    }


def of_gateway(found: Mapping[items.ItemKey, V]) -> Mapping[items.ItemKey, V]:
    """Functions and routes."""
    return {key: value for key, value in found.items() if key.kind.document is not items.Document.RESOURCES}


def of_resources(found: Mapping[items.ItemKey, V]) -> Mapping[items.ItemKey, V]:
    """The rest."""
    return {key: value for key, value in found.items() if key.kind.document is items.Document.RESOURCES}


@dataclass
class Pass:
    """A pass under way. `meddled` says that somebody changed CONFIG_DIR or the registry meanwhile."""

    process: world.World
    gateway_before: Parts
    meddled: bool = False


@dataclass
class Promises:
    """The model. `versions` are the contents that the source had, `edited` are the parts of CONFIG_DIR that somebody
    else wrote to since they were published. `strays` were published by a pass that came to no record: when the source
    drops them before the next pass, nobody knows whose they are, and they are kept as foreign."""

    machine: loops.FakeClock
    place: world.Place
    built: Collection[str]
    versions: list[Parts] = field(default_factory=list)
    edited: set[str] = field(default_factory=set)
    strays: set[items.ItemKey] = field(default_factory=set)
    current: Pass | None = None
    counts: dict[str, int] = field(default_factory=dict)
    repairs: dict[str, deque[float]] = field(default_factory=dict)
    _last: turning.Turn | None = None
    _subject: str = ""
    _failures: int = 0
    _backs_off: bool = False
    _due_s: float = 0.0
    _expected: bool = True
    _began: tuple[float, int] = (0.0, 0)
    _away: bool = False

    def born(self) -> None:
        """A process begins: it carries nothing of the one before but what is on the disk."""
        self._last, self._subject, self._failures, self._backs_off = None, "", 0, False
        self._due_s, self.current, self._away = self.machine.now, None, False

    def meddled(self) -> None:
        """Somebody else changed CONFIG_DIR."""
        self.edited = {"gateway", "resources"}
        if self.current:
            self.current.meddled = True

    @property
    def shown(self) -> Parts:
        """What CONFIG_DIR shows."""
        return parts(self.place.disk.shown.values(), self.built)

    # Before a turn

    def waits(self, timeout_s: float) -> None:
        """P10, L1: the loop looks at least every rescan, whatever any clock says; and it waits for nothing less. A
        remote that is away is asked by the back-off only (E2)."""
        limit_s = LONGEST_S * (1 + JITTER) if self._away else RESCAN_S
        require(timeout_s <= limit_s + _SLACK_S, f"P10: it sleeps for {timeout_s} s")

    def turn_begins(self, causes: frozenset[runs.Cause], content: str | None) -> None:
        """What the turn that begins now has to be: a pass, or only a look."""
        same = content in (self._subject, None)
        self._away = content is None
        looks_only = causes <= ONLY_LOOKS and (self._backs_off or causes == {runs.Cause.RESCAN})
        self._expected = self.machine.now >= self._due_s or not looks_only or not same
        moment, count = self._began
        idle = self.machine.now == moment and not causes & {*runs.Cause} - {runs.Cause.RESCAN, *_BY_ITSELF}
        self._began = self.machine.now, count + 1 if idle else 0
        require(self._began[1] <= 3, "L1: a busy loop")

    # In a pass

    def pass_begins(self, process: world.World) -> None:
        """One at a time."""
        require(self.current is None, "P7: two passes at a time")
        self.current = Pass(process, of_gateway(self.shown))

    def acted(self, action: actions.Action) -> None:
        """After an action: what is on the disk is whole, and pulls images that there are."""
        if not isinstance(action, actions.Publish | actions.PublishResources):
            return
        self.strays |= self.place.disk.shown.keys()
        self.edited -= {"gateway", "resources"} if isinstance(action, actions.Publish) else {"resources"}
        self.is_whole()
        assert self.current is not None
        # while the registry does not answer, what was in it is believed to be there
        if isinstance(action, actions.Publish) and self.place.docker.reachable and not self.current.meddled:
            held = {digest for digest, _ in self.place.docker.tags.values()}
            for part in action.parts:
                if part.entry and part.item.key.kind is items.Kind.FUNCTION and part.item.key.name in self.built:
                    require(any(digest in part.item.text for digest in held), f"H10: {part.item.key.name} has no image")

    def is_whole(self) -> None:
        """P1: functions and routes of one version, resources of one version; or nothing yet."""
        for name, part in (("gateway", of_gateway), ("resources", of_resources)):
            shown = part(self.shown)
            whole = name in self.edited or not shown or any(self._is(shown, part(one)) for one in self.versions)
            require(whole, f"P1: a mixed generation ({name})")

    def _is(self, shown: Parts, version: Parts) -> bool:
        """The same but for strays."""
        return version.items() <= shown.items() and shown.keys() - version.keys() <= self.strays

    def pass_ends(self) -> None:
        """However it ended."""
        self.is_whole()
        self.current = None

    def pass_told(self, ended: turning.Ended, wanted: Parts | None) -> None:
        """A pass that came to an end of its own. `wanted` is what the source held when it looked."""
        assert self.current is not None
        told, now = ended.report, self.current
        self.counts[str(told.reason)] = self.counts.get(str(told.reason), 0) + 1
        self._away |= told.reason == "SourceUnavailable"
        published = any(isinstance(one, actions.Publish) for one in now.process.performed)
        if now.meddled:
            return
        if told.failed:
            if not published:
                require(of_gateway(self.shown) == now.gateway_before, f"P2: {told.reason} changed what is live")
            self._failure_is_recorded(told)
            return
        assert wanted is not None
        require(self._is(self.shown, wanted), f"P3: {told.reason}, and CONFIG_DIR shows something else")
        self.strays -= wanted.keys()
        applied = self._known.applied
        require(
            applied is not None and dict(applied.document_digests) == dict(self.place.disk.digests),
            "P3: applied is not what is shown",
        )
        require(self._known.suspension is None, "a suspended target was worked on")
        self._bounded(told)

    def _failure_is_recorded(self, told: report.Report) -> None:
        if told.reason in OF_THE_COMMAND | UNWRITTEN or self.place.store.broken:
            return
        ready = self._known.conditions.get("Ready")
        require(
            ready is not None and (ready.status, ready.reason) == ("False", told.reason),
            f"P2: {told.reason} is not told by the record",
        )

    def _bounded(self, told: report.Report) -> None:
        """P12: the same repair, so many times in a window."""
        if told.reason == "InSync":
            return
        known = self._known.repairs
        if told.reason not in ("Drifted", "LayoutDiffers") or known is None:
            self.repairs.clear()
            return
        self.repairs = {known.difference: self.repairs.get(known.difference, deque())}  # another one counts anew
        done = self.repairs[known.difference]
        done.append(self.machine.now)
        while done[0] < self.machine.now - WINDOW_S:
            done.popleft()
        require(len(done) <= REPAIRS + 1, f"P12: {len(done)} equal repairs in {WINDOW_S:g} s")

    @property
    def _known(self) -> record.Record:
        return self.place.store.load(with_items=False)

    # After a turn

    def told(self, turn: turning.Turn, content: str | None) -> None:
        """Whether it was a pass when it had to be, and how long the loop waits then."""
        was_pass = turn.ended is not None or turn.superseded
        require(not turn.traceback or PLANTED in turn.traceback, f"a bug: {turn.traceback}")
        require(
            was_pass == self._expected, f"P11, C4: {'a pass' if was_pass else 'no pass'} for {set(turn.run.causes)}"
        )
        if turn.ended is None and not turn.superseded:
            require(content in (self._subject, None), "P11: new content, and it is not worked on")
            return
        self._stand(turn)
        low, high = self._bounds(turn)
        require(
            low - _SLACK_S <= turn.next_s <= high + _SLACK_S,
            f"C3, C4: waits {turn.next_s:.2f} s after failure {self._failures}, not {low:.2f} to {high:.2f} s",
        )
        self._due_s = self.machine.now + turn.next_s
        self._last = turn

    def _stand(self, turn: turning.Turn) -> None:
        """The count of failures in a row with the same content."""
        ended = turn.ended
        again = self._failures if ended and ended.subject == self._subject else 0
        self._failures = again + 1 if _may_pass(ended) else 0
        self._subject = ended.subject if ended else ""
        self._backs_off = bool(ended and ended.report.failed)

    def _bounds(self, turn: turning.Turn) -> tuple[float, float]:
        if turn.superseded:
            return 0.0, 0.0
        usual = INTERVAL_S if not self._failures else min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures - 1, 30))
        left_s = turn.ended.suspended_s if turn.ended else None
        most_s = usual * 2 if left_s is None else left_s  # a suspension that ends is not slept through
        return min(most_s, usual * (1 - JITTER)), min(most_s, usual * (1 + JITTER))


_BY_ITSELF = frozenset({runs.Cause.RETRY, runs.Cause.INTERVAL})


def _may_pass(ended: turning.Ended | None) -> bool:
    """Whether this failed, and may go better without any change."""
    if ended is None or not ended.report.failed:
        return False
    return errors.MEANINGS[ended.report.reason].disposition is not errors.Disposition.TERMINAL
