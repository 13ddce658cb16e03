"""A socket with a deadline for everything that is done with it: looking up the name, connecting, TLS, each byte.

Beneath `controller.registry_http`. The timeout of a socket is for one call of the system; here it is what is left of
the deadline, so that a server which drips its answer byte by byte gains nothing (faults.md P8). Knows no HTTP.
"""

import contextlib
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller import registry_names

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens. `host` is a name or an IP address without brackets."""

    host: str
    port: int
    secure: bool


class Deadline:
    """A point of time, `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left. Raises `TimeoutError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Timed:
    """What `http.client` needs of a socket. `left` gives the seconds that remain to the question of the moment."""

    def __init__(self, at: Address, left: Callable[[], float]) -> None:
        self._at = at
        self._left = left
        self._raw = socket.socket()
        self._readers = 0
        self._closed = False

    def connect(self) -> None:
        """Connect to the first of the host's addresses that takes it. Raises `OSError`."""
        failure: OSError = ConnectionRefusedError()
        for family, kind, protocol, _, address in _addresses(self._at, self._left):
            self._raw.close()
            self._raw = socket.socket(family, kind, protocol)
            try:
                self._raw.settimeout(self._left())
                self._raw.connect(address)
            except OSError as error:
                failure = error
            else:
                return self._secure()
        raise failure

    def sendall(self, content: bytes) -> None:
        """Send everything."""
        self._raw.settimeout(self._left())
        self._raw.sendall(content)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """For reading. The socket stays open for it after `close`, as `http.client` expects of sockets."""
        self._readers += 1
        return io.BufferedReader(_Reading(self))

    def let_go(self) -> None:
        """One of those who read has ended."""
        self._readers -= 1
        if self._closed and not self._readers:
            self._raw.close()

    def receive(self, into: "WriteableBuffer") -> int:
        """Read what is there, at least one byte; 0 at the end."""
        self._raw.settimeout(self._left())
        return self._raw.recv_into(into)

    def hang_up(self) -> None:
        """Make every thread that waits for this socket wait no longer."""
        with contextlib.suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, once nobody reads from it."""
        self._closed = True
        if not self._readers:
            self._raw.close()

    def _secure(self) -> None:
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._at.secure:
            context = ssl.create_default_context()
            wrapped = context.wrap_socket(self._raw, server_hostname=self._at.host, do_handshake_on_connect=False)
            self._raw = wrapped
            wrapped.settimeout(self._left())
            wrapped.do_handshake()


class _Reading(io.RawIOBase):
    def __init__(self, sock: Timed) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, into: "WriteableBuffer") -> int:
        return self._sock.receive(into)

    def close(self) -> None:
        if not self.closed:
            self._sock.let_go()
        super().close()


def _addresses(at: Address, left: Callable[[], float]) -> list[Any]:
    """What the resolver says. It knows no deadline of ours: a name is asked for in a thread that may be left behind."""
    if registry_names.is_literal(at.host):
        return socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)
    found: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            found.put(list(socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=resolve, daemon=True).start()
    try:
        answer = found.get(timeout=left())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer
