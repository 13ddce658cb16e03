"""Whether the running stack can take the artifact: contract.md section 6.

Holds the rows of the verdict table that apply while nothing can be observed, which is always so for a target without
a compose stack. Compatibility is never guessed from files.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Requirement:
    """`runtime_stack` of the manifest."""

    api_version: str
    mode: str
    esb_version: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table that applies. `blocks` tells an error from a warning."""

    message: str
    blocks: bool


def without_observation(requirement: Requirement | None, *, strict: bool) -> Finding | None:
    """The verdict when no stack can be observed: no requirement, no check; otherwise a warning, or an error when
    `strict`."""
    if requirement is None:
        return None
    return Finding(
        f"the artifact requires a {requirement.mode} stack with API {requirement.api_version} and version "
        f"{requirement.esb_version}; nothing is observable, because no compose stack is configured",
        blocks=strict,
    )
