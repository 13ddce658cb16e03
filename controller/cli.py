"""The command `controller`: its commands by name, loaded when they are called, and the last line of error mapping.

Nothing here knows what a command does. A command's module is imported only when it runs, so that `--version` and
completion stay fast.
"""

import gc
import importlib
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from click import shell_completion

_INTERRUPTED = 128 + signal.SIGINT

try:
    import click

    from controller import __version__, errors, output, signals
    from controller.outputs import choice
except KeyboardInterrupt:  # as later on, when the signals are ours: a code, and no traceback
    raise SystemExit(_INTERRUPTED) from None

_COMMANDS = {
    "reconcile": ("controller.commands.reconcile", "Converge CONFIG_DIR with the source."),
    "diff": ("controller.commands.diff", "Show what reconcile would do, and why; change nothing."),
    "deploy": ("controller.commands.deploy", "Apply one artifact to one directory, without a source."),
    "manifest": ("controller.commands.manifest", "Check, complete and find artifact.yml files."),
    "probe": ("controller.commands.probe", "Show the running stack, and whether it can take the artifact."),
    "provision": ("controller.commands.provision", "Run the provisioner of a stack once."),
    "status": ("controller.commands.status", "What is live, what was tried, and the conditions."),
    "history": ("controller.commands.history", "What was applied and what failed, newest first."),
    "events": ("controller.commands.events", "What happened to single things, newest first."),
    "trace": ("controller.commands.trace", "Where a live function comes from: image, entry, line, revision, pass."),
    "rollback": ("controller.commands.rollback", "Make an earlier revision live again and hold the bad one."),
    "suspend": ("controller.commands.suspend", "Stop changing CONFIG_DIR until resumed."),
    "resume": ("controller.commands.resume", "Lift a suspension, or the holds of a rollback."),
    "init": ("controller.commands.init", "Write a commented controller.yml, from flags or questions."),
    "doctor": ("controller.commands.doctor", "Check this host: one line a check, with the way out."),
    "completion": ("controller.commands.completion", "Print the script that lets a shell complete these commands."),
    "engine-proxy": ("controller.commands.engine_proxy", "Let through only the calls of an engine that are needed."),
    "healthcheck": ("controller.commands.healthcheck", "Ask a running controller whether it lives: 0 or 1."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table, which is the order of use."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command object of `cmd_name`, which every module names `command`."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)  # noqa: S101 - tells the type checker what the table promises
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As usual, but an unknown command names the nearest one."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            import difflib

            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[shell_completion.CompletionItem]":
        """Names from the table: importing every command for its help would be felt at each press of the key."""
        from click import shell_completion

        found = [
            shell_completion.CompletionItem(name, help=text)
            for name, (_, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="artifact-controller", message="%(prog)s %(version)s")
def root() -> None:
    """Keep an artifact-first serverless stack on Docker converged with its source."""


def main() -> None:
    """The entry point: run, then exit with the documented code (docs/exit-codes.md)."""
    # A one-shot process: what it allocates lives until it ends, so looking for cycles only costs time.
    gc.disable()
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before the signals were ours
        code = _INTERRUPTED
    gc.freeze()  # the interpreter collects once more at its end, disabled or not: a seventh of a pass, for nothing
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code. Never raises, so that no traceback shows local values."""
    output.prepare_streams()
    interruption = signals.Interruption()
    interruption.install()
    printer = output.Printer()
    try:
        code: Any = root.main(arguments, prog_name="controller", standalone_mode=False, obj=interruption)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx:
            printer.failure([error.ctx.get_usage()])
        _print_failure(errors.ControllerError("Usage", " ".join(error.format_message().split())), arguments)
        return errors.USAGE
    except errors.ControllerError as error:
        _print_failure(error, arguments)
        return error.meaning.exit_code
    except errors.Interrupted as interrupted:
        from controller import docker_child

        docker_child.terminate_children()  # what waits for an engine must not outlive the one who asked (faults.md P8)
        printer.failure([f"stopped: {interrupted}, with the work cut short; nothing half-written is visible"])
        return interrupted.exit_code
    except Exception as error:  # the one place that takes everything: a bug still ends with a code and a hint
        printer.failure(traceback.format_exc().splitlines())
        printer.failure(output.failure_lines("Bug", type(error).__name__))
        return errors.BUG
    return code if isinstance(code, int) else errors.OK


def _print_failure(error: errors.ControllerError, arguments: list[str]) -> None:
    """An error as people read it, and in the form that was asked for."""
    form = choice.of_arguments(arguments)
    output.show_error(error, output.Printer(as_json=form is choice.Form.JSON))
    if form in choice.FOR_MACHINES:
        from controller.outputs import answers, endings

        ending = endings.of_error(error)
        answers.tell(form, endings.Run(choice.step_of(arguments), ending.exit_code, (ending,)))


if __name__ == "__main__":
    main()
