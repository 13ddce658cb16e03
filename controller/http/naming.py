"""The names that the server may be asked for by (faults.md I3): no page of a stranger may read what it shows.

A browser that is led here by a name of somebody else (DNS rebinding) still asks with that name. An address cannot be
led anywhere, so every one of those will do. Values only; `app` refuses.
"""

import ipaddress
from collections.abc import Collection

_LOCAL = "localhost"


def is_own(host: str, names: Collection[str]) -> bool:
    """Whether the value of a Host header is an address, localhost, or one of `names`; the port does not count."""
    name = _name(host)
    return _is_address(name) or name == _LOCAL or name in {_name(one) for one in names}


def _name(host: str) -> str:
    """Without the port, the brackets of IPv6, and the dot at the end."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return (host if host.count(":") > 1 else host.partition(":")[0]).removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
