"""`controller provision`: the provisioner of a compose stack, run by itself."""

import os
import secrets
from pathlib import Path
from typing import Any

import click

from controller import compose_stack, errors, progress, provisioner, settings
from controller.commands import options as shared
from controller.commands import steps


@click.command(short_help="Run the provisioner of a compose stack by itself, once.")
@click.option("--project", metavar="NAME", help="The compose project.  [stack.project]")
@click.option(
    "--compose-file", type=shared.PATH, multiple=True, metavar="FILE", help="May be given several times, in order."
)
@click.option("--env-file", type=shared.PATH, metavar="FILE", help="Handed to compose; never read here.")
@click.option("--project-dir", type=shared.PATH, metavar="DIR", help="Where compose's relative paths begin.")
@click.option("--with-deps", is_flag=True, default=None, help="Let compose start what the provisioner depends on.")
@click.option("--config", type=shared.PATH, metavar="FILE", help="controller.yml  [default: none]")
@shared.of_one_target
@click.option(
    "--config-dir", type=shared.PATH, metavar="DIR", help="CONFIG_DIR.  [the environment's, or the env file's]"
)
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, **options: Any) -> int:
    """Run the provisioner once, whether resources changed or not, and end with 0, or with 81 when it failed.

    One that runs already is waited for. Its last lines are printed with -v, and always when it failed."""
    del interruption
    loaded = shared.only(options, _flags(options))
    project = _required(loaded)
    runner = provisioner.Provisioner(
        compose_stack.ComposeStack(loaded, loaded.config_dir or Path()).engine,
        loaded.stack,
        project=project,
        config_dir=_config_dir(loaded, options),
        in_container=compose_stack.in_container(),
        here=compose_stack.traces(),
        deadline_s=loaded.deadlines.provision,
    )
    printer = shared.printer(options)
    with steps.shown(printer), progress.step("running the provisioner"):
        runner.require_service()
        ran = runner.run("", secrets.token_hex(8))
    printer.diagnostics(f"note: {note}" for note in ran.notes)
    payload = {
        "project": project,
        "service": loaded.stack.provisioner,
        "notes": list(ran.notes),
        "lines": list(ran.tail) if printer.verbose else [],
    }
    lines = [
        *(ran.tail if printer.verbose else ()),
        f"done: {loaded.stack.provisioner} of project {project} ended with 0",
    ]
    printer.result("provision", payload, lines)
    return errors.OK


def _flags(options: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    return {
        ("config_dir",): options["config_dir"],
        ("stack", "project"): options["project"],
        ("stack", "compose_files"): options["compose_file"] or None,
        ("stack", "env_file"): options["env_file"],
        ("stack", "project_directory"): options["project_dir"],
        ("stack", "with_deps"): options["with_deps"],
    }


def _required(loaded: settings.Settings) -> str:
    """The project; what else compose needs is there."""
    if loaded.stack.project is None:
        raise click.UsageError("Missing option '--project' (or stack.project in controller.yml).")
    if not loaded.stack.compose_files and loaded.stack.project_directory is None:
        raise click.UsageError("Missing option '--compose-file' (or stack.compose_files in controller.yml).")
    return loaded.stack.project


def _config_dir(loaded: settings.Settings, options: dict[str, Any]) -> Path | None:
    """CONFIG_DIR as it was given here. One in the environment is compose's own affair: it goes through as it is, and
    may be the name of a volume. In a container, a folder is the container's, which the engine does not know (H12)."""
    inherited = os.environ.get("CONFIG_DIR")
    if options["config_dir"] is None and inherited and loaded.config_dir == Path(inherited):
        return loaded.config_dir if compose_stack.traces().ids and os.path.isdir(inherited) else None
    return loaded.config_dir
