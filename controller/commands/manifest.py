"""`controller manifest validate | sync-ids | schema | discover`: about files, never about a target."""

import json
from pathlib import Path
from typing import Any

import click

from controller import errors, output, settings
from controller.commands import options as shared
from controller.sources import directory

_FILE = click.Path(path_type=Path, readable=False)


@click.group(short_help="Check, complete and find artifact.yml files.")
def command() -> None:
    """Work on artifact.yml files; no command here touches a CONFIG_DIR."""


@command.command()
@click.argument("paths", nargs=-1, type=_FILE, required=True, metavar="PATH...")
@click.option("--config", type=_FILE, metavar="FILE", help="controller.yml, for its `manifest:` section.")
@shared.of_output
def validate(paths: tuple[Path, ...], config: Path | None, **options: Any) -> int:
    """Check artifact.yml files (or folders holding one) with every document of every entry: all problems, not the
    first."""
    printer = shared.printer(options)
    rules = directory.rules(settings.load(config, {}))
    found = [directory.validate(path, rules) for path in paths]
    problems = [problem for report in found for problem in report.problems]
    payload = {
        "valid": not any(report.invalid for report in found),
        "files": [
            {
                "path": str(report.path),
                "valid": not report.invalid,
                "problems": [output.problem_payload(problem) for problem in report.problems],
            }
            for report in found
        ],
    }
    lines = [f"{report.path}: {'invalid' if report.invalid else report.contents}" for report in found]
    printer.failure(f"{problem.severity}: {problem}" for problem in problems)
    printer.result("validation", payload, lines)
    return errors.MEANINGS["ArtifactInvalid"].exit_code if not payload["valid"] else errors.OK


@command.command("sync-ids")
@click.argument("paths", nargs=-1, type=_FILE, metavar="[FILE]...")
@click.option("--artifact", type=_FILE, multiple=True, metavar="FILE", help="The same as the argument.")
@click.option("--check", is_flag=True, help="Write nothing; fail when an id differs.")
@shared.of_output
def sync_ids(paths: tuple[Path, ...], artifact: tuple[Path, ...], check: bool, **options: Any) -> int:
    """Write the computed entry ids into artifact.yml, keeping comments, quotes and order."""
    files = (*paths, *artifact)
    if not files:
        raise click.UsageError("name at least one artifact.yml")
    printer = shared.printer(options)
    differences = [(file, found) for file in files for found in directory.synchronise(file, write=not check)]
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
def schema(subject: str) -> int:
    """Print the JSON Schema of artifact.yml or of controller.yml."""
    from core import models

    document = models.manifest_schema() if subject == "artifact" else settings.json_schema()
    click.echo(json.dumps(document, indent=2))
    return errors.OK


@command.command()
@click.argument("folder", type=_FILE, default=Path(), metavar="[DIR]")
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
