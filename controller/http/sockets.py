"""The socket that the server listens on, opened where a failure can still end the start (faults.md I5)."""

import contextlib
import socket

from controller import errors, settings_values

_BACKLOG = 128


def listening(listen: str) -> socket.socket:
    """A socket that listens on ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``, which is loopback only.

    Raises `ControllerError`: "SettingsInvalid" for what is no such address, "ListenFailed" when it cannot be had.
    """
    try:
        host, port = settings_values.host_and_port(listen)
    except ValueError as error:
        raise errors.ControllerError("SettingsInvalid", f"http.listen: {error}") from None
    failure = "no such host"
    with contextlib.suppress(socket.gaierror, UnicodeError):
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                return _bound(socket.socket(family, kind, protocol), address)
            except OSError as error:
                failure = error.strerror or "cannot be opened"
    raise errors.ControllerError("ListenFailed", f"http.listen {listen}: {failure}")


def _bound(sock: socket.socket, address: object) -> socket.socket:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)  # type: ignore[arg-type]  # as the resolver gave it
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def name_of(sock: socket.socket) -> str:
    """``127.0.0.1:8080`` or ``[::1]:8080``: with the port that it really got."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
