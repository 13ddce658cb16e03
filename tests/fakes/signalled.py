"""A process that has imported the controller once, and forks it for every line that it is given: the fork runs a command
and gets signals at a named step of a pass (faults.md L2).

A line is JSON: ``arguments``; ``step``, or "" for none; ``numbers`` of the signals that come there, all at once; and
``end_after``, the number of passes that begin after that before SIGTERM ends it (0: never). The answer is a line with
how it ended, as `os.waitstatus_to_exitcode` has it; its stderr is in the file ``err``.
"""

import importlib
import json
import os
import signal
import sys
from typing import Any, NoReturn

from controller import cli, failpoints

LOADED_BEFORE_THE_FORKS = ("controller.commands.reconcile", "controller.daemon", "controller.target")

NOT_REACHED = 99
"""The exit code of a process that made `PATIENCE` passes without coming to the step, or without ending."""

PATIENCE = 20


class Signals:
    """Sends them when the step is reached for the first time."""

    def __init__(self, step: str, numbers: list[int], end_after: int) -> None:
        self._step = step
        self._numbers = numbers
        self._end_after = end_after
        self._sent = False
        self._patience = PATIENCE

    def reach(self, step: str) -> None:
        """In the place of `failpoints.reach`."""
        if str(step) == failpoints.Step.LOCKED:
            self._patience -= 1
        if not self._patience:
            os._exit(NOT_REACHED)
        if not self._sent and str(step) == self._step:
            self._sent = True
            for number in self._numbers:
                os.kill(os.getpid(), number)
        elif self._sent and str(step) == failpoints.Step.LOCKED and self._end_after:
            self._end_after -= 1
            if not self._end_after:
                os.kill(os.getpid(), signal.SIGTERM)


def run(asked: dict[str, Any]) -> NoReturn:
    """The fork."""
    said = os.open(asked["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    if asked["step"]:
        failpoints.reach = Signals(asked["step"], asked["numbers"], asked["end_after"]).reach
    sys.argv = ["controller", *asked["arguments"]]
    cli.main()
    raise AssertionError("it ends with its code")


def serve() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(asked)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    for name in LOADED_BEFORE_THE_FORKS:
        importlib.import_module(name)
    serve()
