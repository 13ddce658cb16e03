"""Options that several commands share, and the step from them to settings and a target."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from controller import errors, output
from controller.commands import completing
from controller.outputs import choice
from core import digest, problems

if TYPE_CHECKING:
    from controller import settings, target

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
take_over = click.option("--take-over", is_flag=True, help="Make a CONFIG_DIR of another owner this target's.")
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
_WORDS = (
    click.option("-q", "--quiet", is_flag=True, help="Print no diagnostics."),
    click.option("-v", "--verbose", is_flag=True, help="Print every change."),
)
_OUTPUT = (
    click.option("--output", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True),
    *_WORDS,
)
_STEP_OUTPUT = (
    click.option(
        "--output",
        "output_format",
        type=click.Choice(list(map(str, choice.Form))),
        help="For people, programs, or a CI job.  [text; github under GITHUB_ACTIONS]",
    ),
    *_WORDS,
)
_LOOP = (
    click.option("--interval", metavar="TIME", help="Between two looks at everything.  [30s]"),
    click.option("--listen", metavar="ADDRESS", help="Serve health, metrics and webhooks at HOST:PORT or :PORT."),
)


def _target(more: str) -> tuple[Callable[[Function], Function]]:
    text = f"Of several in controller.yml, this one{more}"
    return (click.option("--target", multiple=True, metavar="NAME", shell_complete=completing.targets, help=text),)


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
of_step_output = _all(_STEP_OUTPUT)
of_wait = _all(_WAIT)
of_loop = _all(_LOOP)
of_targets = _all(_target("; may be repeated.  [all]"))
of_one_target = _all(_target("."))


def printer(options: dict[str, Any]) -> output.Printer:
    """The printer that the output options ask for."""
    form = choice.of(options["output_format"])
    return output.Printer(
        as_json=form is choice.Form.JSON,
        quiet=options["quiet"],
        verbose=options["verbose"],
        aside=form in choice.DOCUMENTS,
    )


_SETTING_OF = {
    "config_dir": ("config_dir",),
    "state_dir": ("state_dir",),
    "source": ("source", "directory", "path"),
    "git": ("source", "git", "url"),
    "ref": ("source", "git", "ref"),
    "manifest": ("manifest", "path"),
    "project": ("manifest", "project"),
    "env": ("manifest", "env"),
    "secret_env": ("secrets", "env_file"),
    "strict": ("policy", "strict"),
    "docker_context": ("docker", "context"),
    "wait": ("lock_wait",),
    "interval": ("interval",),
    "listen": ("http", "listen"),
}
"""The setting that an option gives, by the option's name here."""


def flags(options: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """The settings that were given as flags; absent ones are None and do not count."""
    return {path: options.get(name) for name, path in _SETTING_OF.items()}


@contextlib.contextmanager
def told_by_flag(options: dict[str, Any]) -> Iterator[None]:
    """What is wrong with the value of a flag is told by the name of the flag, and not by that of its setting; where
    nothing else is wrong, it is wrong usage. Raises `click.UsageError`, or the `ControllerError`."""
    given = {problems.format_path(path): name for name, path in _SETTING_OF.items() if options.get(name) is not None}
    try:
        yield
    except errors.ControllerError as error:
        told = tuple(_of_flag(one, given.get(one.key, "")) for one in error.problems)
        if told and all(one.file == _FLAGS for one in told):
            raise click.UsageError("; ".join(f"{one.key}: {one.message}" for one in told)) from None
        error.problems = told
        raise


_FLAGS = "command line"
"""In the place of a file."""


def _of_flag(found: problems.Problem, name: str) -> problems.Problem:
    if found.file != "settings" or not name:
        return found
    return dataclasses.replace(found, file=_FLAGS, key=f"--{name.removeprefix('docker_').replace('_', '-')}")


def chosen(options: dict[str, Any]) -> "tuple[settings.Settings, ...]":
    """The targets that settings and flags describe: all of them, or those that were named. What takes a CONFIG_DIR from
    somebody is only for those that were named. Raises `ControllerError`."""
    from controller import targets

    with told_by_flag(options):
        found = targets.load(options.get("config"), flags(options), options["target"])
    if options.get("take_over") and len(found) > 1 and not options["target"]:
        names = ", ".join(one.name for one in found)
        raise errors.ControllerError("Usage", f"--take-over is for targets that are named: give --target, of {names}")
    return found


def only(options: dict[str, Any], given: dict[tuple[str, ...], Any] | None = None) -> "settings.Settings":
    """The one target that settings and flags describe; of several, the one that was named. `given` are flags in the
    place of those of `flags`. Raises `click.UsageError` when there are several, or `ControllerError`."""
    from controller import targets

    with told_by_flag(options):
        found = targets.load(options.get("config"), flags(options) if given is None else given, options["target"])
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise click.UsageError(f"This is about one target: choose it with --target, one of {names}.")
    return found[0]


def open_target(options: dict[str, Any], interruption: Any = None) -> "target.Target":
    """The only target, or the one that was chosen, as `only` finds it."""
    from controller import target

    return target.Target(only(options), cuts=interruption)
