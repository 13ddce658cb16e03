"""`controller status`: what the record says, beside what CONFIG_DIR shows."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from controller import cancellation, errors, output, settings, target
from controller.commands import options as shared
from controller.commands import several, watching
from core import digest

_MOST_NOTES = 10


@click.command(short_help="What is live, what was tried, and the conditions.")
@click.option("--watch", is_flag=True, help="Stay, and show it again when it is another.")
@click.option("--interval", "every", metavar="TIME", help="With --watch: between two looks.  [2s]")
@shared.of_target
@shared.of_targets
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, watch: bool, every: str | None, **options: Any) -> int:
    """Show the target without changing anything: live revision and generation, the last attempt, holds, conditions."""
    from controller import status

    every_s = watching.interval_s(every, watch=watch)

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        with target.Target(configured, cuts=cuts).require_config_dir() as opened:
            payload = status.payload(opened)
        printer.result("status", payload, _lines(payload))
        return errors.OK

    def shown() -> int:
        return several.run(options, "status", work, several.Manner(table=_table), cuts=interruption)

    if not watch:
        return shown()
    return watching.until_the_end(shown, every_s, as_json=options["output_format"] == "json")


_HEADINGS = ("TARGET", "READY", "REASON", "REVISION", "GENERATION", "")


def _table(rows: Sequence[several.Row]) -> Iterator[str]:
    """One line a target."""
    cells = [_HEADINGS, *(_cells(row["target"], row["result"] or {}) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _cells(name: str, shown: dict[str, Any]) -> tuple[str, ...]:
    if "failed" in shown:
        return name, "Unknown", shown["reason"], "-", "-", ""
    conditions = {one["type"]: one for one in shown["conditions"]}
    ready = conditions.get("Ready", {"status": "-", "reason": "-"})
    source = conditions.get("SourceReady", {"status": "-", "reason": "-"})
    revision = digest.short(shown["applied_revision"]) if shown["applied_revision"] else "-"
    generation = "-" if shown["generation"] is None else str(shown["generation"])
    marks = (
        ("kept by another owner", shown["owner"] and not shown["owner"]["ours"]),
        ("suspended", shown["suspension"]),
        ("held", shown["holds"]),
        (f"source: {source['reason']}", source["status"] == "False" and source["reason"] != ready["reason"]),
        ("another source stands in", source["reason"] == "StandIn"),
        ("differs from the record", shown["applied_revision"] and not shown["config_dir_as_recorded"]),
    )
    return (
        name,
        ready["status"],
        ready["reason"],
        revision,
        generation,
        ", ".join(text for text, is_so in marks if is_so),
    )


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


def _owner_lines(owner: dict[str, Any] | None) -> list[str]:
    if owner is None:
        return []
    return [f"owner       {'' if owner['ours'] else 'NOT THIS TARGET: '}{owner['words']}"]


def _lines(payload: dict[str, Any]) -> list[str]:
    lines = [f"target      {payload['name']}", *_owner_lines(payload["owner"])]
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
