"""What a plan says besides its actions: blockers and notices. Reasons are codes; what to do about a code is one table
in `controller.errors`."""

from dataclasses import dataclass, field

from core import problems


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why nothing is done. `reason` is a code of `controller.errors`; `message` names what and where."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell that stops nothing. `place` is the problem that `message` says in words, None for others."""

    code: str
    message: str
    place: problems.Problem | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
