"""`controller resume`: lift a suspension, or the holds that a rollback left."""

from typing import Any

import click

from controller import errors
from controller.commands import options as shared


@click.command(short_help="Lift a suspension, or the holds of a rollback.")
@click.option("--held", is_flag=True, help="Lift the holds instead: the held revisions may be applied again.")
@shared.of_target
@shared.of_wait
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, held: bool, **options: Any) -> int:
    """Let passes change CONFIG_DIR again. Changes nothing by itself."""
    with shared.open_target(options, interruption).require_config_dir() as opened, opened.exclusive():
        remembered = opened.remember(with_items=False)
        if held:
            opened.memory.release_holds()
            lifted = [f"hold on {hold.revision} lifted" for hold in remembered.holds]
        else:
            opened.memory.resume()
            lifted = ["suspension lifted"] if remembered.suspension else []
    shared.printer(options).result("resume", {"lifted": lifted}, lifted or ["there was nothing to lift"])
    return errors.OK
