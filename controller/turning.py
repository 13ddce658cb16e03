"""What the loop, the worker that it drives and those who are told hand to each other: looks, passes, turns.

Values and the shapes of their makers only; `controller.loop` decides when a turn comes, `controller.worker` does its
work, and `controller.telling` tells of it. Holds nothing that is alive, and imports none of these.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller import cancellation, clock, errors, pulse, report, runs
from core import turn_order


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
    an end still lasts, in seconds; `served` says that no source answers, and the last good checkout was worked on:
    the remote is left alone by whoever asks it."""

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
    served: bool = False


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

    def refuse(self, error: errors.ControllerError) -> Ended:
        """A pass that is due is not run, for this reason. Raises only what is a bug."""


class Place(Protocol):
    """The target's place behind others (`controller.ordering`)."""

    def pause(self, enough: Callable[[], bool], seconds: float) -> turn_order.Verdict:
        """Wait until a pass may begin or is refused."""

    def ended(self, good: bool | None) -> None:
        """A pass ended well or not; None when it was cut short."""

    def refused(self) -> None:
        """A pass that was due was not run."""


@dataclass(frozen=True, slots=True)
class Plumbing:
    """What the loop is connected with: requests, signs of life, the wish for an end, and who is told. `idle` is called
    before every wait; `look_s` is the longest that one look at the source may take. `place` is None for a target that
    has nothing to do with others."""

    runs: runs.Runs
    pulse: pulse.Pulse
    cuts: cancellation.Cancellation
    told: Callable[[Turn], None]
    idle: Callable[[], object] = lambda: None
    machine: clock.Clock = clock.Clock()
    chance: Callable[[], float] = random.random
    look_s: float = 60.0
    place: Place | None = None
