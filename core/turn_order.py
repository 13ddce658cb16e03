"""Whether a target's pass may begin, by how those stand that it is `after`. Pure.

Asked before every pass of a target that comes after others. Owns the rule: a pass waits
while one of them has a pass under way or due, and is not run while the last pass of one failed, or none ended yet. That
nobody waits for each other is made sure of where the settings are read (`core.target_order`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Before:
    """One that comes before. `busy` says that a pass of it is under way or due; `good` is how its last pass ended, None
    when none did."""

    name: str
    busy: bool = False
    good: bool | None = None


class Word(StrEnum):
    """What to do about a pass that is due."""

    BEGIN = "begin"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, and because of whom, in a few words for people."""

    word: Word
    because: str = ""


def verdict(before: Iterable[Before]) -> Verdict:
    """Waiting comes before refusing: what is under way may change how it stands."""
    found = tuple(before)
    busy = [one.name for one in found if one.busy]
    if busy:
        return Verdict(Word.WAIT, f"{', '.join(busy)} first")
    without = [_words(one) for one in found if not one.good]
    if without:
        return Verdict(Word.REFUSE, "; ".join(without))
    return Verdict(Word.BEGIN)


def _words(one: Before) -> str:
    if one.good is None:
        return f"no pass of {one.name} has ended yet"
    return f"the last pass of {one.name} failed"
