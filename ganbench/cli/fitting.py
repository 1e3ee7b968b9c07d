"""Tables as wide as the terminal: what does not fit is left out, and a line says what."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganbench.errors import one_line

PIPED = 140  # columns where there is no terminal and COLUMNS says nothing; 80 would cut the tables

Cells = Mapping[str, str | Text]  # of a row, by the head of the column
Styled = tuple[Cells, str | None]  # with rich's name of a style


def console() -> Console:
    """Standard output, which takes what came with a result for text, never for markup."""
    made = Console(highlight=False, markup=False, emoji=False)
    if made.is_terminal or "COLUMNS" in os.environ:
        return made
    return Console(highlight=False, markup=False, emoji=False, width=PIPED)


def print_table(
    out: Console,
    title: str,
    rows: Sequence[Styled],
    *,
    spare: Sequence[str] = (),
    words: Sequence[str] = (),
    hint: str = "",
) -> None:
    """Print rows, all with the columns of the first: numbers, but on the left and for `words`.

    Where they do not fit, the first of `spare` are left out, which a line says; `hint` names what
    prints them. If they still do not, the widest column is folded.
    """
    heads, left_out = list(rows[0][0]), []
    for head in spare:
        if _taken(_widths(heads, rows)) <= out.width:
            break
        if head in heads:
            heads.remove(head)
            left_out.append(head)
    widths = _widths(heads, rows)
    fits, widest = _taken(widths) <= out.width, max(widths, key=widths.__getitem__)
    table = Table(title=one_line(title, 200), title_justify="left", title_style="bold")
    for place, head in enumerate(heads):
        table.add_column(
            head,
            justify="left" if place == 0 or head in words else "right",
            no_wrap=fits or head != widest,
            overflow="fold",
        )
    for cells, style in rows:
        table.add_row(*(cells[head] for head in heads), style=style)
    out.print(table)
    if left_out:
        out.print(f"left out, as {out.width} columns are too few: {', '.join(left_out)}{hint}")


def print_markdown(lines: Sequence[Mapping[str, str]]) -> None:
    """Print a table in Markdown, of all heads; empty where a line has nothing."""
    if not lines:
        return
    heads = list(dict.fromkeys(head for line in lines for head in line))
    table = [
        heads,
        ["---"] * len(heads),
        *([line.get(head, "") for head in heads] for line in lines),
    ]
    for row in table:
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")


def _widths(heads: Sequence[str], rows: Sequence[Styled]) -> dict[str, int]:
    return {
        head: max(cell_len(head), *(cell_len(str(cells[head])) for cells, _ in rows))
        for head in heads
    }


def _taken(widths: Mapping[str, int]) -> int:
    """Columns of the terminal, with the frame."""
    return sum(widths.values()) + 3 * len(widths) + 1
