"""`controller status`: what the record says, beside what CONFIG_DIR shows."""

from typing import Any

import click

from controller import errors
from controller.commands import options as shared
from core import digest

_MOST_NOTES = 10


@click.command(short_help="What is live, what was tried, and the conditions.")
@shared.of_target
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, **options: Any) -> int:
    """Show the target without changing anything: live revision and generation, the last attempt, holds, conditions."""
    from controller import status

    with shared.open_target(options, interruption).require_config_dir() as opened:
        payload = status.payload(opened)
    shared.printer(options).result("status", payload, _lines(payload))
    return errors.OK


def _serving_line(serving: dict[str, Any]) -> str:
    if serving["unknown"]:
        return f"serving     unknown: {serving['unknown']}"
    if serving["older"]:
        return f"serving     warm workers still run older code of: {', '.join(serving['older'])}"
    warm = len(serving["applied"])
    if not warm:
        return "serving     no function has a warm worker; the next request starts the applied image"
    return f"serving     {warm} function{'' if warm == 1 else 's'} warm, all with the applied image"


def _commit_lines(git: dict[str, Any]) -> list[str]:
    return [f"{told:<12}commit {one['commit']} of {one['ref']}" for told, one in git.items() if one is not None]


def _lines(payload: dict[str, Any]) -> list[str]:
    lines = [f"target      {payload['name']}"]
    if payload["applied_revision"]:
        lines.append(f"applied     {digest.short(payload['applied_revision'])} at {payload['applied_at']}")
    else:
        lines.append("applied     nothing yet")
    if payload["attempted_revision"] not in (None, payload["applied_revision"]):
        lines.append(f"attempted   {digest.short(payload['attempted_revision'])}")
    lines += _commit_lines(payload["git"] or {})
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
    lines += [f"by hand     {one['message']} (since {digest.short(one['revision'])})" for one in payload["by_hand"]]
    lines += [f"note        {note}" for note in payload["notes"][:_MOST_NOTES]]
    if len(payload["notes"]) > _MOST_NOTES:
        lines.append(f"note        … and {len(payload['notes']) - _MOST_NOTES} more (--output json shows all)")
    return lines
