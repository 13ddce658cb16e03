"""`controller resume`: lift a suspension, or the holds that a rollback left."""

from typing import Any

import click

from controller import cancellation, errors, output, settings, target
from controller.commands import options as shared
from controller.commands import several


@click.command(short_help="Lift a suspension, or the holds of a rollback.")
@click.option("--held", is_flag=True, help="Lift the holds instead: the held revisions may be applied again.")
@click.option("--take-over", is_flag=True, help="Also where another owner keeps CONFIG_DIR, which is to give way.")
@shared.of_target
@shared.of_targets
@shared.of_wait
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, held: bool, **options: Any) -> int:
    """Let passes change CONFIG_DIR again. Changes nothing by itself, and no owner either."""

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        with target.Target(configured, cuts=cuts).require_config_dir() as opened, opened.exclusive():
            opened.require_ours(take_over=options["take_over"])
            lifted = _lifted(opened, held=held)
        printer.result("resume", {"lifted": lifted}, lifted or ["there was nothing to lift"])
        return errors.OK

    return several.run(options, "resume", work, several.Manner(together=True), cuts=interruption)


def _lifted(opened: target.Target, *, held: bool) -> list[str]:
    remembered = opened.remember(with_items=False)
    if held:
        opened.memory.release_holds()
        return [f"hold on {hold.revision} lifted" for hold in remembered.holds]
    opened.memory.resume()
    return ["suspension lifted"] if remembered.suspension else []
