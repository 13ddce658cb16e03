"""`controller reconcile`: stay and keep converged, or one pass with `--once`."""

import contextlib
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from controller import cancellation, errors, output, reconciler, settings, target
from controller.commands import answering, passes, several, steps
from controller.commands import options as shared
from controller.sources import shared_fetches


@click.command(short_help="Converge CONFIG_DIR with the source.")
@click.option("--once", is_flag=True, help="One pass, then exit with its code.")
@click.option("--plan", type=shared.PATH, metavar="FILE", help="Refuse unless this saved plan still fits.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when changes were made.")
@shared.of_source
@shared.of_target
@shared.of_targets
@shared.of_wait
@shared.of_loop
@shared.take_over
@shared.of_step_output
@click.pass_obj
def command(interruption: Any, /, once: bool, plan: Path | None, detailed_exitcode: bool, **options: Any) -> int:
    """Converge CONFIG_DIR with the source: read, compare, publish, record. Without --once, stay and keep it so."""
    if not once:
        _refuse_of_once(plan, detailed_exitcode, options)
        return _stay(options)
    saved = None
    if plan is not None:
        from controller import saved_plan

        saved = saved_plan.load(plan)
        shared.only(options)

    fetches, answer = shared_fetches.of_command(), answering.Answer(options, "reconcile")

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        opening = target.Target(configured, cuts=cuts, shared=fetches())
        with steps.shown(printer), opening as opened, answer.about(opened.source_root):
            ended = reconciler.reconcile_once(opened, passes.request(opened, options, saved))
        passes.show(ended, printer)
        answer.of_report(ended, subject=opened.name, root=opened.source_root)
        return errors.DIFFERENCES if detailed_exitcode and ended.changed and not ended.failed else ended.exit_code

    manner = several.Manner(together=True, waits=True, answer=answer, refused=_refused)
    return answer.told(several.run(options, "report", work, manner, cuts=interruption))


def _refused(configured: settings.Settings, error: errors.ControllerError) -> None:
    """`status` tells it too, as of a controller that stays."""
    with contextlib.suppress(errors.ControllerError), target.Target(configured) as opened:
        reconciler.not_run(opened, error)


def _refuse_of_once(plan: Path | None, detailed_exitcode: bool, options: dict[str, Any]) -> None:
    given = (
        ("--plan", plan),
        ("--detailed-exitcode", detailed_exitcode),
        (f"--output {options['output_format']}", options["output_format"] not in (None, "text")),
    )
    for name, value in given:
        if value:
            raise click.UsageError(f"{name} is about one pass: give --once too")


def _stay(options: dict[str, Any]) -> int:
    for number in (signal.SIGHUP, signal.SIGUSR1):  # before the first look these wishes are void, and must end nothing
        signal.signal(number, signal.SIG_IGN)
    from controller import daemon
    from core import policy

    allowed = policy.Permissions(shrink=options.get("allow_shrink") or "", skip_images=bool(options.get("skip_images")))
    allowed = replace(allowed, take_over=bool(options["take_over"]))
    return daemon.Daemon(lambda: shared.chosen(options), allowed=allowed).run()
