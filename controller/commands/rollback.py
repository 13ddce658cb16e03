"""`controller rollback [REVISION]`."""

from typing import Any

import click

from controller import rollback
from controller.commands import options as shared
from controller.commands import passes, steps


@click.command(short_help="Make an earlier revision live again and hold the bad one.")
@click.argument("revision", required=False)
@click.option("--reason", default="rolled back by hand", show_default=True, help="Recorded with the hold.")
@shared.of_target
@shared.of_one_target
@shared.of_wait
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, revision: str | None, reason: str, **options: Any) -> int:
    """Publish the documents of an earlier REVISION (default: the one before) as a new generation, and hold the
    present one until the source changes. Needs no source."""
    printer = shared.printer(options)
    with steps.shown(printer), shared.open_target(options, interruption).require_config_dir() as opened:
        ended = rollback.roll_back(opened, passes.request(opened, options), revision, reason=reason)
    passes.show(ended, printer)
    return ended.exit_code
