"""What runs now: the compose project that reads CONFIG_DIR, as the engine shows it (contract.md section 6).

Owns the values of the observation; `controller.probes.stack` fills them, `core.compatibility` judges them. "Nothing
observable" is a value: no services, and `unknown` says why.
"""

from dataclasses import dataclass

from core import digest


@dataclass(frozen=True, slots=True)
class Service:
    """One container of the project.

    `name` is the compose service. `image` is the reference that the container was made from, `tag` and `digest` its
    parts ("" when it has none; the digest may come from the engine), `version` the OCI version label ("" without one).
    `runtime` is the mode that its environment declares, "" for none. `state` and `health` are the engine's words.
    `one_shot` says that an exited container is its normal state (consumers.md PR2).
    """

    name: str
    image: str
    tag: str = ""
    digest: str = ""
    version: str = ""
    runtime: str = ""
    state: str = "running"
    health: str = ""
    exit_code: int | None = None
    one_shot: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """One look at a compose project. `source` says in words where the observation comes from; `unknown` says why there
    is nothing to see, and is empty exactly when there are services."""

    project: str
    services: tuple[Service, ...] = ()
    source: str = ""
    unknown: str = ""

    @property
    def fingerprint(self) -> str:
        """Covers what compatibility depends on, and not what comes and goes (state, health): "" when unknown."""
        if not self.services:
            return ""
        return digest.of_parts(
            part
            for each in sorted(self.services, key=lambda each: (each.name, each.image))
            for part in (each.name, each.image, each.tag, each.digest, each.version, each.runtime)
        )


NOT_CONFIGURED = Stack("", unknown="no compose stack is configured")
"""The observation of a target that has nothing to look at."""
