"""All targets of one controller that stays, in this process (faults.md C2, L2, P16): which children are ended while they
end, and what is left when one of them cannot go on.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller import (
    cancellation,
    docker_child,
    follower,
    followers,
    log,
    metrics,
    patience,
    runs,
    settings_sections,
    targets,
)
from tests.fakes import daemons, several


@dataclass
class _Follower:
    """One that is finishing, awaiting, working, or over."""

    name: str
    doing: str
    cuts: cancellation.Cancellation = field(default_factory=cancellation.Cancellation)
    inside: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        if self.doing == "finishing":
            self.inside.enter_context(self.cuts.deferred())
        if self.doing == "awaiting":
            self.inside.enter_context(self.cuts.awaited())

    @property
    def runs_on(self) -> bool:
        """Whether its thread is not over."""
        return self.doing != "over"


EVERYTHING = ""
CASES = {
    "all work": (("working", "working"), True, {EVERYTHING}),
    "one finishes a publish": (("finishing", "working"), True, {"1"}),
    "one finishes a publish, no patience is left": (("finishing", "working"), False, {"1"}),
    "one provisions": (("awaiting", "working", "working"), True, {"1", "2"}),
    "one provisions, no patience is left": (("awaiting", "working"), False, {EVERYTHING}),
    "one provisions, one is over": (("awaiting", "over"), True, set()),
    "both must not be cut": (("awaiting", "finishing"), True, set()),
    "both must not be cut, no patience is left": (("awaiting", "finishing"), False, {"0"}),
}


@pytest.mark.parametrize("name", CASES)
def test_p16_what_works_for_a_target_that_may_be_cut_is_ended(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    doing, patient, expected = CASES[name]
    ended: set[str] = set()
    monkeypatch.setattr(docker_child, "terminate_children", lambda owner=EVERYTHING: ended.add(owner))
    found = followers.Followers(follower.Around(log.Log(settings_sections.Log()), metrics.Metrics()))
    for number, one in enumerate(doing):
        found._followed[str(number)] = _Follower(str(number), one)  # type: ignore[assignment]  # a double
    patience.end_children(found.running, patient=patient)
    assert ended == expected


# A loop that ends by a bug of its own, and a target that cannot be begun


@dataclass
class Followed:
    """Two real targets in this process, whose log is kept. In the loops of those in `broken` there is a bug."""

    folder: Path
    broken: set[str] = field(default_factory=set)
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stacks = several.Stacks(self.folder, "bad", "good")
        self.wanted = targets.load(self.stacks.file, {})
        around = follower.Around(self, metrics.Metrics(), idle=self.idle)  # type: ignore[arg-type]  # keeps the lines
        self.found = followers.Followers(around)

    def write(self, level: str, event: str, **fields: Any) -> None:
        """A line of the log."""
        self.lines.append({"level": level, "event": event, **fields})

    def idle(self) -> None:
        """Called by every loop before it waits."""
        if threading.current_thread().name.removeprefix("loop ") in self.broken:
            raise KeyError("a bug")

    def told(self, event: str) -> list[str]:
        """Of which targets this was told."""
        return [line["target"] for line in self.lines if line["event"] == event]

    def end(self) -> None:
        """End what runs."""
        self.found.stop(15)
        daemons.until(lambda: not self.found.running)


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    """Ended after the test."""
    made = Followed(tmp_path)
    yield made
    made.end()


def test_c2_a_loop_that_ends_by_a_bug_takes_no_other_with_it(followed: Followed) -> None:
    """It is told as hung; the process ends with the last loop."""
    followed.broken = {"bad"}
    followed.found.follow(followed.wanted, None)
    daemons.until(lambda: followed.told("loop ended by a bug") == ["bad"])
    daemons.until(lambda: "good" in followed.told("pass"))
    followed.found.tend()
    assert not followed.found.alive
    shown_ = followed.found.shown()
    assert [(one.name, one.beats.alive) for one in shown_] == [("bad", False), ("good", True)]
    followed.broken = {"bad", "good"}
    followed.found.ask(runs.Cause.SIGNAL)
    daemons.until(lambda: followed.told("loop ended by a bug") == ["bad", "good"])
    daemons.until(lambda: not followed.found.running)
    with pytest.raises(KeyError):
        followed.found.tend()


def test_c2_a_target_that_cannot_be_begun_is_told_once_and_tried_again(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = follower.Follower.start

    def start(self: follower.Follower) -> None:
        if self.name == "bad":
            raise RuntimeError("can't start new thread")
        real(self)

    with monkeypatch.context() as patched:
        patched.setattr(follower.Follower, "start", start)
        followed.found.follow(followed.wanted, None)
        followed.found.tend()
        daemons.until(lambda: "good" in followed.told("pass"))
        assert followed.told("target not begun") == ["bad"]
        assert not followed.found.alive
        assert [one.name for one in followed.found.shown()] == ["bad", "good"], "it is told as hung in a while"
    followed.found.tend()
    daemons.until(lambda: "bad" in followed.told("pass"))
    assert followed.found.alive


def test_l2_while_they_end_they_are_shown_and_none_begins(followed: Followed) -> None:
    """A probe, a delivery or who waits for a run must not be told that there is no target."""
    one, two = followed.wanted
    followed.found.follow((one,), None)
    followed.found.stop(15)
    followed.found.follow((one, two), None)
    assert [each.name for each in followed.found.shown()] == [one.name]
    daemons.until(lambda: not followed.found.running)
    followed.found.tend()
    assert [each.name for each in followed.found.shown()] == [one.name]
