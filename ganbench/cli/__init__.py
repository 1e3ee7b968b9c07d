"""The command line: parses, calls one function, prints. Imports torch only where it is needed."""

from __future__ import annotations

import atexit
import gc
import traceback
from typing import Any

import click

from ganbench import __version__
from ganbench.cli import (
    board_commands,
    reproduce_command,
    run_commands,
    sweep_command,
    tool_commands,
)
from ganbench.errors import InputError


class Group(click.Group):
    """Turns an InputError into one line and exit code 2; `--debug` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except OSError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo(f"Error: {error.filename or ''}: {error.strerror or error}", err=True)
            ctx.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="ganbench")
def main(debug: bool) -> None:
    """Train, judge and compare generative adversarial networks."""
    # Else the last collection walks all that torch has made, which takes half a second.
    atexit.register(gc.freeze)


for module in (run_commands, sweep_command, reproduce_command, tool_commands, board_commands):
    for command in module.COMMANDS:
        main.add_command(command)
