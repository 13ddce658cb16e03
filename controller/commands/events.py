"""`controller events`: what happened to single functions, routes and resources."""

from typing import Any

import click

from controller import errors
from controller.commands import options as shared
from core import digest


@click.command(short_help="What happened to single things, newest first.")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), default=50, show_default=True, help="Rows to show.")
@shared.of_target
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, limit: int, **options: Any) -> int:
    """List published changes, one row for each thing."""
    with shared.open_target(options, interruption).require_config_dir() as opened:
        rows = opened.memory.events(limit)
    payload = {
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
    lines = [f"{row.at}  {row.subject}  {row.reason}  {row.message}  {digest.short(row.revision)}" for row in rows]
    shared.printer(options).result("events", payload, lines or ["nothing is recorded yet"])
    return errors.OK
