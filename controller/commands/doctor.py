"""`controller doctor`: what this host lacks, one line a check."""

from typing import Any

import click

from controller import checks, errors
from controller.commands import options as shared


@click.command(short_help="Check this host: one line a check, with the way out.")
@shared.of_source
@shared.of_target
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, **options: Any) -> int:
    """Check what a pass needs: interpreter, YAML scanner, settings, CONFIG_DIR, its file system, state, lock, source.
    Leaves nothing behind."""
    del interruption
    found = checks.run(options.get("config"), shared.flags(options), skip_images=options["skip_images"])
    payload = {
        "checks": [
            {"name": check.name, "status": check.status, "detail": check.detail, "hint": check.hint} for check in found
        ]
    }
    lines = [
        f"{check.status:<5}{check.name}: {check.detail}" + (f"\n     {check.hint}" if check.hint else "")
        for check in found
    ]
    shared.printer(options).result("doctor", payload, (part for line in lines for part in line.split("\n")))
    failed = any(check.status == checks.FAIL for check in found)
    return errors.MEANINGS["CheckFailed"].exit_code if failed else errors.OK
