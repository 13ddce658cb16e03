"""The engine behind an address of this host that is not loopback: for the controller, an engine on another host.

Copies bytes between connections and the engine's socket, each direction until its end: docker's builds and runs go on
in one direction after the other has ended.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

from e2e.harness import docker, stacks
from tests.fakes import streams

_GATEWAY = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"


@contextlib.contextmanager
def engine() -> Iterator[str]:
    """``tcp://ADDRESS:PORT`` while the block lasts, on the bridge that the engine gave this host. Raises `OSError`
    where the engine is not on this host."""
    address = docker.docker("network", "inspect", "bridge", "--format", _GATEWAY).split()[0]
    with socket.create_server((address, 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        try:
            yield f"tcp://{address}:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            here, _ = server.accept()
            there = socket.socket(socket.AF_UNIX)
            there.connect(stacks.engine_socket())
            threading.Thread(target=_join, args=(here, there), daemon=True).start()


def _join(here: socket.socket, there: socket.socket) -> None:
    with here, there:
        back = threading.Thread(target=streams.pour, args=(there, here), daemon=True)
        back.start()
        streams.pour(here, there)
        back.join()
