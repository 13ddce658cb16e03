"""As the first process of a container the controller steps aside: a copy of it does the work, and the first one passes
signals on and reaps what others left behind (faults.md L2).

Orphans become children of process 1. The one who works cannot reap them: it would take the ends of its own children
away from those who wait for them, and a failed build would look like a good one. Knows nothing of the work. Must be
called before any thread exists.
"""

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import NoReturn

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def step_aside() -> None:
    """Go on as a child of the first process; nothing where this is another process. The first process never returns:
    it ends as the child ended, with 128 + n for a signal, and takes everything else in the container with it."""
    if os.getpid() != 1:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    child = os.fork()
    if child:
        _watch(child)
    os.setpgrp()  # what a terminal sends to its group comes once, from the first process
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


def _watch(child: int) -> NoReturn:
    def pass_on(signum: int, frame: FrameType | None) -> None:
        del frame
        with suppress(ProcessLookupError):
            os.kill(child, signum)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)
