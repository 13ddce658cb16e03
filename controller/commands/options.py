"""Options that several commands share, and the step from them to settings and a target."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from controller import output
from core import digest

if TYPE_CHECKING:
    from controller import target

Function = TypeVar("Function", bound=Callable[..., Any])


class NamedPath(click.Path):
    """A path that somebody named. An empty one is a shell variable that was not set, and never the working directory.

    Whether it can be read is not checked here: the reason would be `Usage`, which a script cannot tell from a typing
    error.
    """

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As usual, but empty text is refused."""
        if value == "":
            self.fail("must not be empty", param, ctx)
        return super().convert(value, param, ctx)


def _revision(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A revision as `core.digest.abbreviates` takes it. One that is too short would allow nothing, without a word."""
    if value is None:
        return None
    text = value.lower()
    if re.fullmatch(f"(sha256:)?[0-9a-f]{{{digest.SHORTEST},64}}", text) is None:
        message = f"write a revision, or at least its first {digest.SHORTEST} hex digits"
        raise click.BadParameter(message, ctx, param)
    return text


PATH = NamedPath()

_TARGET = (
    click.option("--config", "config", type=PATH, metavar="FILE", help="controller.yml  [default: none]"),
    click.option("--config-dir", type=PATH, metavar="DIR", help="CONFIG_DIR, which the gateway reads."),
    click.option("--state-dir", type=PATH, metavar="DIR", help="Where the record lives.  [CONFIG_DIR/.controller]"),
)
allow_shrink = click.option(
    "--allow-shrink", callback=_revision, metavar="REVISION", help="Allow this revision's removals."
)
docker_context = click.option("--context", "docker_context", metavar="NAME", help="A context of the docker command.")
_SOURCE = (
    click.option("--source", type=PATH, metavar="DIR", help="The folder of artifacts."),
    click.option("--git", metavar="URL", help="The git repository of artifacts, instead of a folder."),
    click.option("--ref", metavar="REF", help="Its branch, tag, commit, or semver:RANGE of tags.  [main]"),
    click.option("--manifest", metavar="PATH", help="artifact.yml relative to the source.  [the only one below it]"),
    click.option("--project", metavar="NAME", help="Choose the manifest of this project."),
    click.option("--env", metavar="NAME", help="Choose the manifest of this environment."),
    click.option("--secret-env", type=PATH, metavar="FILE", help="KEY=value file with the required secrets."),
    click.option("--strict", is_flag=True, default=None, help="Treat compatibility warnings as errors."),
    click.option("--skip-images", is_flag=True, help="Somebody else builds and pushes the images."),
    docker_context,
    allow_shrink,
)
_OUTPUT = (
    click.option("--output", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True),
    click.option("-q", "--quiet", is_flag=True, help="Print no diagnostics."),
    click.option("-v", "--verbose", is_flag=True, help="Print every change."),
)
_LOOP = (
    click.option("--interval", metavar="TIME", help="Between two looks at everything.  [30s]"),
    click.option("--listen", metavar="ADDRESS", help="Serve health, metrics and webhooks at HOST:PORT or :PORT."),
)
_WAIT = (click.option("--wait", metavar="TIME", help="Wait this long for another controller, e.g. 30s."),)


def _all(decorators: tuple[Callable[[Function], Function], ...]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


of_target = _all(_TARGET)
of_source = _all(_SOURCE)
of_output = _all(_OUTPUT)
of_wait = _all(_WAIT)
of_loop = _all(_LOOP)


def printer(options: dict[str, Any]) -> output.Printer:
    """The printer that the output options ask for."""
    return output.Printer(
        as_json=options["output_format"] == "json", quiet=options["quiet"], verbose=options["verbose"]
    )


def flags(options: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """The settings that were given as flags; absent ones are None and do not count."""
    source = options.get("source")
    return {
        ("config_dir",): options.get("config_dir"),
        ("state_dir",): options.get("state_dir"),
        ("source", "directory", "path"): source,
        ("manifest", "path"): options.get("manifest"),
        ("manifest", "project"): options.get("project"),
        ("manifest", "env"): options.get("env"),
        ("secrets", "env_file"): options.get("secret_env"),
        ("policy", "strict"): options.get("strict"),
        ("docker", "context"): options.get("docker_context"),
        ("lock_wait",): options.get("wait"),
        ("interval",): options.get("interval"),
        ("http", "listen"): options.get("listen"),
        ("source", "git", "url"): options.get("git"),
        ("source", "git", "ref"): options.get("ref"),
    }


def open_target(options: dict[str, Any], interruption: Any = None) -> "target.Target":
    """The target that settings and flags describe."""
    from controller import settings, target

    return target.Target(settings.load(options.get("config"), flags(options)), cuts=interruption)
