"""How single settings are written: durations, fractions, names, lists. Each says in plain words what it wants instead.

Pure functions from what was written to the value, or a `ValueError` whose text is for people.
"""

import re
from collections.abc import Callable

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_S = 366 * 86400
"""The longest duration that any setting or option takes, in seconds."""

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"


def seconds(value: object) -> float:
    """``30s``, ``5m``, ``2h``, ``500ms`` or a number of seconds, as a number of seconds. Raises `ValueError`."""
    number = -1.0
    if isinstance(value, str):
        if (match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?", value.strip())) is not None:
            number = float(match[1]) * _UNITS[match[2] or "s"]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    if number > LONGEST_S:
        raise ValueError("must be at most 366d")
    if not number >= 0:
        raise ValueError("write a duration like 30s, 5m or 2h")
    return number


def at_least(shortest_s: float) -> Callable[[float], float]:
    """A check of a duration that is no use when it is shorter, in seconds."""

    def checked(value: float) -> float:
        if value < shortest_s:
            raise ValueError(f"must be at least {shortest_s * 1000:g}ms")
        return value

    return checked


def fraction(value: object) -> float:
    """``0.3`` or ``30%``, as a number from 0 to 1. Raises `ValueError`."""
    number = -1.0
    if isinstance(value, str):
        if (match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(%?)", value.strip())) is not None:
            number = float(match[1]) / (100 if match[2] else 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    if not 0 <= number <= 1:
        raise ValueError("must be between 0 and 1, or a percentage like 30%")
    return number


def not_empty(value: object) -> object:
    """An empty path is a variable that was not set, and not the folder in which the command runs."""
    if value == "":
        raise ValueError("must not be empty")
    return value


def name(value: str) -> str:
    """The name of a target. Raises `ValueError`."""
    if re.fullmatch(NAME, value) is None:
        raise ValueError("write 1 to 64 of the characters A-Z a-z 0-9 _ . - and begin with none of . -")
    return value


def listed(value: object) -> object:
    """A list, or its items separated by commas, as a variable has them."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def registry(value: str) -> str:
    """``registry:5010`` or ``ghcr.io/team``, without a slash at its end. Raises `ValueError`."""
    cut = value.strip().rstrip("/")
    if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:/[a-z0-9._-]+)*", cut) is None:
        raise ValueError("write HOST, HOST:PORT or HOST:PORT/PATH, without a scheme, user or password")
    return cut


def engine(value: str) -> str:
    """An address of an engine. Docker takes no password in one, and would be given it on its command line, which
    everybody may read (contract.md section 7). Raises `ValueError`."""
    if re.search(r"://[^@]*:[^@]*@", value) is not None:
        raise ValueError("docker takes no password in an address: use ssh with a key, tcp with TLS, or docker.context")
    return value


def host_and_port(value: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPV6]:PORT``, or ``:PORT``, which is 127.0.0.1, taken apart. Raises `ValueError`."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[A-Za-z0-9._-]*):([0-9]{1,5})", value.strip())
    if match is None or int(match[2]) > 65535:
        raise ValueError("write HOST:PORT, [IPV6]:PORT, or :PORT for 127.0.0.1")
    return match[1].strip("[]") or "127.0.0.1", int(match[2])


def listen(value: str) -> str:
    """An address to listen on, as `host_and_port` reads it. Raises `ValueError`."""
    host_and_port(value)
    return value.strip()


def pairs(value: object) -> object:
    """A mapping, or ``A=1,B=2``, as a variable has it. Raises `ValueError`."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if any("=" not in part or part.startswith("=") for part in parts):
        raise ValueError("write NAME=VALUE,NAME=VALUE")
    return dict(part.split("=", 1) for part in parts)
