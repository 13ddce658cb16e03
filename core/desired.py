"""What an artifact asks for, after reading and before comparing.

Owns the values that `manifests` hands to the fold (`core.runtime_config`) and the folded result. Says nothing about
what is on disk or running.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core import digest, problems
from core import items as vocabulary


@dataclass(frozen=True, slots=True)
class EntryContent:
    """One entry's documents, cut into items.

    `items` are in the order of the documents (defaults, functions, routes, resources), and may name the same key
    twice: the fold decides. `warnings` carry file, line and column.
    """

    items: tuple[vocabulary.Item, ...]
    warnings: tuple[problems.Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One `artifacts[]` entry ready to be folded.

    `id` is the entry's id; `config_dir` is its runtime configuration directory as the user would type it (for
    provenance); `builds` are the functions that bring a Dockerfile.
    """

    id: str
    config_dir: str
    content: EntryContent
    builds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which entry an item comes from, where it stands there, and the entries whose item of the same key lost."""

    entry: str
    file: str
    line: int
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """The folded artifact: what CONFIG_DIR should hold, and what has to be true before it may.

    `items` is in publishing order. `builds` are (entry id, function) pairs whose image this controller must build.
    `digest` covers the items and their order, and nothing else: two revisions that ask for the same have the same.
    """

    revision: str
    items: Mapping[vocabulary.ItemKey, vocabulary.Item]
    provenance: Mapping[vocabulary.ItemKey, Provenance]
    builds: tuple[tuple[str, str], ...] = ()
    required_secrets: tuple[str, ...] = ()
    warnings: tuple[problems.Problem, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the items in order."""
        return items_digest(self.items)


def items_digest(wanted: Mapping[vocabulary.ItemKey, vocabulary.Item]) -> str:
    """The digest of a set of items in order: what `Desired.digest` and saved plans compare."""
    return digest.of_parts(part for key, item in wanted.items() for part in (key.kind, key.name, item.digest))
