"""The closed union of what a pass may do. A plan lists actions; `controller.executor` performs them, matched
exhaustively, so that a new one cannot be forgotten there."""

from collections.abc import Mapping
from dataclasses import dataclass

from core import items, policy, record


@dataclass(frozen=True, slots=True)
class Sweep:
    """Remove what an interrupted publish left below CONFIG_DIR. Needed only when nothing is published anyway."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Publish:
    """Make these documents live as one new generation (or file by file, by `mode`).

    `parts` are the items of the documents with their owners, as they will be recorded.
    """

    documents: Mapping[items.Document, bytes]
    parts: tuple[record.AppliedItem, ...]
    mode: policy.PublishMode


@dataclass(frozen=True, slots=True)
class Confirm:
    """CONFIG_DIR is as wanted, but the record does not say so (first look, lost record, a revision that asks for the
    same, a publish that was killed before it was recorded): make it durable and record it; no consumer sees
    anything."""

    parts: tuple[record.AppliedItem, ...]


Action = Sweep | Publish | Confirm
