"""What CONFIG_DIR shows right now, as `manifests.config_dir` found it.

Owns the values of the look, none of its means. "Unknown" is a value: `items` is None when nothing had to be or could
be read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from core import items as vocabulary
from core import problems as found


class Presence(StrEnum):
    """What stands at the place of a document in CONFIG_DIR."""

    LINK = "link"
    """Our own link ``..data/<name>``, resolving to a regular file."""
    DANGLING = "dangling"
    """Our own link, but nothing behind it."""
    PLAIN = "plain"
    """A regular file, or somebody else's link to one."""
    MISSING = "missing"
    OBSTRUCTED = "obstructed"
    """A directory, a device, a FIFO, or something that can't be read: nothing may be put there without a person."""


@dataclass(frozen=True, slots=True)
class DocumentState:
    """One document as a consumer would see it. `digest` (of the bytes) and `mtime_s` (whole seconds) are None when
    there is nothing to read; `obstacle` says in words what is in the way when `presence` is OBSTRUCTED."""

    presence: Presence
    digest: str | None = None
    mtime_s: int | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at CONFIG_DIR.

    `generation` is the number that ``..data`` names, None without one. `leftovers` are names below CONFIG_DIR that an
    interrupted publish left and that nothing shows; `foreign_files` are names that are neither ours nor known.
    `newest_mtime_s` is the greatest modification time, in whole seconds, of any document visible or kept.
    """

    exists: bool
    documents: Mapping[vocabulary.Document, DocumentState]
    generation: int | None = None
    generations: tuple[int, ...] = ()
    leftovers: tuple[str, ...] = ()
    foreign_files: tuple[str, ...] = ()
    newest_mtime_s: int = 0

    @property
    def digests(self) -> Mapping[vocabulary.Document, str | None]:
        """The digest of each document's bytes."""
        return {document: state.digest for document, state in self.documents.items()}


@dataclass(frozen=True, slots=True)
class ObservedItems:
    """The documents of CONFIG_DIR, cut into items.

    `invalid` are the keys of items that spoil more than themselves (they are never carried over into a publish).
    `damaged` are documents with a fault around their items, which no change of an item would mend. `unreadable` are
    documents whose items could not be read at all: with a problem that says why, or emptied, or with nothing behind
    our own link. `problems` says what is wrong.
    """

    items: Mapping[vocabulary.ItemKey, vocabulary.Item]
    invalid: frozenset[vocabulary.ItemKey] = frozenset()
    damaged: frozenset[vocabulary.Document] = frozenset()
    unreadable: frozenset[vocabulary.Document] = frozenset()
    problems: tuple[found.Problem, ...] = ()
