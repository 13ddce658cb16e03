"""What a service manager is told: sd_notify(3), and its watchdog.

A datagram to the socket in ``NOTIFY_SOCKET``; without that variable every call does nothing. Never raises: a service
manager that does not listen must not stop the loop (faults.md P15).
"""

import os
import socket
from contextlib import suppress

from controller import clock


def tell(*states: str) -> None:
    """Send states such as ``READY=1``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.setblocking(False)
        connection.sendto("\n".join(states).encode(), "\0" + address[1:] if address[0] == "@" else address)


def reloading() -> None:
    """A reload begins; ``READY=1`` ends it (``Type=notify-reload``)."""
    tell("RELOADING=1", f"MONOTONIC_USEC={int(clock.Clock().monotonic_s() * 1_000_000)}")


def stopping(within_s: float) -> None:
    """The end begins, and takes no longer than this: the manager waits for it, whatever its own patience."""
    tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(within_s * 1_000_000)}")


def watchdog_s() -> float | None:
    """How often the watchdog wants a sign of life at least; None when there is none for this process."""
    period, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not period.isdecimal() or int(period) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(period) / 1_000_000
