"""`controller status`: what the record says, beside what CONFIG_DIR shows."""

from typing import TYPE_CHECKING, Any

import click

from controller import errors
from controller.commands import options as shared
from core import digest, record

if TYPE_CHECKING:
    from controller import target


@click.command(short_help="What is live, what was tried, and the conditions.")
@shared.of_target
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, **options: Any) -> int:
    """Show the target without changing anything: live revision and generation, the last attempt, holds, conditions."""
    with shared.open_target(options, interruption).require_config_dir() as opened:
        remembered = opened.remember(with_items=False)
        look = opened.look()
        name = opened.name
        serving = _serving(opened, remembered)
    applied = remembered.applied
    live = {str(document): found for document, found in look.digests.items()}
    as_recorded = applied is not None and live == {str(key): value for key, value in applied.document_digests.items()}
    payload = {
        "name": name,
        "applied_revision": applied.revision if applied else None,
        "applied_at": applied.applied_at if applied else None,
        "attempted_revision": remembered.attempted_revision or None,
        "generation": look.generation,
        "config_dir_as_recorded": as_recorded,
        "serving": serving,
        "images": [
            {
                "function": image.function,
                "image": image.image,
                "digest": image.digest,
                "input_digest": image.input_digest,
            }
            for image in remembered.images
        ],
        "documents": live,
        "holds": [{"revision": hold.revision, "reason": hold.reason, "since": hold.since} for hold in remembered.holds],
        "record": remembered.rebuilt,
        "suspension": None
        if remembered.suspension is None
        else {
            "owner": remembered.suspension.owner,
            "reason": remembered.suspension.reason,
            "since": remembered.suspension.since,
            "until": remembered.suspension.until,
        },
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
        ],
    }
    shared.printer(options).result("status", payload, _lines(payload))
    return errors.OK


def _serving(opened: "target.Target", remembered: record.Record) -> dict[str, Any] | None:
    """What running containers show, or why they show nothing. A status is told also while the engine is away."""
    try:
        found = opened.serving(remembered)
    except errors.ControllerError as error:
        return {"applied": [], "older": [], "unknown": error.message}
    return None if found is None else {"applied": list(found.applied), "older": list(found.older), "unknown": ""}


def _serving_line(serving: dict[str, Any]) -> str:
    if serving["unknown"]:
        return f"serving     unknown: {serving['unknown']}"
    if serving["older"]:
        return f"serving     warm workers still run older code of: {', '.join(serving['older'])}"
    warm = len(serving["applied"])
    if not warm:
        return "serving     no function has a warm worker; the next request starts the applied image"
    return f"serving     {warm} function{'' if warm == 1 else 's'} warm, all with the applied image"


def _lines(payload: dict[str, Any]) -> list[str]:
    lines = [f"target      {payload['name']}"]
    if payload["applied_revision"]:
        lines.append(f"applied     {digest.short(payload['applied_revision'])} at {payload['applied_at']}")
    else:
        lines.append("applied     nothing yet")
    if payload["attempted_revision"] not in (None, payload["applied_revision"]):
        lines.append(f"attempted   {digest.short(payload['attempted_revision'])}")
    if payload["generation"] is not None:
        lines.append(f"generation  {payload['generation']}")
    if payload["applied_revision"]:
        lines.append(f"CONFIG_DIR  {'as recorded' if payload['config_dir_as_recorded'] else 'differs from the record'}")
    if payload["serving"] is not None:
        lines.append(_serving_line(payload["serving"]))
    if payload["record"]:
        lines.append(f"record      {payload['record']}")
    if payload["suspension"]:
        stop = payload["suspension"]
        lines.append(f"suspended   by {stop['owner']} until {stop['until'] or 'resumed'}: {stop['reason']}")
    lines += [f"held        {digest.short(hold['revision'])}: {hold['reason']}" for hold in payload["holds"]]
    lines += [
        f"{condition['type']:<12}{condition['status']:<8}{condition['reason']} since {condition['changed_at']}"
        + (f": {condition['message']}" if condition["message"] else "")
        for condition in payload["conditions"]
    ]
    return lines
