"""`controller suspend`: a person says "not now", and that outlives restarts."""

import datetime
from typing import Any

import click

from controller import cancellation, clock, errors, output, settings, settings_values, target
from controller.commands import options as shared
from controller.commands import several
from core import record


@click.command(short_help="Stop changing CONFIG_DIR until resumed.")
@click.option("--reason", required=True, help="Shown by `status` and by every refused pass.")
@click.option("--for", "duration", metavar="TIME", help="Resume by itself after this time, e.g. 2h.")
@click.option("--owner", default="operator", show_default=True, help="Who suspends.")
@shared.of_target
@shared.of_targets
@shared.of_wait
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, reason: str, duration: str | None, owner: str, **options: Any) -> int:
    """Refuse every pass until `controller resume`, or until the time is over."""
    length = _length(duration) if duration is not None else None

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        with target.Target(configured, cuts=cuts).require_config_dir() as opened, opened.exclusive():
            opened.require_ours()
            since = opened.now()
            until = clock.iso(since + length) if length is not None else None
            opened.memory.suspend(record.Suspension(owner, reason, clock.iso(since), until))
        payload = {"owner": owner, "reason": reason, "until": until}
        printer.result("suspension", payload, [f"suspended until {until or 'resumed'}: {reason}"])
        return errors.OK

    return several.run(options, "suspension", work, several.Manner(together=True), cuts=interruption)


def _length(duration: str) -> datetime.timedelta:
    try:
        length_s = settings_values.seconds(duration)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    if length_s < 1:  # times are recorded in whole seconds
        raise click.BadParameter("a suspension lasts at least 1s", param_hint="--for")
    return datetime.timedelta(seconds=length_s)
