"""The closed union of what a pass may do. A plan lists actions; `controller.executor` performs them, matched
exhaustively, so that a new one cannot be forgotten there."""

from collections.abc import Mapping
from dataclasses import dataclass

from core import image_work, items, policy, provisioning, record


@dataclass(frozen=True, slots=True)
class Build:
    """Build these images, side by side. Nothing that a consumer sees changes."""

    works: tuple[image_work.Work, ...]


@dataclass(frozen=True, slots=True)
class Push:
    """Push these images to where the runtime pulls them: what was just built, and what the engine still had."""

    works: tuple[image_work.Work, ...]


@dataclass(frozen=True, slots=True)
class PublishResources:
    """Make new resources live beside the functions and routes that serve now, so that a provisioner that fails leaves
    these alone (design.md section 4)."""

    document: bytes
    mode: policy.PublishMode


@dataclass(frozen=True, slots=True)
class Provision:
    """Run the provisioner on the resources that are live, and wait for its exit code (contract.md section 8).
    `resources_digest` is what it makes true, and is remembered."""

    resources_digest: str
    reason: provisioning.Reason


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


Action = Build | Push | PublishResources | Provision | Sweep | Publish | Confirm
