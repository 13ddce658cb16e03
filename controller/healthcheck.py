"""Whether the controller of this machine or container lives, as its own `/healthz` says (faults.md I4).

Behind `controller healthcheck`, which a container's HEALTHCHECK runs every few seconds for as long as it lives. So it
asks over a socket of its own and loads nothing but a little of the standard library; the image calls `main` without the
command line's library. Knows nothing of a target.
"""

import os
import socket
import sys

from controller import settings_values

VARIABLE = "CONTROLLER_HTTP__LISTEN"
USUAL_S = 3.0
"""How long an answer may take."""

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a server listens, not we
"""Addresses that a server listens at, and the one of them that it is asked at."""

_MOST_BYTES = 4096
"""Of an answer. The status is in the first ones."""

_USAGE = 64


def main() -> int:
    """`controller healthcheck` without options: 0 alive, 1 not, 64 when no address is set."""
    address = os.environ.get(VARIABLE, "")
    try:
        why = trouble(address, USUAL_S)
    except ValueError as error:
        why, code = f"{VARIABLE}: {error}", _USAGE
    else:
        code = 1 if why else 0
    if why:
        sys.stderr.write(f"not healthy: {why}\n")
    return code


def trouble(address: str, seconds: float) -> str:
    """Why the controller at this address, a URL or what `http.listen` may be, is not alive; "" when it is. Raises
    `ValueError` when that is no address."""
    host, port = settings_values.host_and_port(address.removeprefix("http://").removesuffix("/"))
    try:
        status = _status(_ANYWHERE.get(host, host), port, seconds)
    except OSError as error:
        return f"{address}: {error.strerror or 'no answer in time'}"
    return "" if status == "200" else f"{address}: answered {status or 'with something else'}"


def _status(host: str, port: int, seconds: float) -> str:
    """The status of `GET /healthz`, as text; "" when the answer is not one of HTTP. Raises `OSError`."""
    with socket.create_connection((host, port), timeout=seconds) as asked:
        asked.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while b"\r\n" not in answer and len(answer) < _MOST_BYTES:
            more = asked.recv(_MOST_BYTES)
            if not more:
                break
            answer += more
    words = answer.partition(b"\r\n")[0].decode("latin-1").split()
    return words[1] if len(words) > 1 and words[0].startswith("HTTP/1.") else ""
