"""One question to a remote for everybody in this process who wants to know (faults.md E2, P10).

Stands between the targets of a process and the remotes that they follow. Owns for how long an answer is good, and for
how long a remote that is away is left alone: once for all of its targets, and not once each. A look that somebody asked
for takes no answer from before that. Knows no git: what is asked, and how, is the caller's. Every method may be called
from any thread.
"""

import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller import clock, errors
from core import conditions, requeue

if TYPE_CHECKING:
    from core import git_refs

_EARLY = 0.8
"""The share of a back-off after which a pass that comes then may ask: the waits of loops vary by a tenth."""

_SLICE_S = 0.2
"""Who waits for another's answer looks so often whether it should go on, in seconds."""


class Again(errors.ControllerError):
    """The failure of somebody else's question, told once more: nobody was asked."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How old an answer may be, in seconds, for a look that nobody asked for, and how long a remote is left alone after
    failure 1, 2, …"""

    young_s: float = 0.0
    backoff_s: Callable[[int], float] = lambda failures: 0.0


@dataclass(frozen=True, slots=True)
class _Answer:
    began_s: float
    found: "git_refs.Remote"


@dataclass(frozen=True, slots=True)
class _Failure:
    """The last of `count` failures in a row. Until `closed_s` nobody may ask, until `retry_s` only who was asked to."""

    reason: str
    message: str
    count: int
    ended_s: float
    retry_s: float
    closed_s: float


class SharedFetches:
    """What the remotes of this process said last. `machine` tells the monotonic time."""

    def __init__(self, machine: clock.Clock = clock.Clock()) -> None:
        self.machine = machine
        self._lock = threading.Lock()
        self._answers: dict[tuple[Hashable, str], _Answer] = {}
        self._failures: dict[Hashable, _Failure] = {}
        self._asking: dict[Hashable, threading.Lock] = {}
        self._members: weakref.WeakSet[Member] = weakref.WeakSet()

    def member(
        self,
        *,
        wanted: Callable[[], object] = lambda: None,
        asked_s: Callable[[], float] = lambda: float("inf"),
    ) -> "Member":
        """A target's part in this, for as long as it is kept. `wanted` asks the target for a look; `asked_s` is the
        monotonic time at which somebody asked it for one last: without, every look is asked for."""
        joined = Member(self, wanted, asked_s)
        with self._lock:
            self._members.add(joined)
        return joined

    def known(self, remote: Hashable, ref: str, *, asked_s: float, young_s: float) -> "git_refs.Remote | None":
        """An answer that is good enough; None when the remote has to be asked. Raises `Again` while it is away."""
        now_s = self.machine.monotonic_s()
        with self._lock:
            failure, answer = self._failures.get(remote), self._answers.get((remote, ref))
        if failure is not None:
            if now_s < failure.closed_s or (asked_s <= failure.ended_s and now_s < failure.retry_s):
                raise _again(failure, now_s)
            return None
        fresh = answer is not None and answer.began_s >= asked_s and now_s - answer.began_s < young_s
        return answer.found if answer is not None and fresh else None

    def found(self, remote: Hashable, ref: str, answer: "git_refs.Remote", *, began_s: float) -> bool:
        """Keep an answer; whether it says something new."""
        with self._lock:
            before = self._answers.get((remote, ref))
            self._answers[(remote, ref)] = _Answer(began_s, answer)
        return before is not None and before.found != answer

    def asking(self, remote: Hashable) -> threading.Lock:
        """Who asks this remote holds it: one at a time."""
        with self._lock:
            return self._asking.setdefault(remote, threading.Lock())

    def forget(self, remote: Hashable, ref: str) -> None:
        """Take no more answers from before."""
        with self._lock:
            self._answers.pop((remote, ref), None)

    def answered(self, remote: Hashable) -> bool:
        """What was asked for was had to its end; whether the remote was away before."""
        with self._lock:
            return self._failures.pop(remote, None) is not None

    def failed(self, remote: Hashable, error: errors.ControllerError, backoff_s: Callable[[int], float]) -> None:
        """The remote is away: nobody else asks it too soon."""
        now_s = self.machine.monotonic_s()
        with self._lock:
            before = self._failures.get(remote)
            count = before.count + 1 if before else 1
            closed_s = now_s + min(error.retry_after_s, requeue.LONGEST_WISH_S)
            retry_s = max(closed_s, now_s + _EARLY * backoff_s(count))
            self._failures[remote] = _Failure(error.reason, error.message, count, now_s, retry_s, closed_s)

    def tell(self, remote: Hashable, but: "Member", *, ref: str | None = None) -> None:
        """Ask every other target that follows the remote, or a ref of it, for a look."""
        with self._lock:
            others = [one for one in self._members if one is not but and one.is_of(remote, ref)]
        for one in others:
            one.wanted()


def of_command(machine: clock.Clock = clock.Clock()) -> "Callable[[], Member]":
    """Parts for the targets of one command, which somebody asked for now: what one target hears of a remote is good for
    those after it."""
    began_s, shared = machine.monotonic_s(), SharedFetches(machine)
    return lambda: shared.member(asked_s=lambda: began_s)


class Member:
    """One target's part: see `SharedFetches.member`."""

    def __init__(self, shared: SharedFetches, wanted: Callable[[], object], asked_s: Callable[[], float]) -> None:
        self._shared = shared
        self.wanted = wanted
        self._asked_s = asked_s
        self.patience = Patience()
        self.follows: frozenset[tuple[Hashable, str]] = frozenset()
        self._reused = False
        self._counted = False

    def resolve(
        self,
        remote: Hashable,
        ref: str,
        ask: "Callable[[], git_refs.Remote]",
        *,
        check: Callable[[], None] = lambda: None,
    ) -> "git_refs.Remote":
        """What the ref names at the remote, by an answer that is good enough or by asking. While another target asks,
        its answer is waited for; `check` may end that. Others who follow the same are asked to look when it is new.
        Raises what `ask` and `check` raise, and `Again`."""
        self.follows |= {(remote, ref)}
        self._counted = False
        known = self._known(remote, ref)
        if known is not None:
            return known
        lock = self._shared.asking(remote)
        while not lock.acquire(timeout=_SLICE_S):
            check()
        try:
            known = self._known(remote, ref)
            if known is not None:
                return known
            began_s = self._shared.machine.monotonic_s()
            answer = self._asked(remote, ask)
            is_new = self._shared.found(remote, ref, answer, began_s=began_s)
        finally:
            lock.release()
        if is_new:
            self._shared.tell(remote, self, ref=ref)
        return answer

    def _known(self, remote: Hashable, ref: str) -> "git_refs.Remote | None":
        known = self._shared.known(remote, ref, asked_s=self._asked_s(), young_s=self.patience.young_s)
        self._reused = known is not None
        return known

    def _asked(self, remote: Hashable, ask: "Callable[[], git_refs.Remote]") -> "git_refs.Remote":
        """Those who wait must hear of a failure before they ask themselves."""
        try:
            return ask()
        except errors.ControllerError as error:
            self.failed(remote, error)
            raise

    def doubts(self, remote: Hashable, ref: str) -> bool:
        """Whether the last answer was one from before, that does not fit what was found: it is forgotten, and the
        remote may be asked."""
        if self._reused:
            self._shared.forget(remote, ref)
        return self._reused

    def answered(self, remote: Hashable) -> None:
        """What the remote was asked for was had to its end. That it is back is news for the others too."""
        if self._shared.answered(remote):
            self._shared.tell(remote, self)

    def is_of(self, remote: Hashable, ref: str | None) -> bool:
        """Whether this target follows the remote, by this ref, or by any for None."""
        return any(one == remote and ref in (None, of) for one, of in self.follows)

    def failed(self, remote: Hashable, error: errors.ControllerError) -> None:
        """Something about the remote failed; told twice it counts once, and what only passes on another's failure is
        none of ours."""
        if error.reason == conditions.AWAY and not isinstance(error, Again) and not self._counted:
            self._counted = True
            self._shared.failed(remote, error, self.patience.backoff_s)


def _again(failure: _Failure, now_s: float) -> Again:
    error = Again(failure.reason, failure.message)
    error.retry_after_s = max(failure.closed_s - now_s, 0.0)
    return error
