"""One question to a server over HTTP, with a deadline for the whole of it.

Beneath `controller.registry`. Owns connections (kept alive between questions, one question at a time on each),
redirects and the size of what is read. Sends no credentials, ever, and uses no proxy. Knows nothing of images, and
shows nothing of an answer in a message: a signed address is a secret (faults.md K1).
"""

import contextlib
import http.client
import threading
import urllib.parse
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller import registry_sockets

Address = registry_sockets.Address
Deadline = registry_sockets.Deadline

REDIRECTS = 4
"""The most redirects that one question follows."""

_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_AGENT = "artifact-controller"


class Unacceptable(Exception):
    """The server answered, and with something that is not followed or not read. The text is for people."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: GET or HEAD, a path with its query, the accepted media types, the largest body in bytes."""

    method: str
    path: str
    accept: str
    limit: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its headers by lower-case name, and its body, which is empty unless the status is 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Connections:
    """Connections to any number of servers, for any number of threads."""

    def __init__(self) -> None:
        self._idle: dict[Address, list[_Connection]] = {}
        self._busy: set[_Connection] = set()
        self._lock = threading.Lock()
        self._ended = False
        # Whoever forgets to close leaves no open socket behind.
        weakref.finalize(self, _close_all, self._idle)

    def ask(self, at: Address, question: Question, deadline: Deadline) -> Reply:
        """Ask, and follow redirects. Raises `Unacceptable`, and `OSError` or `http.client.HTTPException` when there is
        no answer, `TimeoutError` among them."""
        for _ in range(REDIRECTS + 1):
            reply = self._ask_one(at, question, deadline)
            if reply.status not in _FOLLOWED:
                return reply
            at, path = _target(at, question.path, reply.headers.get("location", ""))
            question = replace(question, path=path)
        raise Unacceptable(f"redirects more than {REDIRECTS} times")

    def close(self) -> None:
        """Let go of what is idle."""
        with self._lock:
            _close_all(self._idle)

    def hang_up(self) -> None:
        """End every question that is being asked, from another thread; whoever asks gets an `OSError`, now and from
        now on (faults.md P8)."""
        with self._lock:
            self._ended = True
            for connection in self._busy:
                connection.hang_up()

    def _ask_one(self, at: Address, question: Question, deadline: Deadline) -> Reply:
        with self._connection(at) as connection:
            kept = connection.sock is not None
            try:
                return connection.ask(question, deadline)
            except (ConnectionError, http.client.BadStatusLine):
                # A server may close what was kept alive, at any time. To ask twice is to ask once: it is GET or HEAD.
                if not kept or self._ended:
                    raise
            connection.close()
            return connection.ask(question, deadline)

    @contextlib.contextmanager
    def _connection(self, at: Address) -> "Iterator[_Connection]":
        with self._lock:
            if self._ended:
                raise ConnectionAbortedError
            idle = self._idle.get(at)
            connection = idle.pop() if idle else _Connection(at)
            self._busy.add(connection)
        whole = False
        try:
            yield connection
            whole = True
        finally:
            with self._lock:
                self._busy.discard(connection)
                if whole and connection.sock is not None and not self._ended:
                    self._idle.setdefault(at, []).append(connection)
                else:
                    connection.close()


def _close_all(idle: "dict[Address, list[_Connection]]") -> None:
    for connections in idle.values():
        for connection in connections:
            connection.close()
    idle.clear()


class _Connection(http.client.HTTPConnection):
    """One connection, plain or with TLS, each question with a deadline of its own."""

    def __init__(self, at: Address) -> None:
        super().__init__(at.host, at.port)
        self._at = at
        self._deadline = Deadline(0)
        self._timed: registry_sockets.Timed | None = None

    def connect(self) -> None:
        self._timed = registry_sockets.Timed(self._at, self._left)
        self.sock: Any = self._timed
        self._timed.connect()

    def ask(self, question: Question, deadline: Deadline) -> Reply:
        """Ask, and read the answer; of one with another status than 200 only its headers."""
        self._deadline = deadline
        headers = {"Accept": question.accept, "Accept-Encoding": "identity", "User-Agent": _AGENT}
        self.request(question.method, question.path, headers=headers)
        with self.getresponse() as answer:
            told = {name.lower(): value for name, value in reversed(answer.getheaders())}
            if question.method == "HEAD":
                answer.read()
                return Reply(answer.status, told)
            if answer.status != 200:
                self.close()
                return Reply(answer.status, told)
            return Reply(answer.status, told, _body(answer, question.limit))

    def hang_up(self) -> None:
        """Make whoever waits for this connection wait no longer."""
        if self._timed is not None:
            self._timed.hang_up()

    def _left(self) -> float:
        return self._deadline.left()


def _body(answer: http.client.HTTPResponse, limit: int) -> bytes:
    """The body. Raises `Unacceptable` when it is larger than the limit, whatever length it promised."""
    body = answer.read(limit + 1)
    if len(body) > limit:
        raise Unacceptable(f"answers with more than {limit >> 20} MiB")
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return body


def _target(at: Address, path: str, location: str) -> tuple[Address, str]:
    """Where a redirect leads: to HTTP or HTTPS, never from TLS to plain text, never with a password in the address."""
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(f"{_origin(at)}{path}", location))
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Unacceptable("redirects to something that is no address") from None
    secure = parts.scheme == "https"
    if not location or not host or parts.scheme not in {"http", "https"}:
        raise Unacceptable("redirects to something that is no address")
    if at.secure and not secure:
        raise Unacceptable("redirects from TLS to plain HTTP")
    if parts.username is not None or parts.password is not None:
        raise Unacceptable("redirects to an address with a password in it")
    query = f"?{parts.query}" if parts.query else ""
    return Address(host, port or (443 if secure else 80), secure), f"{parts.path or '/'}{query}"


def _origin(at: Address) -> str:
    host = f"[{at.host}]" if ":" in at.host else at.host
    return f"{'https' if at.secure else 'http'}://{host}:{at.port}"
