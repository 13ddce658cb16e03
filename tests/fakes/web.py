"""A real server of the controller on a free port of loopback, and clients that speak to it byte by byte."""

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from controller import metrics, pulse, runs
from controller.http import app, bounds, server, shown
from tests.fakes import deliveries

PATIENCE_S = 120.0
"""Longer than anything takes; a test that waits for so long has failed."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a value."""
        return json.loads(self.body)


@dataclass
class Site:
    """A server with everything that it shows."""

    served: app.Served
    limits: bounds.Limits = bounds.USUAL
    address: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def runs(self) -> runs.Runs:
        """Where its deliveries go."""
        return self.served.targets()[0].asked

    def __post_init__(self) -> None:
        self.served = replace(self.served, warn=self.warnings.append)

    def count(self, result: str) -> float:
        """Deliveries that came to this."""
        return sample(self.served.metrics, f'artifact_controller_webhook_deliveries_total{{result="{result}"}}')

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(*self.place, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read())

    def deliver(self, body: bytes = deliveries.BODY, headers: Mapping[str, str] | None = None) -> Answer:
        """A delivery, genuine unless headers are given."""
        told = deliveries.github(body) if headers is None else headers
        return self.ask("/v1/webhook", "POST", body, told)

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(self.place, timeout=PATIENCE_S)

    def send(self, raw: bytes) -> bytes:
        """Everything that comes back for these bytes until the server closes; a reset is an end too."""
        with contextlib.closing(self.connect()) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(raw)
            return read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    """Until the other side closes."""
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def sample(counted: Any, name: str) -> float:
    """One value of the text for Prometheus, 0 when it is not there."""
    for line in counted.text().decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return 0.0


def served(**changed: Any) -> app.Served:
    """What a server shows unless a test says otherwise."""
    of_server = {name: changed.pop(name) for name in list(changed) if name in app.Served.__slots__}
    usual: dict[str, Any] = {"metrics": metrics.Metrics(), "secret": deliveries.SECRET.encode()}
    one = target(**changed)
    return app.Served(**{"targets": lambda: (one,), **usual, **of_server})


def target(name: str = "default", **changed: Any) -> shown.Shown:
    """One target unless a test says otherwise."""
    usual: dict[str, Any] = {
        "asked": runs.Runs(),
        "beats": pulse.Pulse(),
        "status": lambda: {"name": name},
        "ready_within_s": 90.0,
    }
    return shown.Shown(name, **{**usual, **changed})


@contextlib.contextmanager
def site(limits: bounds.Limits = bounds.USUAL, listen: str = "127.0.0.1:0", **changed: Any) -> Iterator[Site]:
    """A site that is gone after the block."""
    found = Site(served(**changed), limits)
    running = server.Server(listen, found.served, limits)
    running.start()
    found.address = running.address
    try:
        yield found
    finally:
        running.stop()


Ask = Callable[..., Answer]
