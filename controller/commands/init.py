"""`controller init`: a commented controller.yml from flags, or from questions where somebody can answer them."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from controller import errors, first_settings, output
from controller.commands import asking


@click.command(short_help="Write a commented controller.yml, from flags or questions.")
@click.option("--output", "place", default="controller.yml", show_default=True, metavar="FILE", help="- for stdout.")
@click.option("--force", is_flag=True, help="Replace FILE.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: take what was found, and defaults.")
@click.option("--source", metavar="DIR", help="The folder of artifacts.")
@click.option("--git", metavar="URL", help="The git repository of artifacts, instead of a folder.")
@click.option("--ref", metavar="REF", help="Its branch, tag, commit, or semver:RANGE of tags.  [main]")
@click.option("--known-hosts", metavar="FILE", help="Required with an ssh address.")
@click.option("--ssh-key", metavar="FILE", help="Private key for an ssh address.")
@click.option("--manifest", metavar="PATH", help="artifact.yml relative to the source.  [the only one below it]")
@click.option("--config-dir", metavar="DIR", help="CONFIG_DIR, which the gateway reads.")
@click.option("--state-dir", metavar="DIR", help="Where the record lives.  [CONFIG_DIR/.controller]")
@click.option("--compose-file", multiple=True, metavar="FILE", help="The stack; may be given several times, in order.")
@click.option("--project", metavar="NAME", help="Its compose project.  [the manifest's project]")
@click.option("--env-file", metavar="FILE", help="Handed to compose; never read here.")
@click.option("--registry", metavar="HOST:PORT", help="The registry as the runtime pulls.")
@click.option("--registry-host", metavar="HOST:PORT", help="The same registry as this host pushes.")
@click.option("--listen", metavar="ADDRESS", help="Serve health, metrics and webhooks at HOST:PORT or :PORT.")
@click.option("--webhook-secret-file", metavar="FILE", help="At least 16 bytes; without it there are no webhooks.")
@click.pass_obj
def command(interruption: Any, /, place: str, force: bool, yes: bool, **given: Any) -> int:
    """Write a controller.yml with every key: what is set, and all others as comments with their defaults. What is not
    given as a flag is asked for on a terminal. An existing file stays, unless --force is given."""
    del interruption
    for name, value in {"output": place, **given}.items():
        if value == "" or (isinstance(value, tuple) and "" in value):  # a variable of a shell that was not set
            raise click.UsageError(f"--{name.replace('_', '-')} must not be empty")
    target = None if place == "-" else Path(place)
    if target is not None and target.exists() and not force:
        raise click.UsageError(f"{output.clean(place)} exists: --force replaces it, --output names another file")
    folder = Path() if target is None else target.parent
    found = first_settings.look(folder)
    answered = asking.complete(_from_there(given, folder), found, ask=not yes and _somebody_is_there(), take_found=yes)
    text = first_settings.write(answered)
    printer = output.Printer()
    if target is None:
        printer.result("init", {}, text.splitlines())
        return errors.OK
    first_settings.save(text, target, replace=force)
    shown = f"--config {place}"
    printer.result("init", {}, [f"wrote {place}; next: controller doctor {shown}, then controller diff {shown}"])
    return errors.OK


_PATHS = ("source", "known_hosts", "ssh_key", "config_dir", "state_dir", "env_file", "webhook_secret_file")


def _from_there(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The flags with their relative paths, which begin where the command runs, as they are from the file's folder."""

    def moved(path: str | None) -> str | None:
        return os.path.relpath(path, folder) if path and not os.path.isabs(path) else path

    files = tuple(moved(path) for path in given["compose_file"])
    return {**given, **{name: moved(given[name]) for name in _PATHS}, "compose_file": files}


def _somebody_is_there() -> bool:
    """Questions are written to stderr and answered on stdin."""
    return sys.stdin.isatty() and sys.stderr.isatty()
