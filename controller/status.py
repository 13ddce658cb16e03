"""What `controller status` shows, and ``/v1/status`` over HTTP: the record beside what CONFIG_DIR shows.

Owns the shape `status/v1` of docs/json.md. Only looks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from controller import errors, report
from controller.sources import order
from core import conditions, image_inputs, ownership, record, unconverged

if TYPE_CHECKING:
    from controller import settings, target


def payload(opened: "target.Target") -> dict[str, Any]:
    """Live revision and generation, the last attempt, holds, conditions; see docs/json.md.

    Raises `ControllerError` when record or CONFIG_DIR cannot be read.
    """
    remembered = opened.remember(with_items=False)
    shown = opened.images_shown(remembered)
    look = opened.look()
    applied = remembered.applied
    live = {str(document): found for document, found in look.digests.items()}
    as_recorded = applied is not None and live == {str(key): value for key, value in applied.document_digests.items()}
    return {
        "name": opened.name,
        "applied_revision": applied.revision if applied else None,
        "applied_at": applied.applied_at if applied else None,
        "attempted_revision": remembered.attempted_revision or None,
        "owner": _owner(opened, remembered),
        "git": _git(opened, remembered),
        "sources": opened.reader.sources(),
        "generation": look.generation,
        "config_dir_as_recorded": as_recorded,
        "serving": _serving(opened, shown),
        "images": [
            {
                "function": image.function,
                "image": image.image,
                "digest": image.digest,
                "input_digest": image.input_digest,
            }
            for image in shown
        ],
        "documents": live,
        "notes": list(report.standing_notes(remembered, look)),
        "by_hand": [
            {
                "kind": str(one.key.kind),
                "name": one.key.name,
                "revision": one.revision,
                "message": unconverged.words(one),
            }
            for one in remembered.unconverged
        ],
        **_statements(remembered),
    }


def _owner(opened: "target.Target", remembered: record.Record) -> dict[str, Any] | None:
    """Whose CONFIG_DIR is, and whether that is this target; None for nobody's."""
    there = opened.owners.owner()
    if there is None:
        return None
    kept = there if isinstance(there, ownership.Owner) else ownership.Owner("")
    return {
        "ours": not opened.owners.judge(opened.owners.looking, remembered.claim).refusal,
        "id": kept.id,
        "name": kept.name,
        "project": kept.project,
        "sources": [{"kind": one.kind, "name": one.word, "digest": one.digest} for one in kept.sources],
        "since": kept.since,
        "words": ownership.words(kept) if kept.id else f"nobody can tell: {there}",
    }


def _git(opened: "target.Target", remembered: record.Record) -> dict[str, Any] | None:
    """Of a git source what was applied, and what was last seen and found in order."""
    seen = opened.reader.last_taken()
    if seen is None:
        return None
    applied = {"ref": remembered.ref, "commit": remembered.commit} if remembered.commit else None
    return {"applied": applied, "seen": {"ref": seen[0], "commit": seen[1]} if seen[1] else None}


def _statements(remembered: record.Record) -> dict[str, Any]:
    """What the record says, in the order in which it is shown."""
    stop = remembered.suspension
    return {
        "holds": [{"revision": hold.revision, "reason": hold.reason, "since": hold.since} for hold in remembered.holds],
        "record": remembered.rebuilt,
        "suspension": stop and {"owner": stop.owner, "reason": stop.reason, "since": stop.since, "until": stop.until},
        "conditions": [
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "revision": condition.revision,
                "changed_at": condition.changed_at,
            }
            for condition in remembered.conditions.values()
            if condition.type in conditions.TYPES
        ],
    }


def _serving(opened: "target.Target", shown: tuple[image_inputs.ImageRecord, ...]) -> dict[str, Any] | None:
    """What running containers show, or why they show nothing. A status is told also while the engine is away."""
    try:
        found = opened.serving(shown)
    except errors.ControllerError as error:
        return {"applied": [], "older": [], "unknown": error.message}
    return None if found is None else {"applied": list(found.applied), "older": list(found.older), "unknown": ""}


def places(configured: "settings.Settings") -> Mapping[str, str]:
    """The folders and remotes of a target by the words that strangers are shown in their place (faults.md I3)."""
    named = (
        (configured.config_dir, "CONFIG_DIR"),
        (configured.state_dir, "STATE_DIR"),
        (configured.clones_dir, "CLONES_DIR"),
        *((source.path, "SOURCE") for source in configured.source.directories),
    )
    found: dict[str, str] = {}
    for place, word in named:
        if place is not None:
            found[str(place.absolute())] = word
    return found | {order.address(source.url): "REMOTE" for source in configured.source.gits}
