"""`controller history`: how passes ended, failures included."""

from typing import Any

import click

from controller import history
from controller.commands import options as shared
from controller.commands import recorded
from core import digest


@click.command(short_help="What was applied and what failed, newest first.")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), default=20, show_default=True, help="Rows to show.")
@shared.of_target
@shared.of_targets
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, limit: int, **options: Any) -> int:
    """List the passes that did something or failed. A failure that repeats is one row with a count."""
    kind = recorded.Kind("history", _payload, _line)
    return recorded.show(kind, options, lambda memory: memory.passes(limit), cuts=interruption)


def _payload(row: history.HistoryRow) -> dict[str, Any]:
    return {
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


def _line(row: history.HistoryRow) -> str:
    return (
        f"{row.last_at}  {row.result:<8}{row.reason}"
        + (f" x{row.count}" if row.count > 1 else "")
        + f"  {digest.short(row.revision) if row.revision else '(no revision)'}"
        + (f" ({row.ref} {row.commit[:12]})" if row.commit else "")
        + f"  {row.message}"
    )
