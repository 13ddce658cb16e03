"""Everything that an engine does while a block runs, heard as it happens: its own memory holds the last 256 events
only, which health checks of a few stacks fill within a minute."""

import contextlib
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from e2e.harness import docker, stacks, watch
from tests.fakes import daemons


class Listening:
    """What was heard of one stack so far."""

    def __init__(self, stack: stacks.Stack) -> None:
        self._stack = stack
        self._heard: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            ["docker", "events", "--format", "{{json .}}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        with self._process.stdout as lines:
            for line in lines:
                self._heard.append(json.loads(line))

    def counted(self) -> Counter[str]:
        """As `watch.events`, of everything until now: returns once an event of its own has come through."""
        self.catch_up()
        return Counter(word for event in list(self._heard) for word in watch.words(event, self._stack))

    def at_once(self, service: str) -> int:
        """The largest number of containers of a service that ran at the same time."""
        self.catch_up()
        running: set[str] = set()
        most = 0
        for event in list(self._heard):
            if f"container start {service}" in watch.words(event, self._stack):
                running.add(event["Actor"]["ID"])
            if f"container die {service}" in watch.words(event, self._stack):
                running.discard(event["Actor"]["ID"])
            most = max(most, len(running))
        return most

    def catch_up(self, *, patience_s: float = daemons.PATIENCE_S) -> None:
        """Return once everything that happened before the call was heard."""
        name = f"{self._stack.project}-heard-{len(self._heard)}"
        docker.docker("volume", "create", name)
        docker.docker("volume", "rm", name)
        daemons.until(lambda: any(event["Actor"]["ID"] == name for event in list(self._heard)), patience_s=patience_s)

    def is_heard(self) -> bool:
        """Whether the engine has taken us on as a listener."""
        try:
            self.catch_up(patience_s=0.5)
        except AssertionError:
            return False
        return True

    def end(self) -> None:
        """Stop listening."""
        self._process.terminate()
        self._process.wait()
        self._thread.join()


@contextlib.contextmanager
def to(stack: stacks.Stack) -> Iterator[Listening]:
    """Listen to what the engine does to a stack while the block runs."""
    heard = Listening(stack)
    try:
        daemons.until(heard.is_heard)
        yield heard
    finally:
        heard.end()
