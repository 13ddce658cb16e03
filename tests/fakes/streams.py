"""Bytes from one socket to another, for fakes that stand between two programs."""

import contextlib
import socket

_PIECE = 1 << 14


def pour(source: socket.socket, sink: socket.socket) -> None:
    """Everything until its end, and then the end. Whoever closes one of them ends it too."""
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
