"""A controller that stays, as a process of its own: its log lines as values, and waiting for one of them."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.fakes import command

PATIENCE_S = command.PATIENCE_S
"""Longer than anything takes; a test that waits for so long has failed."""

Line = dict[str, Any]


class Daemon:
    """A running `controller reconcile`."""

    def __init__(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None, engine: bool = False
    ) -> None:
        self._arguments = arguments
        self._environment = command.child_environment(environment, engine=engine)
        self._changed = threading.Condition()
        self.lines: list[Line] = []
        self.noise: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Start the process (again)."""
        self.process = subprocess.Popen(
            command.line("reconcile", *self._arguments),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            self._take(lines)
        with self._changed:
            self._changed.notify_all()

    def _take(self, lines: Iterable[bytes]) -> None:
        for raw in lines:
            with self._changed:
                try:
                    self.lines.append(json.loads(raw))
                except ValueError:
                    self.noise.append(raw.decode(errors="replace"))
                self._changed.notify_all()

    @property
    def passes(self) -> list[Line]:
        """The lines about passes so far."""
        return [line for line in list(self.lines) if line["event"] == "pass"]

    def await_line(self, wanted: Callable[[Line], bool], *, since: int = 0) -> Line:
        """The first line from number `since` on that fits; waits for it."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: next((line for line in self.lines[since:] if wanted(line)), None), timeout=PATIENCE_S
            )
        assert found, (self.lines[since:], self.noise, self.process.poll())
        return found

    def await_pass(self, reason: str = "", *, since: int = 0) -> Line:
        """The first pass from line number `since` on that ended with this reason, or with any."""
        return self.await_line(lambda line: line["event"] == "pass" and reason in ("", line["reason"]), since=since)

    @property
    def address(self) -> str:
        """Where it serves HTTP."""
        return f"http://{self.await_line(lambda line: line['event'] == 'ready')['http']}"

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.process.pid, number)

    def end(self, number: int = 15) -> int:
        """Send a signal and wait for the end; the exit code as a shell reports it."""
        self.signal(number)
        return self.wait()

    def ends_well(self, number: int = 15) -> bool:
        """The same; whether it ended as it should: 0, or 128 + n where a look was under way and was cut (P16). Where files
        are listened to, one follows the first pass some time later (D4)."""
        return self.end(number) in (0, 128 + number)

    def stop(self) -> None:
        """Stop it for a while, and return when the kernel says that it is stopped: every thread."""
        self.signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        until(lambda: all(state_of(one) == "T" for one in tasks.iterdir()))

    def is_stopped_between_passes(self, shop: command.Shop) -> bool:
        """Try that. Stopped while it works it keeps the lock, as it must, and is let go on."""
        self.stop()
        if shop.reconcile("--wait", "0s").code == 0:
            return True
        self.signal(signal.SIGCONT)
        return False

    def wait(self) -> int:
        """Wait for the end; the exit code, 128 + n for a signal."""
        code = self.process.wait(timeout=PATIENCE_S)
        self._listener.join()
        return 128 - code if code < 0 else code


@contextlib.contextmanager
def running(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, engine: bool = False
) -> Iterator[Daemon]:
    """A daemon that is gone after the block, whatever happens."""
    daemon = Daemon(*arguments, environment=environment, engine=engine)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.wait()


def state_of(task: Path) -> str:
    """R, S, T, Z, … as the kernel calls it; "" of one who is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return (task / "stat").read_text(encoding="utf-8", errors="replace").rsplit(") ", 1)[1][0]
    return ""


def until(wanted: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
    """Wait until a look at the world shows what is wanted."""
    limit_s = time.monotonic() + patience_s
    while not wanted():
        assert time.monotonic() < limit_s, "it did not come"
        time.sleep(0.02)
