"""A socket before the engine's own that does what a test scripts to the requests that come through it.

Every request has a connection of its own, so that each can be told apart, answered in the engine's place, cut off or
left without an answer for ever. Needs a real engine; knows nothing of who asks.
"""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fakes import streams

Act = Callable[[socket.socket, threading.Event], bool]
"""What happens to a request before the engine hears of it; False: it never does."""


def says(status: str, body: bytes = b"") -> Act:
    """Answer in the engine's place."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

    def act(client: socket.socket, over: threading.Event) -> bool:
        del over
        client.sendall(head.encode() + body)
        return False

    return act


def cut(client: socket.socket, over: threading.Event) -> bool:
    """Begin an answer and go away."""
    del over
    client.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n[{"Id": "')
    return False


def drops(client: socket.socket, over: threading.Event) -> bool:
    """Go away without a word, as an engine that is being restarted."""
    del client, over
    return False


def hangs(client: socket.socket, over: threading.Event) -> bool:
    """Never answer."""
    del client
    over.wait()
    return False


def dawdles(client: socket.socket, over: threading.Event) -> bool:
    """Be late, but answer."""
    del client
    over.wait(0.02)
    return True


class Proxy:
    """The way to the engine at `path`; `address` is for DOCKER_HOST. `requests` are ``METHOD PATH``, as they came."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self.requests: list[str] = []
        self._engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
        self._script: tuple[re.Pattern[str], Act] | None = None
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(64)
        self._start(self._accept)

    def meet(self, pattern: str, act: Act) -> None:
        """Let every request whose ``METHOD PATH`` has the pattern in it meet this."""
        self._script = re.compile(pattern), act

    def heal(self) -> None:
        """Be a faithful way to the engine again."""
        self._script = None

    def stop(self) -> None:
        """Close everything; whoever hangs is let go."""
        self._over.set()
        for each in (self._server, *tuple(self._open)):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
        self._server.close()

    def _start(self, act: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=act, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client = self._server.accept()[0]
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine, contextlib.suppress(OSError):
            self._open |= {client, engine}
            head = self._head(client)
            words = head.partition(b"\r\n")[0].decode().split()
            request = " ".join(words[:2])
            self.requests.append(request)
            script = self._script
            if not words or (script and script[0].search(request) and not script[1](client, self._over)):
                return
            engine.connect(self._engine)
            engine.sendall(head)
            there = self._start(streams.pour, client, engine)
            streams.pour(engine, client)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            there.join(timeout=10)

    @staticmethod
    def _head(client: socket.socket) -> bytes:
        """The request up to its body, asking for a connection of its own unless the connection becomes a stream."""
        head = b""
        while b"\r\n\r\n" not in head and (piece := client.recv(65536)):
            head += piece
        if b"\r\nupgrade:" in head.lower():
            return head
        return head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


@contextlib.contextmanager
def standing(path: Path) -> Iterator[Proxy]:
    """A way to the engine while the block lasts; `path` has to be short, as paths of sockets are."""
    proxy = Proxy(path)
    try:
        yield proxy
    finally:
        proxy.stop()
