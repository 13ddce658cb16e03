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


class Provision(StrEnum):
    """When the provisioner is run again (contract.md section 8)."""

    ON_CHANGE = "on-change"
    """When resources changed, or the last run failed."""
    ALWAYS = "always"
    """In every pass."""


class Pin(StrEnum):
    """How the published `image` of a function that is built here names its image."""

    DIGEST = "digest"
    """``repository:tag@sha256:…``: new code changes the configuration, and a rollback brings the old code back."""
    TAG = "tag"
    """As functions.yml has it."""


@dataclass(frozen=True, slots=True)
class Stall:
    """The same difference is healed `repairs` times while the repairs are no further apart than `window_s` seconds;
    then it is left alone as long (faults.md P12)."""

    repairs: int = 5
    window_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices. `max_removed` is the fraction of owned items that one plan may remove (0.5 is 50 %)."""

    strict: bool = False
    provision: Provision = Provision.ON_CHANGE
    prune: Prune = Prune.OWNED
    self_heal: bool = True
    publish: PublishMode = PublishMode.GENERATION
    max_removed: float = 0.5
    allow_empty: bool = False
    stall: Stall = Stall()


@dataclass(frozen=True, slots=True)
class Permissions:
    """What was allowed for this one pass: `shrink` names a revision (or a prefix of it) whose removals are wanted;
    `skip_images` says that somebody else builds the images; `rebuild` that every one is built anew, without cache;
    `take_over` that CONFIG_DIR becomes this target's, whosever it is."""

    shrink: str = ""
    skip_images: bool = False
    rebuild: bool = False
    take_over: bool = False
