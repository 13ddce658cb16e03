"""What an image reference says about its registry: host, repository, tag, digest, and how the host is asked.

Beneath `controller.registry`. Pure but for the environment's proxies. Whether a text is a reference at all is the
business of `core.images`; which name of a registry counts where is that of `core.references`.
"""

import contextlib
import ipaddress
from dataclasses import dataclass

from core import references

_HUB = "docker.io"
_HUB_NAMES = frozenset({_HUB, "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class Name:
    """A reference in its parts. `host` is ``docker.io`` when none is written; `repository` has no host."""

    host: str
    repository: str
    tag: str
    digest: str

    @property
    def place(self) -> tuple[str, str]:
        """Equal for two references exactly when they name the same repository of the same registry."""
        return self.host, self.repository

    @property
    def on_hub(self) -> bool:
        """Whether it is on Docker Hub, which gives nothing without a token."""
        return self.host == _HUB


def split(reference: str) -> Name:
    """The parts of a reference that `core.images` finds valid; the tag is ``latest`` when neither tag nor digest is
    there."""
    found = references.split(reference)
    host = _HUB if found.host in _HUB_NAMES else found.host
    path = references.Reference("", found.repository).path if host == _HUB else found.path
    return Name(host, path, found.tag or ("" if found.digest else references.LATEST), found.digest)


def host_and_port(host: str) -> tuple[str, int]:
    """``[::1]:5010`` as ``::1`` and 5010; 0 for no port."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    return name, int(port) if port.isdecimal() and len(port) <= 5 else 0


def is_literal(host: str) -> bool:
    """Whether it is an IP address and not a name."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def is_loopback(host: str) -> bool:
    """Whether the host, with or without a port, is by its name the one that asks."""
    name = host_and_port(host)[0]
    if is_literal(name):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost" or name.endswith(".localhost")


def has_proxy(host: str, *, secure: bool) -> bool:
    """Whether the environment wants this host to be asked through a proxy, which docker knows how to. Never so for
    loopback."""
    if is_loopback(host):
        return False
    import urllib.request  # 20 ms, which a registry on loopback must not cost

    return ("https" if secure else "http") in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)
