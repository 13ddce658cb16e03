"""`controller history`: how passes ended, failures included."""

from collections.abc import Sequence
from typing import Any

import click

from controller import cancellation, errors, history, output, settings, target
from controller.commands import options as shared
from controller.commands import several
from core import digest


@click.command(short_help="What was applied and what failed, newest first.")
@click.option("--limit", type=click.IntRange(min=1, max=10_000), default=20, show_default=True, help="Rows to show.")
@shared.of_target
@shared.of_targets
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, limit: int, **options: Any) -> int:
    """List the passes that did something or failed. A failure that repeats is one row with a count."""

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        with target.Target(configured, cuts=cuts).require_config_dir() as opened:
            rows = opened.memory.passes(limit)
        printer.result("history", _payload(rows), _lines(rows) or ["nothing is recorded yet"])
        return errors.OK

    return several.run(options, "history", work, cuts=interruption)


def _payload(rows: Sequence[history.HistoryRow]) -> dict[str, Any]:
    return {
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


def _lines(rows: Sequence[history.HistoryRow]) -> list[str]:
    return [
        f"{row.last_at}  {row.result:<8}{row.reason}"
        + (f" x{row.count}" if row.count > 1 else "")
        + f"  {digest.short(row.revision) if row.revision else '(no revision)'}"
        + (f" ({row.ref} {row.commit[:12]})" if row.commit else "")
        + f"  {row.message}"
        for row in rows
    ]
