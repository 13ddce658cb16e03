"""What compose files define, as far as a run of the provisioner depends on it (contract.md section 8; faults.md H11,
H12).

Owns the values of the definition, and the questions to it that need no engine; pure. `controller.docker_payloads` reads
what compose prints, `controller.inside` asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core import own_container


@dataclass(frozen=True, slots=True)
class Defined:
    """One mount of a service: a folder of the engine's host, or a volume by the engine's name of it. `below` is the
    folder of the volume that is mounted, "" for all of it."""

    kind: str
    source: str
    target: str
    below: str = ""

    def shows(self, place: own_container.Place) -> bool:
        """Whether the place is what is mounted, or in it."""
        if self.kind == own_container.VOLUME:
            same = place.mount.kind == own_container.VOLUME and place.mount.source == self.source
            return same and own_container.below(f"/{place.rest}", f"/{self.below}") is not None
        return any(own_container.below(name, self.source) is not None for name in place.names)

    def __str__(self) -> str:
        """``SOURCE at TARGET``."""
        named = f"the volume {self.source}" if self.kind == own_container.VOLUME else self.source
        return f"{named} at {self.target}"


@dataclass(frozen=True, slots=True)
class Definition:
    """A compose project. `needs` are, of every service by name, those that it depends on; `mounts` are those of the
    service that was asked for; `volumes` are the engine's names of volumes by their names in the files."""

    needs: Mapping[str, frozenset[str]]
    mounts: tuple[Defined, ...] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)


def started_with(service: str, needs: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Every service that compose starts, or makes again, before this one; itself left out unless it is in a circle."""
    found: set[str] = set()
    fresh = set(needs.get(service, ()))
    while fresh:
        found |= fresh
        fresh = {one for name in fresh for one in needs.get(name, ())} - found
    return frozenset(found)
