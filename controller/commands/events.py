"""`controller events`: what happened to single functions, routes and resources."""

from typing import Any

import click

from controller import history
from controller.commands import options as shared
from controller.commands import recorded
from core import digest


@click.command(short_help="What happened to single things, newest first.")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), default=50, show_default=True, help="Rows to show.")
@shared.of_target
@shared.of_targets
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, limit: int, **options: Any) -> int:
    """List published changes, one row for each thing."""
    kind = recorded.Kind("events", _payload, _line)
    return recorded.show(kind, options, lambda memory: memory.events(limit), cuts=interruption)


def _payload(row: history.EventRow) -> dict[str, Any]:
    return {
        "at": row.at,
        "reason": row.reason,
        "subject": row.subject,
        "message": row.message,
        "revision": row.revision,
    }


def _line(row: history.EventRow) -> str:
    return f"{row.at}  {row.subject}  {row.reason}  {row.message}  {digest.short(row.revision)}"
