"""Ports of loopback for servers that begin later, or whose address is written down before they do."""

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000


def free(count: int = 1) -> list[int]:
    """So many that nobody listens on. The kernel gives them to nobody meanwhile: they are below those that it takes for
    connections, and for servers that leave the choice to it."""
    first = int(_RANGE.read_text(encoding="ascii").split()[0])
    limit = first if first > 2 * _LOWEST else 1 << 16
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        number = random.SystemRandom().randrange(_LOWEST, limit)
        if _is_free(number):
            chosen[number] = None
    return list(chosen)


def _is_free(number: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", number)):
            return True
    except OSError:
        return False
