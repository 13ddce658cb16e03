"""`controller diff --against`: two sources or revisions, printed; no target, no engine, no network.

Checks that the options fit together, and shows what `controller.two_sources` found in the words of a plan.
"""

import sys
from collections.abc import Iterator
from typing import Any

import click

from controller import errors, plan_text, settings, targets, two_sources
from controller.commands import answering, painting
from controller.commands import options as shared
from core import desired

_OF_A_TARGET = ("config_dir", "state_dir", "allow_shrink", "secret_env", "docker_context", "git", "ref", "out")


def run(options: dict[str, Any], *, detailed_exitcode: bool) -> int:
    """Compare, print, tell; the exit code. Raises `ControllerError`."""
    _require_fitting(options)
    printer = shared.printer(options)
    configured = _configured(options)
    source = configured.source.directory
    if source is None:
        raise errors.ControllerError("SettingsInvalid", "no folder to compare is set: pass --source DIR")
    after = two_sources.Place(source.path, options.get("at_revision") or "")
    before = two_sources.Place(options.get("against") or source.path, options.get("against_revision") or "")
    found = two_sources.compare(configured, after, before)
    printer.diagnostics(f"note: {notice}" for notice in found.plan.notices)
    told = _lines(found, everything=printer.verbose)
    printer.result("comparison", payload(found), told, paint=painting.of_plan(sys.stdout))
    code = errors.DIFFERENCES if detailed_exitcode and found.differs else errors.OK
    answer = answering.Answer(options, "diff")
    answer.of_plan(found.plan, differs=found.differs, subject="", root=str(source.path))
    return answer.told(code)


def _configured(options: dict[str, Any]) -> settings.Settings:
    """Of the target that was chosen, else what all targets share."""
    if options["target"]:
        return shared.only(options)
    with shared.told_by_flag(options):
        return targets.shared(options.get("config"), shared.flags(options))


def _require_fitting(options: dict[str, Any]) -> None:
    for name, flag in (("against_revision", "--against-revision"), ("at_revision", "--revision")):
        if options[name] == "":  # a variable of a job that is not set must not change what is compared
            raise click.UsageError(f"{flag} is empty: name a commit")
    if not (options["against"] or options["against_revision"]):
        raise click.UsageError("--revision is about two sources: give --against or --against-revision too")
    for name in _OF_A_TARGET:
        if options.get(name) is not None:
            flag = "context" if name == "docker_context" else name.replace("_", "-")
            raise click.UsageError(f"--{flag} is about a target: leave it out when two sources are compared")


def _lines(found: two_sources.Comparison, *, everything: bool) -> Iterator[str]:
    """The lines of the plan; below those of a change, where it stood before when that is another file."""
    changes = found.plan.comparison.changes
    for change in changes if everything else changes[: plan_text.MOST_LINES]:
        yield from plan_text.change_lines(change)
        was = found.origin_before(change.key)
        if was is not None and change.after is not None and _file(was) != _file(change.provenance):
            yield f"      before: {was.entry} {was.file}:{was.line}"
    yield from plan_text.closing_lines(found.plan, everything=everything)


def _file(origin: desired.Provenance | None) -> tuple[str, str] | None:
    return None if origin is None else (origin.entry, origin.file)


def payload(found: two_sources.Comparison) -> dict[str, Any]:
    """The comparison as JSON; `docs/json.md` describes it."""
    whole = plan_text.payload(found.plan)
    changes = [
        {**told, "provenance_before": _origin(found.origin_before(change.key))}
        for told, change in zip(whole["changes"], found.plan.comparison.changes, strict=True)
    ]
    return {
        "source": _side(found.after),
        "against": _side(found.before),
        "differs": found.differs,
        "outcome": whole["outcome"],
        "changes": changes,
        "images": whole["images"],
        "provision": whole["provision"],
        "notices": whole["notices"],
    }


def _side(read: two_sources.Read) -> dict[str, Any]:
    return {
        "path": str(read.place.folder),
        "commit": read.commit,
        "revision": read.side.wanted.revision,
        "missing": read.side.missing,
    }


def _origin(origin: desired.Provenance | None) -> dict[str, Any] | None:
    if origin is None:
        return None
    return {
        "entry": origin.entry,
        "file": origin.file,
        "line": origin.line,
        "overrides": list(origin.overrides),
    }
