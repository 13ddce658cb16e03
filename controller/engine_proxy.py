"""The socket proxy: a socket beside the engine's own that lets through only the calls a controller needs.

Owns the reading of requests, strictly, and the way of bytes between two sockets; what may pass decides
`core.engine_calls`. Started by the command `engine-proxy`, in a container of its own: no other part uses it. Every
connection carries one request, so that nothing can follow that was not looked at, and a request that is not understood
to the last byte of its head is refused. Knows nothing of targets or settings.
"""

import contextlib
import http.client
import json
import re
import select
import socket
import threading
import urllib.parse
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from core import engine_calls

LONGEST_HEAD = 64 << 10
LONGEST_BODY = 1 << 20
"""Bytes of a request: its head, and a body that is looked at."""
_PIECE = 64 << 10
_PATIENCE_S = 10.0
"""How long a head may take, and the engine's answer to a question of ours."""
_LINGER_S = 1.0
_AT_ONCE = 128
_LINE = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) (/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_ODD = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOP = frozenset({b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"})


class Refused(Exception):
    """A request that is not passed on: the status of the answer, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    fields: tuple[tuple[bytes, bytes], ...]
    rest: bytes
    """What came behind the head."""

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name]

    @property
    def length(self) -> int:
        """Bytes of the body. Raises `Refused` when that is not said in one plain number."""
        if self.values(b"transfer-encoding"):
            raise Refused(411, "a body without its length")
        told = self.values(b"content-length") or [b"0"]
        if len(told) > 1 or not told[0].isdigit() or len(told[0]) > 12:
            raise Refused(400, "no length of the body")
        return int(told[0])


class EngineProxy:
    """One proxy, from a listening socket to the engine's. `mounts` tells what a provisioner may mount; it is asked for
    every container that is made, and may ask the engine. `tell` gets a line about every refusal."""

    def __init__(
        self,
        listening: socket.socket,
        engine: str,
        mounts: "Callable[[EngineProxy], Collection[str]]",
        tell: Callable[[str], object],
    ) -> None:
        self._listening, self._engine, self._mounts, self._tell = listening, engine, mounts, tell
        self._room = threading.BoundedSemaphore(_AT_ONCE)

    def serve(self) -> None:
        """Serve until the listening socket is closed."""
        while True:
            self._room.acquire()
            try:
                client = self._listening.accept()[0]
            except OSError:
                self._room.release()
                return
            threading.Thread(target=self._served, args=(client,), daemon=True).start()

    def _served(self, client: socket.socket) -> None:
        try:
            with client, contextlib.suppress(OSError):
                try:
                    self._pass_on(client)
                except Refused as refused:
                    self._tell(f"{refused.status} {refused}")
                    _refuse(client, refused)
        finally:
            self._room.release()

    def _pass_on(self, client: socket.socket) -> None:
        client.settimeout(_PATIENCE_S)
        request = _read(client)
        if request is None:
            return
        judged = _judge(request)
        body = self._body(client, request, judged)
        if judged.call.own:
            self._require_provisioner(judged.container)
        client.settimeout(None)
        with socket.socket(socket.AF_UNIX) as engine:
            self._connect(engine)
            streams = judged.call.streams and bool(request.values(b"upgrade"))
            engine.sendall(_head(request, streams=streams) + body)
            if streams and not _becomes_stream(engine, client):
                streams = False
            (_both_ways if streams else _answered)(client, engine)

    def _body(self, client: socket.socket, request: _Request, judged: engine_calls.Judged) -> bytes:
        """All of the body, and nothing that follows it. A form in it would count more than the parameters that were
        judged: only what is read here may have one."""
        creates = judged.call.path == engine_calls.CREATE
        if request.length > (LONGEST_BODY if creates else 0):
            raise Refused(413, "a body of that length")
        body = request.rest[: request.length]
        while len(body) < request.length:
            piece = client.recv(min(_PIECE, request.length - len(body)))
            if not piece:
                raise Refused(400, "a body that is cut off")
            body += piece
        if creates and (why := _objection(body, self._mounts(self))):
            raise Refused(403, f"that container is not made: {why}")
        return body

    def _require_provisioner(self, container: str) -> None:
        """Raise `Refused` unless it is one. One that is gone is told as the engine tells it."""
        name = self.asked(f"/containers/{container}/json").get("Name")
        if name is None:
            raise Refused(404, f"No such container: {container}")
        if not engine_calls.is_provisioner(str(name)):
            raise Refused(403, "that container is no provisioner of a controller")

    def asked(self, path: str) -> Mapping[str, Any]:
        """What the engine itself says; nothing where it says no. Raises `Refused` when it does not answer."""
        connection = http.client.HTTPConnection("engine")
        with contextlib.closing(connection), socket.socket(socket.AF_UNIX) as engine:
            self._connect(engine)
            engine.settimeout(_PATIENCE_S)
            connection.sock = engine
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                said = json.loads(answer.read()) if answer.status == http.HTTPStatus.OK else {}
            except (OSError, http.client.HTTPException, ValueError):
                raise Refused(502, "the engine does not answer") from None
        return said if isinstance(said, dict) else {}

    def _connect(self, engine: socket.socket) -> None:
        try:
            engine.connect(self._engine)
        except OSError as error:
            raise Refused(502, f"the engine is not there: {error.strerror}") from None


def _read(client: socket.socket) -> _Request | None:
    """One request's head; None when there is none. Raises `Refused` for what is not plain HTTP/1.1."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = client.recv(_PIECE)
        if not piece and not head:
            return None
        head += piece
        if not piece or len(head) > LONGEST_HEAD:
            raise Refused(400, "no request")
    head, _, rest = head.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    line, fields = _LINE.fullmatch(first), [_FIELD.fullmatch(each) for each in lines]
    if line is None or None in fields:
        raise Refused(400, "no plain request")
    pairs = tuple((each[1], each[2]) for each in fields if each)
    return _Request(line[1].decode(), line[2].decode(), pairs, rest)


def _judge(request: _Request) -> engine_calls.Judged:
    path, _, query = request.target.partition("?")
    if ";" in query or _ODD.search(query):  # the engine leaves such a parameter out
        raise Refused(400, "no plain parameters")
    try:
        parameters = urllib.parse.parse_qs(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        raise Refused(400, "no plain parameters") from None
    judged = engine_calls.judged(request.method, path, parameters)
    if judged is None:
        raise Refused(403, f"{request.method} {path} is none of the calls that a controller needs")
    return judged


def _objection(body: bytes, mounts: Collection[str]) -> str:
    try:
        return engine_calls.objection(json.loads(body.decode(), object_pairs_hook=_once), mounts)
    except (ValueError, RecursionError):
        return "it cannot be read"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("one field is there twice")
    return found


def _head(request: _Request, *, streams: bool) -> bytes:
    """The request as the engine gets it: the last one of its connection."""
    lines = [f"{request.method} {request.target} HTTP/1.1".encode()]
    lines += [name + b": " + value for name, value in request.fields if name.lower() not in _HOP]
    if streams:
        lines += [b"Connection: Upgrade", b"Upgrade: " + request.values(b"upgrade")[0]]
    else:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _becomes_stream(engine: socket.socket, client: socket.socket) -> bool:
    """Pass on the head of the answer: whether the engine made a stream of the connection."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < LONGEST_HEAD and (piece := engine.recv(_PIECE)):
        head += piece
    client.sendall(head)
    return head.startswith(b"HTTP/1.1 101 ")


def _answered(client: socket.socket, engine: socket.socket) -> None:
    """The answer, until it ends or nobody wants it any more. What the client still says goes nowhere."""
    while True:
        ready = select.select([client, engine], [], [])[0]
        if client in ready and not client.recv(_PIECE):
            return
        if engine in ready:
            piece = engine.recv(_PIECE)
            if not piece:
                return
            client.sendall(piece)


def _both_ways(client: socket.socket, engine: socket.socket) -> None:
    """Two streams, each until its end."""
    there = threading.Thread(target=_pour, args=(client, engine), daemon=True)
    there.start()
    _pour(engine, client)
    with contextlib.suppress(OSError):  # the engine has said all: nothing more is wanted from the client
        client.shutdown(socket.SHUT_RDWR)
    there.join()


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


def _refuse(client: socket.socket, refused: Refused) -> None:
    """Say no, and hear the client out: one that is cut off while it still writes does not read the answer."""
    client.sendall(_answer(refused))
    client.shutdown(socket.SHUT_WR)
    client.settimeout(_LINGER_S)
    left = LONGEST_BODY
    while left > 0 and (piece := client.recv(_PIECE)):
        left -= len(piece)


def _answer(refused: Refused) -> bytes:
    """As the engine words its own refusals, so that docker shows it."""
    body = json.dumps({"message": f"engine-proxy: {refused}"}).encode()
    reason = http.client.responses.get(refused.status, "")
    head = f"HTTP/1.1 {refused.status} {reason}\r\nContent-Type: application/json\r\nApi-Version: 1.45\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
