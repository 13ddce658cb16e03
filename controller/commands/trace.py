"""`controller trace FUNCTION`: from the image that serves back to the line that asked for it, and the pass."""

from typing import Any

import click

from controller import errors
from controller.commands import completing
from controller.commands import options as shared


@click.command(short_help="Where a live function comes from: image, entry, line, revision, pass.")
@click.argument("function", shell_complete=completing.functions)
@shared.of_target
@shared.of_one_target
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, function: str, **options: Any) -> int:
    """Show the way of FUNCTION: image, what it was built from, entry, file and line, revision and commit, and the pass
    that made it live. Reads the record alone: no source, engine or registry is asked."""
    from controller import tracing

    with shared.open_target(options, interruption).require_config_dir() as opened:
        payload = tracing.payload(opened, function)
    shared.printer(options).result("trace", payload, tracing.lines(payload))
    return errors.OK
