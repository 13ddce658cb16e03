"""The loop on a simulated clock: a script says what happens when, and nothing sleeps."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from controller import cancellation, errors, loop, ordering, pulse, report, runs, turning
from core import requeue


@dataclass
class FakeClock:
    """Time that moves when somebody waits. The wall clock is `wall_ahead_s` ahead of the monotonic one; a step of it
    is another number there (faults.md L1)."""

    now: float = 1000.0
    wall_ahead_s: float = 1_771_570_044.0

    def monotonic_s(self) -> float:
        """Seconds."""
        return self.now

    def now_s(self) -> float:
        """The wall clock."""
        return self.now + self.wall_ahead_s

    def now_ns(self) -> int:
        """The same in nanoseconds."""
        return int(self.now_s() * 1e9)

    def utc(self) -> datetime.datetime:
        """The same for people."""
        return datetime.datetime.fromtimestamp(self.now_s(), tz=datetime.UTC)

    def set_wall(self, moment_s: float) -> None:
        """Somebody sets the wall clock, in seconds since the epoch."""
        self.wall_ahead_s = moment_s - self.now

    def sleep(self, seconds: float) -> None:
        """Moves on."""
        self.now += seconds


class FakeRuns(runs.Runs):
    """Requests that come at set times while the loop waits. When the script is over, `at_end` is called."""

    def __init__(self, machine: FakeClock) -> None:
        super().__init__(machine)  # type: ignore[arg-type]  # a clock by its methods
        self.machine = machine
        self.script: list[tuple[float, Callable[[], object]]] = []
        self.waits: list[float] = []

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        """Call `act` that many seconds after the beginning, if the loop waits then."""
        self.script = sorted([*self.script, (1000.0 + seconds, act)], key=lambda one: one[0])

    def await_request(self, timeout_s: float) -> bool:
        """Jump to the next thing that happens."""
        if self._waiting is None:
            until = self.machine.now + max(timeout_s, 0.0)
            self.waits.append(max(timeout_s, 0.0))
            if self.script and self.script[0][0] <= until:
                moment, act = self.script.pop(0)
                self.machine.now = max(moment, self.machine.now)
                act()
            else:
                self.machine.now = until
        return self._waiting is not None


def good(changed: bool = False) -> report.Report:
    """A pass that ended well."""
    return report.Report("SourceChanged" if changed else "InSync", "fine", "sha256:" + "a" * 64, changed=changed)


def bad(reason: str = "RegistryUnavailable") -> report.Report:
    """A pass that failed."""
    return report.Report(reason, "it did not work")


@dataclass
class FakeWorker:
    """Answers from a script; the last answer stays. `content` is what the source holds."""

    machine: FakeClock
    answers: list[report.Report | BaseException] = field(default_factory=lambda: [good()])
    content: str = "one"
    looks: int = 0
    passes: list[tuple[float, str]] = field(default_factory=list)
    subject: str = ""
    during: Callable[[], None] = lambda: None
    sight: turning.Sight | None = None
    looked_s: list[float] = field(default_factory=list)
    published: bool = False
    served: bool = False

    def look(self, *, whole: bool = False) -> turning.Sight:
        """The content, and besides it what `sight` says."""
        self.looks += 1
        self.looked_s.append(self.machine.now - 1000.0)
        if self.sight is None:
            return turning.Sight(self.content)
        return replace(self.sight, subject=self.content if self.sight.subject else None)

    def converge(self) -> turning.Ended:
        """The next answer."""
        self.passes.append((self.machine.now - 1000.0, self.content))
        self.subject = self.content
        self.during()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        published_s = self.machine.now if self.published and not answer.failed else None
        return turning.Ended(answer, self.content, published_s=published_s, served=self.served)

    def refuse(self, error: errors.ControllerError) -> turning.Ended:
        """As it came."""
        return turning.Ended(report.of_error(error), seen=False)


@dataclass
class Stage:
    """A loop with everything around it in memory."""

    machine: FakeClock = field(default_factory=FakeClock)
    turns: list[turning.Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runs = FakeRuns(self.machine)
        self.worker = FakeWorker(self.machine)
        self.cuts = cancellation.Cancellation()
        self.pulse = pulse.Pulse(self.machine)  # type: ignore[arg-type]  # a clock by its methods
        self.place: ordering.Place | None = None
        self.rhythm = requeue.Rhythm(30.0, lambda failures: min(300.0, 5.0 * 2 ** (failures - 1)), jitter=0.0)

    def tell(self, turn: turning.Turn) -> None:
        """Keep the turn, and say what became of the run."""
        self.turns.append(replace(turn))
        self.runs.end(turn.run, {"reason": turn.ended.report.reason if turn.ended else ""})

    def run(self, seconds: float, *, rescan_s: float = 30.0) -> list[turning.Turn]:
        """Run the loop for so many simulated seconds."""
        self.runs.at(seconds, lambda: self.cuts.stop(15))
        plumbing = turning.Plumbing(
            self.runs,
            self.pulse,
            self.cuts,
            self.tell,
            lambda: None,
            self.machine,  # type: ignore[arg-type]  # a clock by its methods
            lambda: 0.5,
            place=self.place,
        )
        loop.Loop(self.worker, self.rhythm, rescan_s, plumbing).run()
        return self.turns

    @property
    def moments(self) -> list[float]:
        """When passes began, in seconds after the beginning."""
        return [round(moment, 3) for moment, _ in self.worker.passes]
