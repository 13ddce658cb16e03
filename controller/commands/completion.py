"""`controller completion SHELL`: the script that lets a shell complete commands, options and names."""

from typing import Any

import click
from click import shell_completion

from controller import errors

_PROGRAM = "controller"


@click.command(short_help="Print the script that lets a shell complete these commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, /, shell: str) -> int:
    """Print the completion script of SHELL. For bash, put this into ~/.bashrc:

    eval "$(controller completion bash)"
    """
    made: Any = shell_completion.get_completion_class(shell)
    completes = made(ctx.find_root().command, {}, _PROGRAM, f"_{_PROGRAM.upper()}_COMPLETE")
    # As the base class does it: that of bash would start a bash of its own to ask for its version.
    script = shell_completion.ShellComplete.source(completes)
    if shell == "fish":  # a help text may have commas of its own
        script = script.replace('string split ","', 'string split -m 1 ","')
    click.echo(script)
    return errors.OK
