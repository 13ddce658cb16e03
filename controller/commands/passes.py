"""What `reconcile`, `deploy` and `rollback` share: the request of a pass, and showing how it ended."""

import sys
from typing import TYPE_CHECKING, Any

from controller import output, report, world
from controller.commands import painting
from core import plan, policy

if TYPE_CHECKING:
    from controller import target


def request(opened: "target.Target", options: dict[str, Any], saved: plan.Preconditions | None = None) -> world.Request:
    """The request that the settings' policy and this command line make."""
    allowed = policy.Permissions(
        shrink=options.get("allow_shrink") or "",
        skip_images=bool(options.get("skip_images")),
        rebuild=bool(options.get("no_cache")),
        take_over=bool(options.get("take_over")),
    )
    return world.Request(opened.rules, allowed, saved)


def show(ended: report.Report, printer: output.Printer) -> None:
    """Print a report: the result to stdout, or, when the pass failed, what and why to stderr."""
    if printer.as_json:
        printer.result("report", payload(ended), ())
    if ended.failed:
        printer.failure(
            output.failure_lines(ended.reason, ended.message, ended.problems, above=_plan_lines(ended, printer))
        )
        return
    printer.diagnostics(f"note: {note}" for note in ended.notes)
    if not printer.as_json:
        headline = "done" if ended.changed else "nothing to do"
        told = [*_plan_lines(ended, printer), f"{headline} ({ended.reason}): {ended.message}"]
        printer.result("report", {}, told, paint=painting.of_plan(sys.stdout))


def _plan_lines(ended: report.Report, printer: output.Printer) -> list[str]:
    planned = ended.decision
    if planned is None or not (planned.comparison.changes or (planned.actions and planned.images)):
        return []
    from controller import plan_text

    return list(plan_text.lines(planned, everything=printer.verbose))


def payload(ended: report.Report) -> dict[str, Any]:
    """The report as JSON; `docs/json.md` describes it."""
    plan_payload = None
    if ended.decision is not None:
        from controller import plan_text

        plan_payload = plan_text.payload(ended.decision)
    return {
        "reason": str(ended.reason),
        "message": ended.message,
        "failed": ended.failed,
        "exit_code": ended.exit_code,
        "hint": ended.hint,
        "revision": ended.revision,
        "generation": ended.generation,
        "changed": ended.changed,
        "problems": [output.problem_payload(problem) for problem in ended.problems],
        "notes": list(ended.notes),
        "plan": plan_payload,
    }
