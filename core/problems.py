"""What is wrong with a document, as values.

Owns the two shapes in which bad input is described. A *finding* is made here in `core`, which knows a document's
value but not its text: it names a path of keys. A *problem* is the same after `manifests` has looked up file, line
and column. Neither ever holds a value from the document, because that value may be a secret.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

KeyPath = tuple[str | int, ...]
"""Keys and zero-based list positions from a document's root to a value: ``("routes", 3, "method")``."""


class Severity(StrEnum):
    """Whether a problem stops the artifact or is only reported."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong at a key path of one document. `at_key` points at the key itself instead of its value."""

    path: KeyPath
    message: str
    severity: Severity = Severity.ERROR
    at_key: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong at one place of one file.

    `file` is written as the user would type it; `line` and `column` count from 1, and 0 means that the problem has
    no place inside the file (a missing file, for example); `key` is the dotted path (`format_path`).
    """

    file: str
    line: int
    column: int
    key: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        return f"{place}:{key} {self.message}"


HIDDEN_KEY = "(a key that is not shown)"

_NAME = re.compile(r"[\w.@/ {}<?-]{1,128}")


def format_path(path: KeyPath) -> str:
    """A key path as people write it: ``routes[3].method``. Values are never shown, and no key that no name looks like:
    each line of a password file ends in a colon, so that YAML takes it for a key (faults.md G1)."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _NAME.fullmatch(part) else HIDDEN_KEY
            text += f".{name}" if text else name
    return text
