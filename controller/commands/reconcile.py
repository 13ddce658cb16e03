"""`controller reconcile --once`: one pass."""

from pathlib import Path
from typing import Any

import click

from controller import errors, reconciler, saved_plan
from controller.commands import options as shared
from controller.commands import passes


@click.command(short_help="Converge CONFIG_DIR with the source.")
@click.option("--once", is_flag=True, help="One pass, then exit with its code.")
@click.option("--plan", type=shared.PATH, metavar="FILE", help="Refuse unless this saved plan still fits.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when changes were made.")
@shared.of_source
@shared.of_target
@shared.of_wait
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, once: bool, plan: Path | None, detailed_exitcode: bool, **options: Any) -> int:
    """Converge CONFIG_DIR with the source: read, compare, publish, record."""
    if not once:
        raise click.UsageError("staying converged is not part of this version: give --once and call it from a timer")
    saved = saved_plan.load(plan) if plan is not None else None
    with shared.open_target(options, interruption) as opened:
        ended = reconciler.reconcile_once(opened, passes.request(opened, options, saved))
    passes.show(ended, shared.printer(options))
    return errors.DIFFERENCES if detailed_exitcode and ended.changed and not ended.failed else ended.exit_code
