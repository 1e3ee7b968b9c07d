"""`ganbench reproduce`: published figures, measured again under their own protocols."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ganbench import reproduce as protocols
from ganbench.cli.options import (
    Asked,
    json_option,
    out_option,
    quiet_option,
    spec_options,
    workers_option,
)
from ganbench.cli.progress import IMPORTING, show_progress, working
from ganbench.cli.run_commands import stopping
from ganbench.errors import printable
from ganbench.system.limits import MOST_SEEDS


@click.command()
@spec_options("budget", "steps", "device", "compiled")
@click.argument("name", required=False)
@click.option(
    "--seeds",
    type=click.IntRange(1, MOST_SEEDS),
    help="Runs of each row.  [default: as published]",
)
@click.option("--only", multiple=True, metavar="ROW", help="A row of the table; may be repeated.")
@workers_option
@out_option
@json_option
@quiet_option
def reproduce(
    asked: Asked,
    name: str | None,
    seeds: int | None,
    only: tuple[str, ...],
    workers: int | None,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure published figures again, under the protocol NAME that they were published with.

    Goes on from where it was stopped. Without a NAME, lists the protocols.
    """
    if name is None:
        _list(as_json)
        return
    protocols.check(name)
    with working(IMPORTING, quiet=quiet):
        from ganbench.reproduce.protocol import Asked as Wanted

        protocol = protocols.load(name)
    with stopping() as stop, show_progress(named=True, lines=False, quiet=quiet) as report:
        found = protocol.run(
            Wanted(
                out=out,
                seeds=seeds,
                only=only,
                workers=workers,
                how=asked.fields,
                tell=lambda line: None if quiet or not line else click.echo(line, err=True),
                report=report,
                stop=stop,
            )
        )
    if as_json:
        click.echo(json.dumps(found.document, allow_nan=False))
    else:
        from ganbench.cli.fitting import console, print_table

        terminal = console()
        rows = [(cells, None) for cells in found.table]
        print_table(terminal, found.title, rows, spare=("real data",), words=("quantity",))
        for note in found.notes:
            terminal.print(note, soft_wrap=True)
        for picture in found.pictures:
            terminal.print(f"picture   {printable(picture)}", soft_wrap=True)
    sys.exit(0 if found.whole else 1)


def _list(as_json: bool) -> None:
    """The protocols, each with its source and how long it takes."""
    with working(IMPORTING):
        known = [protocols.load(name) for name in protocols.NAMES]
    rows = [
        {
            "name": each.name,
            "summary": each.summary,
            "source": each.source,
            "takes": each.duration(),
        }
        for each in known
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        click.echo(f"{row['name']}\n  {row['summary']}\n  {row['source']}; {row['takes']}")


COMMANDS = (reproduce,)
