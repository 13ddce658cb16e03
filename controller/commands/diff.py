"""`controller diff`: the plan, printed; nothing is locked, written or remembered."""

import sys
from pathlib import Path
from typing import Any

import click

from controller import cancellation, errors, output, plan_text, reconciler, report, saved_plan, settings, target
from controller.commands import answering, painting, passes, several, steps
from controller.commands import options as shared
from controller.sources import shared_fetches
from core import plan


@click.command(short_help="Show what reconcile would do, and why; change nothing.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are differences.")
@click.option("--out", type=shared.PATH, metavar="FILE", help="Save the plan with its preconditions.")
@click.option("--against", type=shared.PATH, metavar="DIR", help="Compare --source with this folder, and no target.")
@click.option("--against-revision", metavar="REV", help="Compare --source with that folder at this commit.")
@click.option("--revision", "at_revision", metavar="REV", help="Take --source at this commit, too.")
@shared.of_source
@shared.of_target
@shared.of_targets
@shared.of_step_output
@click.pass_obj
def command(interruption: Any, /, detailed_exitcode: bool, out: Path | None, **options: Any) -> int:
    """Show what `reconcile --once` would do, and why. With --against or --against-revision: what the source asks for
    beside another folder or commit, for pull requests; no target, engine or network."""
    if any(options[name] is not None for name in ("against", "against_revision", "at_revision")):
        from controller.commands import comparing

        return comparing.run({**options, "out": out}, detailed_exitcode=detailed_exitcode)
    if out is not None:
        shared.only(options)

    fetches, answer = shared_fetches.of_command(), answering.Answer(options, "diff")

    def work(configured: settings.Settings, printer: output.Printer, cuts: cancellation.Cuts) -> int:
        opening = target.Target(configured, cuts=cuts, shared=fetches())
        with steps.shown(printer), opening as opened, answer.about(opened.source_root):
            decision = reconciler.plan_once(opened, passes.request(opened, options))
        if out is not None:
            saved_plan.save(decision, out)
        differs = bool(decision.comparison.changes or decision.changes_something)
        answer.of_plan(decision, differs=differs, subject=opened.name, root=opened.source_root)
        code = _shown(decision, printer)
        return errors.DIFFERENCES if code == errors.OK and detailed_exitcode and differs else code

    manner = several.Manner(together=True, answer=answer)
    return answer.told(several.run(options, "plan", work, manner, cuts=interruption))


def _shown(decision: plan.Plan, printer: output.Printer) -> int:
    """Print the plan; the exit code of its blockers."""
    printer.diagnostics(f"note: {notice}" for notice in decision.notices)
    told = plan_text.lines(decision, everything=printer.verbose)
    printer.result("plan", plan_text.payload(decision), told, paint=painting.of_plan(sys.stdout))
    if not decision.blockers:
        return errors.OK
    blocked = report.of_blockers(decision)
    printer.failure(output.failure_lines(blocked.reason, blocked.message))
    return blocked.exit_code
