"""The steps that take long, told while they run: fetch, builds, pushes, the provisioner.

What takes long says so with `step`, from any thread; whoever runs a command decides with `live` or `plain` whether
anybody sees it. A process has one terminal, so there is one place to tell it to, where each of several targets may have
a display of its own. It is silent until then: in a controller that stays it always is, because the log tells of passes
there. Home of rich, which is loaded only for a terminal. Never changes what a step does or raises.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TextIO

from controller import clock, output

if TYPE_CHECKING:
    from rich import progress

UNTOLD_S = 1.0
"""A step is told when it has run for so long, in seconds: what is over at once is nothing to wait for."""

_DRAWN_A_SECOND = 4

_End = Callable[[str], None]
"""Takes how the step ended: "done in", or "failed after"."""


class _Display(Protocol):
    """Where steps are told."""

    def begin(self, text: str, began_s: float) -> _End:
        """Tell that a step runs, since a second of the monotonic clock."""


class _Place:
    """The displays of this process by the target whose steps they tell, "" for those of any."""

    def __init__(self) -> None:
        self._displays: dict[str, _Display] = {}

    def of(self, target: str) -> _Display | None:
        """Where steps of a target are told; None while nobody looks."""
        return self._displays.get(target) or self._displays.get("")

    @contextlib.contextmanager
    def taken(self, display: _Display, target: str = "") -> Iterator[None]:
        """Steps are told there until the end of the block."""
        self._displays[target] = display
        try:
            yield
        finally:
            del self._displays[target]


_place = _Place()


@contextlib.contextmanager
def step(text: str, *, target: str = "", machine: clock.Clock = clock.Clock()) -> Iterator[None]:
    """What is inside may take long: `text` is what it does ("building 1 of 3: orders"), for a `target`, and never holds
    a secret."""
    display = _place.of(target)
    if display is None:
        yield
        return
    began_s = machine.monotonic_s()
    telling = _Telling(lambda: display.begin(output.clean(text), began_s))
    how = "failed after"
    try:
        telling.begin(UNTOLD_S)
        yield
        how = "done in"
    finally:
        telling.end(how)


class _Telling:
    """Tells that a step began, after a while, unless it is over by then; and that it ended, if it was told."""

    def __init__(self, tell: Callable[[], _End]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._over = False
        self._end: _End | None = None
        self._timer: threading.Timer | None = None

    def begin(self, after_s: float) -> None:
        """Tell it then, from a thread of its own; at once without a wait."""
        if not after_s:
            self._told()
            return
        self._timer = threading.Timer(after_s, self._told)
        self._timer.daemon = True
        self._timer.start()

    def _told(self) -> None:
        with self._lock:
            if not self._over:
                self._end = self._tell()

    def end(self, how: str) -> None:
        """The step is over."""
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._over = True
            if self._end is not None:
                self._end(how)


def plain(
    tell: Callable[[list[str]], None], *, target: str = "", machine: clock.Clock = clock.Clock()
) -> contextlib.AbstractContextManager[None]:
    """A line when a step begins and one when it ends, for logs and pipes; of one `target`, or of whatever is done.
    `tell` is called by one thread at a time."""
    return _place.taken(_Plain(tell, machine), target)


class _Plain:
    def __init__(self, tell: Callable[[list[str]], None], machine: clock.Clock) -> None:
        self._tell = tell
        self._clock = machine
        self._one_at_a_time = threading.Lock()

    def begin(self, text: str, began_s: float) -> _End:
        """One line now, and one at the end."""
        self._write(text)
        return lambda how: self._write(f"{text}: {how} {self._clock.monotonic_s() - began_s:.1f} s")

    def _write(self, line: str) -> None:
        with self._one_at_a_time:
            self._tell([line])


@contextlib.contextmanager
def live(stream: TextIO) -> Iterator[None]:
    """A line on a terminal for every step that runs, with its seconds, drawn again in its place; gone at the end,
    however that comes."""
    display = _Live(stream)
    try:
        with _place.taken(display):
            yield
    finally:
        display.close()


class _Live:
    """Nothing is loaded or drawn before the first step, and nothing after the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._closed = False
        self._lines: progress.Progress | None = None

    def begin(self, text: str, began_s: float) -> _End:
        """One line until the end."""
        with self._lock:
            if self._closed:
                return lambda how: None
            if self._lines is None:
                self._lines = _lines(self._stream)
                self._lines.start()
            task = self._lines.add_task(text, total=None)
            self._lines.tasks[-1].start_time = began_s
        return lambda how: self._remove(task)

    def _remove(self, task: "progress.TaskID") -> None:
        with self._lock:
            if self._lines is not None:
                self._lines.remove_task(task)

    def close(self) -> None:
        """Leave the terminal as it was."""
        with self._lock:
            self._closed = True
            if self._lines is None:
                return
            try:
                self._lines.stop()
            finally:  # also where a signal came in the middle of that
                self._lines.console.show_cursor(True)


def _lines(stream: TextIO) -> "progress.Progress":
    """Lines that no width breaks, without anything that turns."""
    from rich import console, progress, table

    terminal = console.Console(file=stream, force_terminal=True, highlight=False, emoji=False)
    cut = table.Column(no_wrap=True, overflow="ellipsis")
    uncut = table.Column(no_wrap=True, min_width=6, justify="right")
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False, table_column=cut),
        progress.TextColumn("{task.elapsed:.0f} s", markup=False, table_column=uncut),
        console=terminal,
        get_time=clock.Clock().monotonic_s,
        transient=True,
        refresh_per_second=_DRAWN_A_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    )
