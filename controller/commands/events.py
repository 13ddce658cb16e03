"""`controller events`: what happened to single functions, routes and resources."""

from collections.abc import Sequence
from typing import Any

import click

from controller import cancellation, errors, history, output, settings, target
from controller.commands import options as shared
from controller.commands import several
from core import digest


@click.command(short_help="What happened to single things, newest first.")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), default=50, show_default=True, help="Rows to show.")
@shared.of_target
@shared.of_targets
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, limit: int, **options: Any) -> int:
    """List published changes, one row for each thing."""

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        with target.Target(configured, cuts=cuts).require_config_dir() as opened:
            rows = opened.memory.events(limit)
        printer.result("events", _payload(rows), _lines(rows) or ["nothing is recorded yet"])
        return errors.OK

    return several.run(options, "events", work, cuts=interruption)


def _payload(rows: Sequence[history.EventRow]) -> dict[str, Any]:
    return {
        "rows": [
            {
                "at": row.at,
                "reason": row.reason,
                "subject": row.subject,
                "message": row.message,
                "revision": row.revision,
            }
            for row in rows
        ]
    }


def _lines(rows: Sequence[history.EventRow]) -> list[str]:
    return [f"{row.at}  {row.subject}  {row.reason}  {row.message}  {digest.short(row.revision)}" for row in rows]
