"""Several tasks at a time, each of which waits for a child of this process.

Owns what threads make difficult: that one failure does not stop the others, and that a signal ends all of them at once
(faults.md P8). Python delivers signals to the main thread only, and a pool would wait for its whole queue before it
let go. Knows nothing of what the tasks do.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent import futures

Task = Callable[[threading.Event], None]
"""Takes the event that says "everything ends now": set, it starts no further child."""

_AGAIN_S = 0.2
"""How often `check` is asked, and the children are told to end, in seconds: one may have been started just after the
last time."""


def go_on() -> None:
    """A `check` that never ends anything."""


def run(
    tasks: Sequence[Task], *, at_once: int, end_children: Callable[[], None], check: Callable[[], None] = go_on
) -> tuple[Exception | None, ...]:
    """Run all of them, at most `at_once` at a time; what each one raised, in their order, None for success.

    Whatever is raised in the calling thread meanwhile (a signal, or what `check` raises, which is called all the time)
    drops what has not begun, calls `end_children` until the rest has ended, and goes on up.
    """
    if not tasks:
        return ()
    running = _Running()
    pool = futures.ThreadPoolExecutor(max_workers=min(at_once, len(tasks)))
    try:
        begun = [pool.submit(running.run, task) for task in tasks]
        check()
        while futures.wait(begun, timeout=_AGAIN_S).not_done:
            check()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        running.end(end_children)
        raise
    pool.shutdown()
    return tuple(_failure(one) for one in begun)


class _Running:
    """Counts the tasks that run. The pool cannot be asked: it does not know a thread during whose start a signal came,
    and would not wait for it."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._changed = threading.Condition()
        self._count = 0

    def run(self, task: Task) -> None:
        """Run one, unless everything ends."""
        with self._changed:
            if self._ending.is_set():
                return
            self._count += 1
        try:
            task(self._ending)
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def end(self, end_children: Callable[[], None]) -> None:
        """Begin no more, and return when none runs."""
        with self._changed:
            self._ending.set()
        while self._count:
            end_children()
            with self._changed:
                self._changed.wait_for(lambda: not self._count, timeout=_AGAIN_S)


def _failure(ended: futures.Future[None]) -> Exception | None:
    failure = ended.exception()
    if failure is None or isinstance(failure, Exception):
        return failure
    raise failure
