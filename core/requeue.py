"""When the loop looks again: after a good pass the interval, after failures a back-off of their class. Pure.

Stands between two passes. Owns what counts as the same failure again: as long as the content of the source is the one
that failed, the waits grow; a success or new content begins anew (faults.md P11, C3, C4). Time, jitter and the waits
themselves are arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

LONGEST_WISH_S = 3600.0
"""A remote that asks not to be asked again (``Retry-After``) is obeyed for so long at most (faults.md E2)."""


class Ending(StrEnum):
    """How a pass ended, as far as waiting depends on it."""

    GOOD = "good"
    """Converged, or nothing to do."""
    REFUSED = "refused"
    """Trying again unchanged does not help; what cures it (new content, a hold that is lifted, another stack) shows at
    the next look."""
    FAILED = "failed"
    """It may pass by itself."""
    CUT = "cut"
    """Newer content came before the end: look at once."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The waits, in seconds. `backoff_s` gives the wait after failure 1, 2, …; `jitter` is the share by which a wait
    may be longer or shorter, so that many controllers do not look together."""

    interval_s: float
    backoff_s: Callable[[int], float]
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Standing:
    """What the loop carries from pass to pass. `subject` is the identity of the content that the last pass saw."""

    ending: Ending = Ending.GOOD
    subject: str = ""
    failures: int = 0

    @property
    def backs_off(self) -> bool:
        """Whether a look at the same content is put off."""
        return self.ending in (Ending.REFUSED, Ending.FAILED)


def after(standing: Standing, ending: Ending, subject: str) -> Standing:
    """The standing once a pass has ended."""
    if ending is not Ending.FAILED:
        return Standing(ending, subject)
    again = standing.ending is Ending.FAILED and standing.subject == subject
    return Standing(ending, subject, standing.failures + 1 if again else 1)


def wait_s(standing: Standing, rhythm: Rhythm, *, chance: float) -> float:
    """Seconds until the next pass. `chance` is a random number from 0 to 1."""
    if standing.ending is Ending.CUT:
        return 0.0
    usual = rhythm.backoff_s(standing.failures) if standing.ending is Ending.FAILED else rhythm.interval_s
    return usual * (1 + rhythm.jitter * (2 * chance - 1))


@dataclass(frozen=True, slots=True)
class Word:
    """The first word of content that is not live yet: `since_s` is when it came, None when nobody told. `subject` is
    that content, "" while there is none or it could not be had. `live` is the content of the last good pass."""

    subject: str = ""
    since_s: float | None = None
    live: str = ""


def heard(word: Word, subject: str, *, told_s: float | None, good: bool) -> tuple[float | None, Word]:
    """When the first word of this content came, and what is carried on, once a pass has ended. `subject` is what it
    saw, "" for nothing; `told_s` is when it was told of a change, None when it began for another reason. Content that
    was live before is no news: it was healed. None where nobody told."""
    hidden = not subject and not good
    if word.subject and (hidden or word.subject == subject):
        first_s = word.since_s
    else:
        first_s = told_s if word.subject or word.since_s is None else word.since_s
    if good:
        return (None if subject == word.live else first_s), Word(live=subject)
    return first_s, Word(word.subject if hidden else subject, first_s, word.live)
