"""The parts that the three documents of a CONFIG_DIR are made of.

Owns the vocabulary of comparison: a document is an ordered run of *items* (a function, a route, a table, …), each
with a name, a digest of its value and its rendered text. Entries are cut into items when they are read, merged item
by item (`core.runtime_config`), compared item by item (`core.diff`) and put together again (`core.assembly`), so that
one changed function costs one function. Knows no YAML: `text` is opaque here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Document(StrEnum):
    """The files that every generation holds, all of them, always (consumers.md GW12)."""

    FUNCTIONS = "functions.yml"
    ROUTING = "routing.yml"
    RESOURCES = "resources.yml"


MAX_DOCUMENT_BYTES = 64 << 20
"""The largest document that is published, or read back: no set of functions gets there, and a consumer that reads it
would only fill its memory."""


class Kind(StrEnum):
    """What an item is. The order of the members is the order in which documents and diffs list them."""

    DEFAULT_ENVIRONMENT = "default-environment"
    DEFAULT_SCALING = "default-scaling"
    DEFAULT = "default"
    FUNCTION = "function"
    ROUTE = "route"
    TABLE = "table"
    BUCKET = "bucket"
    LAYER = "layer"

    @property
    def document(self) -> Document:
        """The document that items of this kind live in."""
        return _DOCUMENTS[self]


_DOCUMENTS = {
    Kind.DEFAULT_ENVIRONMENT: Document.FUNCTIONS,
    Kind.DEFAULT_SCALING: Document.FUNCTIONS,
    Kind.DEFAULT: Document.FUNCTIONS,
    Kind.FUNCTION: Document.FUNCTIONS,
    Kind.ROUTE: Document.ROUTING,
    Kind.TABLE: Document.RESOURCES,
    Kind.BUCKET: Document.RESOURCES,
    Kind.LAYER: Document.RESOURCES,
}


DEFAULT_KINDS = frozenset({Kind.DEFAULT_ENVIRONMENT, Kind.DEFAULT_SCALING, Kind.DEFAULT})
"""Kinds of which the first entry that sets a key wins. Of all others the later one replaces in place."""

KIND_ORDER = {kind: position for position, kind in enumerate(Kind)}
"""The order of kinds, for sorting."""


class ItemKey(NamedTuple):
    """What makes an item the same item in two documents: contract.md section 4.

    `name` is the function's name, ``path:METHOD`` of a route, `TableName`, `BucketName` or `Name` of a resource, or
    the key of a default.
    """

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """One part of one document.

    `digest` is `core.digest.of_value` of the item's value, so formatting and key order do not count. `text` is the
    item rendered as block YAML at column 0: ``name:\\n  key: value\\n`` for mapping items, ``- key: value\\n`` for list
    items. `line` is where the item's key stands in the file that it was read from, from 1; 0 when unknown. `target` is
    the function that a route calls, and empty for every other kind.
    """

    key: ItemKey
    digest: str
    text: str
    line: int = 0
    target: str = ""
