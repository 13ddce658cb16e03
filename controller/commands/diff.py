"""`controller diff`: the plan, printed; nothing is locked, written or remembered."""

from pathlib import Path
from typing import Any

import click

from controller import errors, plan_text, reconciler, saved_plan
from controller.commands import options as shared
from controller.commands import passes


@click.command(short_help="Show what reconcile would do, and why; change nothing.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are differences.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Save the plan with its preconditions.",
)
@shared.of_source
@shared.of_target
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, detailed_exitcode: bool, out: Path | None, **options: Any) -> int:
    """Show what `reconcile --once` would do, and why."""
    printer = shared.printer(options)
    with shared.open_target(options, interruption) as opened:
        decision = reconciler.plan_once(opened, passes.request(opened, options))
    if out is not None:
        saved_plan.save(decision, out)
    printer.diagnostics(f"note: {notice}" for notice in decision.notices)
    printer.result("plan", plan_text.payload(decision), plan_text.lines(decision, everything=printer.verbose))
    if decision.blockers:
        meaning = errors.MEANINGS[decision.blockers[0].reason]
        printer.failure([f"hint: {meaning.hint}"])
        return meaning.exit_code
    return errors.DIFFERENCES if detailed_exitcode and decision.comparison.changes else errors.OK
