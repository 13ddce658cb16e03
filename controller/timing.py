"""A pass as the loop watches it: how long each phase takes, which content it saw, and that it is still alive.

Stands around `controller.target` as a `world.World`, passes everything on and decides nothing. Phases are those of
design.md section 1.
"""

import datetime
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from controller import clock, pulse, world
from core import actions, desired, digest, observed, ownership, record, stack

PHASES = ("lock", "fetch", "probe", "images", "read", "build", "push", "publish", "provision", "record")

_PHASE_OF: dict[type[actions.Action], str] = {
    actions.Build: "build",
    actions.Push: "push",
    actions.Provision: "provision",
    actions.PublishResources: "publish",
    actions.Publish: "publish",
    actions.Sweep: "publish",
    actions.Confirm: "publish",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest that steps may take when every deadline is used up, in seconds; of a build or push, each image."""

    lock_s: float
    fetch_s: float
    look_s: float
    build_s: float
    push_s: float
    provision_s: float
    usual_s: float = 60.0


def subject(fetched: world.Fetched) -> str:
    """The identity of what was fetched: when it is another, a failed pass is worth another try at once."""
    return digest.of_parts((fetched.revision, fetched.rules_digest, *fetched.missing_secrets))


class Timed:
    """A world that is watched. `phases` are seconds; `published_s` is the monotonic time of the last publish;
    `away` is the reason for which no source answers, while the last good checkout is worked on."""

    def __init__(self, inner: world.World, beats: pulse.Pulse, limits: Limits, machine: clock.Clock) -> None:
        self._inner = inner
        self._beats = beats
        self._limits = limits
        self._clock = machine
        self.phases: dict[str, float] = {}
        self.subject = ""
        self.commit = ""
        self.away = ""
        self.published_s: float | None = None
        self.provisioned = False

    @contextmanager
    def _phase(self, name: str, limit_s: float) -> Iterator[None]:
        self._beats.enter(name, limit_s)
        began_s = self._clock.monotonic_s()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + self._clock.monotonic_s() - began_s
            self._beats.enter("deciding", self._limits.usual_s)

    def now(self) -> datetime.datetime:
        """As it is."""
        return self._inner.now()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Only the wait for the lock is timed."""
        with ExitStack() as held:
            with self._phase("lock", self._limits.lock_s):
                held.enter_context(self._inner.exclusive())
            yield

    def remember(self, *, with_items: bool) -> record.Record:
        """As it is."""
        return self._inner.remember(with_items=with_items)

    def owning(self, asked: ownership.Asked, remembered: record.Record) -> ownership.Verdict:
        """As it is."""
        return self._inner.owning(asked, remembered)

    def claim(self, owner: ownership.Owner, remembered: record.Record) -> None:
        """Timed as recording."""
        with self._phase("record", self._limits.usual_s):
            self._inner.claim(owner, remembered)

    def look(self) -> observed.Observed:
        """As it is."""
        return self._inner.look()

    def fetch(self) -> world.Fetched:
        """Notes which content was seen."""
        with self._phase("fetch", self._limits.fetch_s):
            fetched = self._inner.fetch()
        self.subject, self.commit = subject(fetched), fetched.commit
        self.away = fetched.away.reason if fetched.away is not None else ""
        return fetched

    def probe(self, fetched: world.Fetched, *, images: bool) -> stack.Stack:
        """Timed."""
        with self._phase("probe", self._limits.look_s):
            return self._inner.probe(fetched, images=images)

    def images_unmoved(self, remembered: record.Record) -> bool:
        """Timed as a look at images."""
        with self._phase("images", self._limits.look_s):
            return self._inner.images_unmoved(remembered)

    def note_conditions(self, remembered: record.Record) -> None:
        """As it is."""
        self._inner.note_conditions(remembered)

    def provisions(self) -> bool:
        """As it is."""
        return self._inner.provisions()

    def provisions_where(self) -> str:
        """As it is."""
        return self._inner.provisions_where()

    def require_provisioner(self, running: stack.Stack) -> None:
        """Timed as a look at the stack."""
        with self._phase("probe", self._limits.look_s):
            self._inner.require_provisioner(running)

    def images(self, wanted: desired.Desired, remembered: record.Record, *, rebuild: bool) -> world.Images:
        """Timed."""
        with self._phase("images", self._limits.look_s):
            return self._inner.images(wanted, remembered, rebuild=rebuild)

    def kept_images(
        self, wanted: desired.Desired, seen: observed.ObservedItems, remembered: record.Record
    ) -> world.Images:
        """Timed as a look at images."""
        with self._phase("images", self._limits.look_s):
            return self._inner.kept_images(wanted, seen, remembered)

    def read(self) -> desired.Desired:
        """Timed."""
        with self._phase("read", self._limits.usual_s):
            return self._inner.read()

    def seen(self, look: observed.Observed, remembered: record.Record) -> observed.ObservedItems:
        """Timed as reading."""
        with self._phase("read", self._limits.usual_s):
            return self._inner.seen(look, remembered)

    def finishing(self, *, complete: bool) -> AbstractContextManager[None]:
        """As it is."""
        return self._inner.finishing(complete=complete)

    def begin(self, attempt: record.Attempt) -> None:
        """Timed as recording."""
        with self._phase("record", self._limits.usual_s):
            self._inner.begin(attempt)

    def perform(self, action: actions.Action, remembered: record.Record) -> world.Acted | world.Told:
        """Timed by the kind of action."""
        with self._phase(_PHASE_OF[type(action)], self._limit_of(action)):
            done = self._inner.perform(action, remembered)
        if isinstance(action, actions.Publish):
            self.published_s = self._clock.monotonic_s()
        self.provisioned |= isinstance(action, actions.Provision)
        return done

    def _limit_of(self, action: actions.Action) -> float:
        match action:
            case actions.Build():
                return self._limits.build_s * len(action.works)
            case actions.Push():
                return self._limits.push_s * len(action.works)
            case actions.Provision():
                return self._limits.provision_s
            case _:
                return self._limits.usual_s

    def succeed(self, success: world.Success) -> bool:
        """Timed as recording."""
        with self._phase("record", self._limits.usual_s):
            return self._inner.succeed(success)

    def fail(self, failure: world.Failure) -> None:
        """Timed as recording."""
        with self._phase("record", self._limits.usual_s):
            self._inner.fail(failure)
