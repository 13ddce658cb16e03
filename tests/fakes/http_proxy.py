"""A proxy that lets in who has its password, and connects to whatever it is asked for (CONNECT)."""

import base64
import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

from tests.fakes import streams

USER, PASSWORD = "someone", "c4n4ry-proxy"


class Proxy(socketserver.ThreadingTCPServer):
    """`asked` are the addresses that it was asked for, by those whom it let in; `refused` counts the others."""

    daemon_threads = True
    asked: list[str]
    refused: int

    def url(self, *, password: str = PASSWORD) -> str:
        """The address, with credentials."""
        return f"http://{USER}:{password}@127.0.0.1:{self.server_address[1]}"


class _Client(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """One connection: a request, and what it asks for in both directions."""
        proxy = self.server
        assert isinstance(proxy, Proxy)
        method, address, _ = self.rfile.readline().decode().split()
        head = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n")]
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if f"Proxy-Authorization: Basic {pair}" not in head or method != "CONNECT":
            proxy.refused += 1
            challenge = 'Proxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\nConnection: close'
            self.wfile.write(f"HTTP/1.1 407 Who are you\r\n{challenge}\r\n\r\n".encode())
            return
        proxy.asked.append(address)
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port))) as far:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=streams.pour, args=(far, self.connection), daemon=True)
            back.start()
            streams.pour(self.connection, far)
            back.join()


@contextlib.contextmanager
def serving() -> Iterator[Proxy]:
    """A proxy in a thread."""
    with Proxy(("127.0.0.1", 0), _Client) as proxy:
        proxy.asked, proxy.refused = [], 0
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
