"""A remote that takes connections and never says a word: whoever asks it waits for as long as his patience lasts."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from tests.fakes import daemons


class Silent:
    """Listens from the beginning. Only one test uses it, and nobody else."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._taken: list[socket.socket] = []

    @property
    def source(self) -> dict[str, Any]:
        """The settings of who follows it."""
        return {"git": {"url": f"http://127.0.0.1:{self._listening.getsockname()[1]}/x.git"}}

    def await_question(self) -> None:
        """Until somebody has asked, and waits."""
        self._listening.settimeout(daemons.PATIENCE_S)
        self._taken.append(self._listening.accept()[0])
        assert self._taken[-1].recv(1)

    def await_end(self) -> None:
        """Until nobody waits any more."""
        for one in self._taken:
            one.settimeout(daemons.PATIENCE_S)
            while one.recv(1 << 16):
                """What was asked is nothing to us."""

    def close(self) -> None:
        """Whoever asks or waits is sent away."""
        for one in (self._listening, *self._taken):
            one.close()


@contextlib.contextmanager
def listening() -> Iterator[Silent]:
    """Gone after the block."""
    made = Silent()
    try:
        yield made
    finally:
        made.close()
