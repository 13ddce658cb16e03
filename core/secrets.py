"""Which required secrets are there, by name: contract.md section 7.

Values never get past `names_in`: nothing in here returns, keeps or shows one (faults.md P13).
"""

import re
from collections.abc import Collection, Iterable

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
_BYTE_ORDER_MARK = "\ufeff"


def names_in(text: str) -> frozenset[str]:
    """The names that a secret env file defines: ``KEY=value`` and ``export KEY=value``, one a line, ``#`` comments.

    An empty value counts as defined. A line without ``=`` defines nothing.
    """
    lines = text.removeprefix(_BYTE_ORDER_MARK).replace("\r", "\n").split("\n")
    return frozenset(found.group(1) for found in map(_ASSIGNMENT.match, lines) if found)


def missing(required: Iterable[str], present: Collection[str]) -> tuple[str, ...]:
    """The required names that are not present, each once, sorted."""
    return tuple(sorted({name for name in required if name not in present}))
