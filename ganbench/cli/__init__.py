"""The command line: parses, calls one function, prints. Imports torch only where it is needed."""

from __future__ import annotations

import atexit
import gc
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
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
from ganbench.errors import MOST_LINE, InputError, one_line, printable

ENDLESS = re.compile(r"(\S{300})\S+")


class Group(click.Group):
    """Turns an InputError into one line and exit code 2; `--debug` shows the traceback."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what no file can be called, which functions of the system refuse otherwise."""
        if any("\0" in each for each in args):
            raise click.UsageError("an argument holds a NUL character", ctx)
        with _printable_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with _printable_errors():
                return super().invoke(ctx)
        except InputError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            for line in f"Error: {error}".splitlines():  # several of a sweep's file
                click.echo(_shown(line), err=True)
            ctx.exit(2)
        except OSError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            place = f"{error.filename}: " if error.filename else ""
            click.echo(_shown(f"Error: {place}{error.strerror or error}"), err=True)
            ctx.exit(2)


@contextmanager
def _printable_errors() -> Iterator[None]:
    """What click says of odd arguments, it says as they are: have them printable."""
    try:
        yield
    except click.UsageError as error:
        said = error.format_message()
        shown = "\n".join(map(printable, said.splitlines()))
        if shown == said:
            raise
        raise click.UsageError(shown, error.ctx) from error


def _shown(line: str) -> str:
    """A line that can be printed: of a word without end its beginning, so that the rest is seen."""
    return one_line(ENDLESS.sub(r"\1…", line), MOST_LINE)


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
