"""`controller diff`: the plan, printed; nothing is locked, written or remembered."""

from pathlib import Path
from typing import Any

import click

from controller import errors, output, plan_text, reconciler, report, saved_plan
from controller.commands import options as shared
from controller.commands import passes


@click.command(short_help="Show what reconcile would do, and why; change nothing.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are differences.")
@click.option("--out", type=shared.PATH, metavar="FILE", help="Save the plan with its preconditions.")
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
        blocked = report.of_blockers(decision)
        printer.failure(output.failure_lines(blocked.reason, blocked.message))
        return blocked.exit_code
    differs = decision.comparison.changes or decision.changes_something
    return errors.DIFFERENCES if detailed_exitcode and differs else errors.OK
