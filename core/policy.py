"""What the operator allows: the part of the settings that decisions depend on.

Owns the closed choices and their defaults (design.md section 9, `policy:`), so that `core.plan` needs no settings file.
"""

from dataclasses import dataclass
from enum import StrEnum


class Prune(StrEnum):
    """What happens to items that the source does not ask for (contract.md section 4)."""

    OWNED = "owned"
    """Remove what we applied earlier; keep what was never ours."""
    ALL = "all"
    """Remove everything that the source does not ask for."""
    NONE = "none"
    """Remove nothing; report."""


class PublishMode(StrEnum):
    """How CONFIG_DIR is written (design.md section 4)."""

    GENERATION = "generation"
    FILES = "files"


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices. `max_removed` is the fraction of owned items that one plan may remove (0.5 is 50 %)."""

    strict: bool = False
    prune: Prune = Prune.OWNED
    self_heal: bool = True
    publish: PublishMode = PublishMode.GENERATION
    max_removed: float = 0.5
    allow_empty: bool = False


@dataclass(frozen=True, slots=True)
class Permissions:
    """What was allowed for this one pass: `shrink` names a revision (or a prefix of it) whose removals are wanted;
    `skip_images` says that somebody else builds the images."""

    shrink: str = ""
    skip_images: bool = False
