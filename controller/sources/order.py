"""Sources in order: the first that answers is read, and what stands in for another may not take the target back.

Part of `reading`. Owns when a source counts as away (docs/adr/0016), what of one that is behind another may be taken,
and the words about both, which never hold credentials. Reads nothing itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from controller import errors, settings_sources
from controller.sources import taken
from core import conditions, digest

MISSING, EMPTY, REWOUND = "SourceMissing", "SourceEmpty", "SourceRewound"


class Content(Protocol):
    """What was read of a source."""

    @property
    def revision(self) -> str:
        """The identity of the content."""

    @property
    def commit(self) -> str:
        """The commit that it is of, "" for a folder."""


T = TypeVar("T", bound=Content)


@dataclass(frozen=True, slots=True)
class Applied:
    """What was applied here: the revision and the newest commit by the record, "" for none, and the note of where it
    came from. `anything` says that something is live, whether it is known or not."""

    revision: str
    commit: str
    note: taken.Note
    anything: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A source by its number in the list, which begins with 1 and has `of` members."""

    number: int
    of: int
    source: settings_sources.Source

    @property
    def words(self) -> str:
        """``source 2 of 2 (directory /srv/copy)``."""
        return f"source {self.number} of {self.of} ({self.source.kind} {where(self.source)})"

    @property
    def stands_in(self) -> bool:
        """Whether it is only read while others are away, and may not take the target back."""
        return self.number > 1 and not self.source.takes_over


@dataclass(frozen=True, slots=True)
class Passed:
    """A source that was passed over: the error for which it is away, or why it may not stand in."""

    place: Place
    error: errors.ControllerError | None
    why: str = ""

    @property
    def words(self) -> str:
        """One clause, without anything that changes from look to look."""
        reason = self.error.reason if self.error else ""
        return f"{self.place.words} {self.why or f'is away: {reason}'}"


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """Who answered, with what, and who was passed over before."""

    place: Place
    content: T
    passed: tuple[Passed, ...]

    @property
    def statement(self) -> conditions.Statement:
        """The condition ``SourceReady``. A single source needs no words."""
        if self.place.of == 1:
            return "True", "Read", ""
        words = "; ".join([f"{self.place.words} answers", *(one.words for one in self.passed)])
        return "True", "StandIn" if self.passed else "Read", words


class Away(Exception):
    """No source answered. `error` is what to tell, `passed` says why of each."""

    def __init__(self, error: errors.ControllerError, passed: tuple[Passed, ...]) -> None:
        super().__init__(error.message)
        self.error = error
        self.passed = passed


def places(sources: settings_sources.Sources) -> tuple[Place, ...]:
    """The sources with their numbers."""
    return tuple(Place(number, len(sources.each), one) for number, one in enumerate(sources.each, 1))


def first(
    listed: tuple[Place, ...], read: Callable[[Place], T], applied: Callable[[], Applied], *, allow_empty: bool
) -> Answer[T]:
    """Try the sources in order. Raises `Away` when none answers, and what `read` raises for content that is wrong: that
    is an answer too, and passing it over would hide it."""
    passed: list[Passed] = []
    for place in listed:
        try:
            content = read(place)
        except errors.ControllerError as error:
            if _is_away(place, error, allow_empty=allow_empty):
                passed.append(Passed(place, error))
                continue
            if passed and error.reason == REWOUND:
                passed.append(Passed(place, error, f"is not taken: {error.message}"))
                break
            raise _named(place, error) from None
        why = refusal(place, content, applied) if place.stands_in else ""
        if not why:
            return Answer(place, content, tuple(passed))
        passed.append(Passed(place, None, why))
    raise Away(_of_all(passed), tuple(passed))


def refusal(place: Place, content: Content, applied: Callable[[], Applied]) -> str:
    """Why content of a source that stands in for another is not taken, "" when it is: it must be what is applied, or
    come from where that came from, or follow it by its commits (docs/adr/0016)."""
    seen = applied()
    known = seen.revision or seen.note.revision
    if not seen.anything or content.revision == known or seen.note.origin == identity(place.source):
        return ""
    if content.commit and (seen.note.commit if seen.note.origin else seen.commit):
        return ""  # whoever fetched it required that it follows the newest applied commit
    came = f"commit {seen.note.commit}" if seen.note.commit else f"revision {digest.short(known)}" if known else ""
    held = f"it holds revision {digest.short(content.revision)}, and {came or 'something unknown'} is applied"
    return f"is not taken: {held}; its takes_over allows that"


def _is_away(place: Place, error: errors.ControllerError, *, allow_empty: bool) -> bool:
    """A remote that does not answer, a folder that is not there or not mounted. An empty folder that is meant to be
    one is an answer, but not of a source that stands in for another."""
    if place.source.git is not None:
        return error.reason == conditions.AWAY
    if error.reason == EMPTY:
        return place.stands_in or not allow_empty
    return error.reason == MISSING


def _named(place: Place, error: errors.ControllerError) -> errors.ControllerError:
    """The error, saying which source of a list it is about."""
    if place.of > 1:
        error.message = f"{place.words}: {error.message}"
    return error


def _of_all(passed: list[Passed]) -> errors.ControllerError:
    """One error for all of them: the first one's, with what there is to say of the others."""
    failures = [one.error for one in passed if one.error is not None]
    told = failures[0]
    if passed[0].place.of == 1:
        return told
    words = (f"{one.place.words}: {one.error.message}" if one.error and not one.why else one.words for one in passed)
    error = errors.ControllerError(told.reason, "; ".join(words), told.problems)
    error.retry_after_s = max(one.retry_after_s for one in failures)
    return error


def identity(source: settings_sources.Source) -> str:
    """By which a source is told from others, wherever it stands in the list."""
    path = source.git.path if source.git is not None else ""
    return digest.of_parts((source.kind, where(source), path))


def address(url: str) -> str:
    """The address of a remote without user, password and query."""
    return re.sub(r"[?#].*", "", re.sub(r"^([a-z+]+://)[^/@]*@", r"\1", url))


def where(source: settings_sources.Source) -> str:
    """The address for people, without credentials."""
    if source.git is not None:
        return address(source.git.url)
    return str(source.directory.path) if source.directory is not None else ""
