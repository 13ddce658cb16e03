"""The stack's registry behind an address of its own that a test cuts off in the middle of an upload.

Copies bytes both ways and reads along: which manifests were put, and where the body of a blob begins. The registry
behind it stays up, so that a test can look at what has really arrived.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.fakes import ports, streams

_PIECE = 1 << 14
_HEAD = 1 << 12
_MANIFEST = re.compile(rb"PUT /v2/([^ ]+)/manifests/[^ ]+ HTTP")


@dataclass
class Way:
    """The way to a registry on `behind`, a port of loopback. `put` are the repositories of the manifests that were
    sent through, in order. `severed` is how many bytes of a blob had come when it was cut, 0 while it was not."""

    behind: int
    put: list[str] = field(default_factory=list)
    severed: int = 0
    _victim: re.Pattern[bytes] | None = None
    _after: int = 0
    _for_good: bool = True
    _server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", ports.free()[0])))
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Serve."""
        self.port = int(self._server.getsockname()[1])
        self._serve()

    @property
    def address(self) -> str:
        """For HOST_REGISTRY_ADDR."""
        return f"127.0.0.1:{self.port}"

    def sever(self, repository: str, *, after: int, for_good: bool = True) -> None:
        """Cut the next upload of a blob into this repository after so many bytes of its body; then nobody answers at
        this address, unless it is not `for_good`."""
        self._victim = re.compile(rb"(?:PATCH|PUT) /v2/" + re.escape(repository.encode()) + rb"/blobs/uploads/")
        self._after, self._for_good, self.severed = after, for_good, 0

    def restore(self) -> None:
        """Answer again."""
        self.put.clear()
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._serve()

    def stop(self) -> None:
        """Nobody answers; every connection ends."""
        for each in (self._server, *tuple(self._open)):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = server.accept()
                there = socket.create_connection(("127.0.0.1", self.behind))
                threading.Thread(target=self._join, args=(here, there), daemon=True).start()

    def _join(self, here: socket.socket, there: socket.socket) -> None:
        self._open |= {here, there}
        with here, there:
            back = threading.Thread(target=streams.pour, args=(there, here), daemon=True)
            back.start()
            self._copy_reading(here, there)
            back.join()
        self._open -= {here, there}

    def _copy_reading(self, source: socket.socket, sink: socket.socket) -> None:
        """Requests, as far as they may pass."""
        before, left = b"", None
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                told = before + piece
                self.put.extend(found[1].decode() for found in _MANIFEST.finditer(told) if found.end() > len(before))
                if left is None:
                    left = self._begun(told, len(before))
                if left is not None and left <= len(piece):
                    sink.sendall(piece[:left])
                    self.severed = self._after
                    self._cut(source, sink)
                    return
                left = None if left is None else left - len(piece)
                sink.sendall(piece)
                before = told[-_HEAD:]  # a request may begin in one piece and end in the next
            sink.shutdown(socket.SHUT_WR)

    def _begun(self, told: bytes, known: int) -> int | None:
        """How much may pass of what came after the first `known` bytes and follows, when the upload that is to be cut
        begins here; None when it does not."""
        with self._lock:
            found = self._victim.search(told) if self._victim else None
            end = told.find(b"\r\n\r\n", found.end()) if found else -1
            if end < 0:
                return None
            self._victim = None
            return end + len(b"\r\n\r\n") + self._after - known

    def _cut(self, *ends: socket.socket) -> None:
        for each in ends:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        if self._for_good:
            self.stop()


@contextlib.contextmanager
def before(port: int) -> Iterator[Way]:
    """A way to the registry on this port, while the block lasts."""
    way = Way(port)
    try:
        yield way
    finally:
        way.stop()
