"""`controller manifest validate | sync-ids | schema | discover`: about files, never about a target."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from controller import errors, output, targets
from controller.commands import answering
from controller.commands import options as shared
from controller.sources import directory

_of_config = click.option(
    "--config", type=shared.PATH, metavar="FILE", help="controller.yml, for its `manifest:` section."
)


@click.group(short_help="Check, complete and find artifact.yml files.")
def command() -> None:
    """Work on artifact.yml files; no command here touches a CONFIG_DIR."""


@command.command()
@click.argument("paths", nargs=-1, type=shared.PATH, required=True, metavar="PATH...")
@_of_config
@shared.of_step_output
def validate(paths: tuple[Path, ...], config: Path | None, **options: Any) -> int:
    """Check artifact.yml files, and all of them below folders, with every document of every entry: all problems, not
    the first.

    One that cannot be read does not hide the others. The exit code is 65 when any of them breaks the contract, and else
    that of the first that could not be read.
    """
    printer = shared.printer(options)
    found = directory.validate_all(paths, directory.rules(targets.shared(config)))
    problems = [problem for report in found for problem in report.problems]
    payload = {
        "valid": not any(report.invalid for report in found),
        "files": [
            {
                "path": str(report.path),
                "valid": not report.invalid,
                "reason": report.reason,
                "problems": [output.problem_payload(problem) for problem in report.problems],
            }
            for report in found
        ],
    }
    printer.failure(f"{problem.severity}: {problem}" for problem in problems)
    printer.failure(f"hint: {errors.MEANINGS[reason].hint}" for reason in _unread(found))
    printer.result("validation", payload, (f"{report.path}: {_verdict(report)}" for report in found))
    return answering.Answer(options, "manifest validate").told_of_validations(directory.exit_code(found), found)


def _unread(found: Sequence[directory.Validation]) -> Sequence[str]:
    """Why some could not be checked at all, each reason once. A broken contract says itself what to correct."""
    return tuple(dict.fromkeys(one.reason for one in found if one.reason not in ("", "ArtifactInvalid")))


def _verdict(found: directory.Validation) -> str:
    if not found.invalid:
        return found.contents
    return "invalid" if found.reason == "ArtifactInvalid" else f"not checked ({found.reason})"


@command.command("sync-ids")
@click.argument("paths", nargs=-1, type=shared.PATH, metavar="[FILE]...")
@click.option("--artifact", type=shared.PATH, multiple=True, metavar="FILE", help="The same as the argument.")
@click.option("--check", is_flag=True, help="Write nothing; fail when an id differs.")
@_of_config
@shared.of_output
def sync_ids(
    paths: tuple[Path, ...], artifact: tuple[Path, ...], *, check: bool, config: Path | None, **options: Any
) -> int:
    """Write the computed entry ids into artifact.yml, keeping comments, quotes and order."""
    files = (*paths, *artifact)
    if not files:
        raise click.UsageError("name at least one artifact.yml")
    printer = shared.printer(options)
    require_ids = targets.shared(config).manifest.require_ids
    differences = [
        (file, found)
        for file in files
        for found in directory.synchronise(file, write=not check, require_ids=require_ids)
    ]
    payload = {
        "written": bool(differences) and not check,
        "differences": [
            {"file": str(file), "entry": found.index, "line": found.line, "id": found.current, "wanted": found.wanted}
            for file, found in differences
        ],
    }
    verb = "is not" if check else "is now"
    lines = [
        f"{file}:{found.line}: artifacts[{found.index}].id {verb} {found.wanted}" for file, found in differences
    ] or [f"{file}: every id is as computed" for file in files]
    printer.result("sync-ids", payload, lines)
    return errors.MEANINGS["IdsDiffer"].exit_code if check and differences else errors.OK


@command.command()
@click.option("--of", "subject", type=click.Choice(["artifact", "settings"]), default="artifact", show_default=True)
@shared.of_output
def schema(subject: str, **options: Any) -> int:
    """Print the JSON Schema of artifact.yml or of controller.yml; as JSON it is the same, on one line."""
    from core import models

    document = models.manifest_schema() if subject == "artifact" else targets.json_schema()
    click.echo(json.dumps(document, indent=None if shared.printer(options).as_json else 2))
    return errors.OK


@command.command()
@click.argument("folder", type=shared.PATH, default=Path(), metavar="[DIR]")
@shared.of_output
def discover(folder: Path, **options: Any) -> int:
    """List every artifact.yml below DIR with its project and environment."""
    found = directory.discover(folder)
    payload = {
        "candidates": [
            {"path": candidate.path, "project": candidate.project, "env": candidate.env, "problem": candidate.problem}
            for candidate in found
        ]
    }
    lines = [str(candidate) for candidate in found] or [f"{folder}: no artifact.yml below this folder"]
    shared.printer(options).result("discovery", payload, lines)
    return errors.OK
