"""Content digests: how this project tells "the same" from "different".

Owns the one canonical form of a value and the one hash. Everything that is compared later (items, documents, desired
state, revisions) is compared by these, never by time stamps.
"""

import hashlib
import json
from collections.abc import Iterable

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
"""What a YAML document of this contract may hold; keys are always text."""


def of_bytes(content: bytes) -> str:
    """``sha256:<64 hex>`` of the bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def of_value(value: Value) -> str:
    """``sha256:<64 hex>`` of the value's canonical JSON: key order does not count, number type does (1 is not 1.0)."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return of_bytes(canonical.encode("utf-8", "surrogatepass"))


def of_parts(parts: Iterable[str]) -> str:
    """``sha256:<64 hex>`` of a sequence of texts; no two different sequences give the same input to the hash."""
    return of_value(list(parts))


def short(digest: str) -> str:
    """The digest as people see it: ``sha256:`` and 12 hex digits."""
    algorithm, _, hexadecimal = digest.partition(":")
    return f"{algorithm}:{hexadecimal[:12]}"


SHORTEST = 6
"""Hex digits that an abbreviated digest must have at least: fewer name a revision by accident."""


def abbreviates(text: str, digest: str) -> bool:
    """Whether people who write `text`, with or without ``sha256:``, mean this digest."""
    wanted, full = text.removeprefix("sha256:"), digest.removeprefix("sha256:")
    return len(wanted) >= SHORTEST and full.startswith(wanted)
