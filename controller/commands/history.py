"""`controller history`: how passes ended, failures included."""

from typing import Any

import click

from controller import errors
from controller.commands import options as shared
from core import digest


@click.command(short_help="What was applied and what failed, newest first.")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), default=20, show_default=True, help="Rows to show.")
@shared.of_target
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, limit: int, **options: Any) -> int:
    """List the passes that did something or failed. A failure that repeats is one row with a count."""
    with shared.open_target(options, interruption).require_config_dir() as opened:
        rows = opened.memory.passes(limit)
    payload = {
        "rows": [
            {
                "result": row.result,
                "reason": row.reason,
                "revision": row.revision,
                "generation": row.generation,
                "message": row.message,
                "count": row.count,
                "first_at": row.first_at,
                "last_at": row.last_at,
                "ref": row.ref,
                "commit": row.commit,
            }
            for row in rows
        ]
    }
    lines = [
        f"{row.last_at}  {row.result:<8}{row.reason}"
        + (f" x{row.count}" if row.count > 1 else "")
        + f"  {digest.short(row.revision) if row.revision else '(no revision)'}"
        + (f" ({row.ref} {row.commit[:12]})" if row.commit else "")
        + f"  {row.message}"
        for row in rows
    ]
    shared.printer(options).result("history", payload, lines or ["nothing is recorded yet"])
    return errors.OK
