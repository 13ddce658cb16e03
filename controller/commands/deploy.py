"""`controller deploy`: one artifact into one directory, without a source to follow."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from controller import reconciler, settings, target
from controller.commands import options as shared
from controller.commands import passes, steps
from core import ownership


@click.command(short_help="Apply one artifact to one directory, without a source.")
@click.option("--artifact", type=shared.PATH, required=True, metavar="FILE", help="The artifact.yml.")
@click.option("--out", type=shared.PATH, required=True, metavar="DIR", help="CONFIG_DIR.")
@click.option("--secret-env", type=shared.PATH, metavar="FILE", help="KEY=value file with the secrets.")
@click.option("--no-cache", is_flag=True, help="Build images without cache, and read every document anew.")
@click.option("--strict", is_flag=True, default=None, help="Treat compatibility warnings as errors.")
@click.option("--skip-images", is_flag=True, help="Somebody else builds and pushes the images.")
@shared.docker_context
@shared.allow_shrink
@shared.take_over
@shared.of_wait
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, artifact: Path, out: Path, no_cache: bool, **options: Any) -> int:
    """Apply the artifact of FILE to DIR: same documents, same guards and same record as `reconcile --once`."""
    flags = {
        **shared.flags(options),
        ("config_dir",): out,
        ("source", "directory", "path"): artifact.parent,
        ("source", "directory", "allow_outside"): True,
        ("manifest", "path"): artifact.name,
    }
    printer, given = shared.printer(options), settings.load(None, flags)
    with steps.shown(printer), target.Target(given, cuts=interruption, fresh=no_cache) as opened:
        asked = passes.request(opened, {**options, "no_cache": no_cache})
        ended = reconciler.reconcile_once(opened, replace(asked, manner=ownership.Manner.ONCE))
    passes.show(ended, printer)
    return ended.exit_code
