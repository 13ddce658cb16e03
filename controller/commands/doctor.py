"""`controller doctor`: what this host lacks, one line a check."""

from typing import Any

import click

from controller import checks, errors
from controller.commands import options as shared


@click.command(short_help="Check this host: one line a check, with the way out.")
@shared.of_source
@shared.of_target
@shared.of_targets
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, **options: Any) -> int:
    """Check what a pass needs: programs, settings, CONFIG_DIR with its file system, lock and record, the source with
    its secrets, Docker, the registry, the stack. Leaves nothing behind."""
    del interruption
    found = checks.run(
        options.get("config"), shared.flags(options), options["target"], skip_images=options["skip_images"]
    )
    payload = {
        "checks": [
            {"name": check.name, "status": check.status, "detail": check.detail, "hint": check.hint}
            | ({"target": check.target} if check.target else {})
            for check in found
        ]
    }
    lines = [
        f"{check.status:<5}{f'{check.target}: ' if check.target else ''}{check.name}: {check.detail}"
        + (f"\n     {check.hint}" if check.hint else "")
        for check in found
    ]
    shared.printer(options).result("doctor", payload, (part for line in lines for part in line.split("\n")))
    failed = any(check.status == checks.FAIL for check in found)
    return errors.MEANINGS["CheckFailed"].exit_code if failed else errors.OK
