"""`controller healthcheck`: whether a running controller lives, for the HEALTHCHECK of its container.

Loads neither settings nor anything that validates, unless the address has to be read from a `controller.yml`.
"""

import os
from pathlib import Path
from typing import Any

import click

from controller import errors, healthcheck

_LONGEST_S = 60.0


@click.command(short_help="Ask a running controller whether it lives: 0 or 1.")
@click.option("--url", metavar="URL", help="Such as http://127.0.0.1:8080; else the address that it listens at.")
@click.option("--config", type=Path, metavar="FILE", help="controller.yml with that address.  [default: none]")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, _LONGEST_S),
    default=healthcheck.USUAL_S,
    show_default=True,
    help="In seconds.",
)
@click.pass_obj
def command(interruption: Any, /, url: str | None, config: Path | None, timeout: float) -> int:
    """Ask `/healthz` of a running controller: 0 when its loop lives, 1 when not, or when nobody answers.

    The address is that of --url, else of CONTROLLER_HTTP__LISTEN, else of http.listen in --config. Only the last one
    reads settings, which takes a quarter of a second; the others take less than a twentieth."""
    del interruption
    address = url or os.environ.get(healthcheck.VARIABLE) or _configured(config)
    if not address:
        named = f"--url, {healthcheck.VARIABLE} or --config with http.listen"
        raise click.UsageError(f"where does it listen? Give {named}")
    try:
        why = healthcheck.trouble(address, timeout)
    except ValueError:
        raise click.UsageError("the address must be http://HOST:PORT, HOST:PORT, [IPV6]:PORT or :PORT") from None
    if why:
        click.echo(f"not healthy: {why}", err=True)
    return 1 if why else errors.OK


def _configured(config: Path | None) -> str:
    """`http.listen` of the settings."""
    if config is None:
        return ""
    from controller import targets

    return targets.shared(config).http.listen or ""
