"""The board and comparisons as tables: for a terminal, as CSV, as Markdown."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ganbench.board.standard import FAILS
from ganbench.board.text import (
    number,
    rank_text,
    ranked_by,
    score,
    share,
    time_text,
    unplaced,
    verdicts_text,
    with_interval,
)
from ganbench.cli import fitting
from ganbench.cli.fitting import Styled, console, print_table
from ganbench.errors import one_line
from ganbench.scoring import clear_position

if TYPE_CHECKING:
    from rich.console import Console

    from ganbench.board.entry import BoardEntry
    from ganbench.board.ranking import Board, Row
    from ganbench.results.stats import Comparison

GAP = "gap to hidden (95 %)"


def print_boards(boards: Sequence[Board], sort: str, top: int, *, metrics: bool) -> None:
    """Each task's first entries; those that are not ranked below, with the reason.

    `metrics` adds a table of all metrics, of as many entries as there is room for.
    """
    out = console()
    if not boards:
        out.print("no results yet")
    for board in boards:
        rows = board.sorted(sort)
        _print_board(out, board, rows[:top])
        if len(rows) > top:
            out.print(f"{len(rows) - top:,} more: --top {len(rows)}")
        if metrics:
            _print_metrics(out, board, rows[:top])
    if any(board.ranked for board in boards):
        out.print("rank: 95 % interval; bold: who leads, and who cannot be told from the leader")
    if any(board.references for board in boards):
        out.print("reference: to be compared with, takes no rank")
    if any(row.entry.local for board in boards for row in board.apart):
        out.print("local: your own run of an entry that is published; `ganbench submit` takes it")
    for row in (row for board in boards for row in board.apart if row.apart == FAILS):
        out.print(f"{FAILS}: {row.entry.task}/{row.entry.name}: {row.entry.wrong}", soft_wrap=True)


def _print_board(out: Console, board: Board, rows: Sequence[Row]) -> None:
    title = [board.task, f"version {board.standard.version}"]
    title += [] if board.hardware is None else [one_line(board.hardware)]
    title += [] if board.by is None else [f"ranked by the position of {one_line(board.by)}"]
    tuned = any(row.entry.tuning_trials for row in board.rows)
    styled: list[Styled] = []
    for row in rows:
        cells = row_cells(board, row)
        if not tuned:
            del cells["trials"]
        styled.append((cells, "bold" if row.group == 1 else "dim" if row.apart else None))
    time = [] if board.track == "time" else [_time_head(board)]
    views = [] if board.by is None else list(board.standard.views)
    spare = ["group", "device", "steps/s", "trials", *views, *time, "verdict", "seeds"]
    spare += [*list(board.standard.views)[::-1], GAP]
    hint = "; --csv prints them"
    print_table(out, ", ".join(title), styled, spare=spare, words=("entry",), hint=hint)


def _print_metrics(out: Console, board: Board, rows: Sequence[Row]) -> None:
    """Where the metrics lie: 1 at the floor, 0 at the ceiling; a row each, a column an entry."""
    found = {row.entry.name: positions(row.entry) for row in rows}
    styled: list[Styled] = [
        (
            {"position of": one_line(name)}
            | {entry: score(own.get(name)) for entry, own in found.items()},
            None,
        )
        for name in board.standard.metrics
    ]
    title = f"{board.task}: 1 is real data, 0 a naive sampler"
    spare = [row.entry.name for row in rows[:0:-1]]
    print_table(out, title, styled, spare=spare, hint="; --csv --metrics prints them")
    if line := unplaced(board.standard.metrics):
        out.print(line, soft_wrap=True)


def positions(entry: BoardEntry) -> dict[str, float | None]:
    """Where an entry's metrics lie, where that is clear."""
    return {name: clear_position(each["value"], each) for name, each in entry.metrics.items()}


def row_cells(board: Board, row: Row) -> dict[str, str]:
    """What a table says of an entry, by the head of the column."""
    entry, speed = row.entry, row.entry.steps_per_second(row.hardware)
    modes = {} if board.all_modes is None else {"all modes": share(entry.all_modes)}
    gap = {GAP: with_interval(*_gap(entry))} if any(r.entry.hidden_gap for r in board.rows) else {}
    return {
        "rank": rank_text(row),
        "group": "-" if row.group is None else f"{row.group}",
        "entry": entry.name,
        "trials": f"{entry.tuning_trials}",
        "seeds": f"{len(entry.seeds)}" + (f" ({entry.failed} not ok)" if entry.failed else ""),
        f"{ranked_by(board.by)} (IQM, 95 %)": with_interval(row.score, row.interval),
        **{view: score(entry.positions.get(view)) for view in board.standard.views},
        **modes,
        **gap,
        "verdict": verdicts_text(entry.verdicts),
        _time_head(board): time_text(row.time),
        "steps/s": "-" if speed is None else f"{speed:,.0f}",
        "device": one_line(entry.device),
    }


def _gap(entry: BoardEntry) -> tuple[float | None, list[float] | None]:
    """How much lower it scores on hidden parameters, and the interval of that."""
    return (None, None) if entry.hidden_gap is None else (entry.hidden_gap[0], entry.hidden_gap[1:])


def _time_head(board: Board) -> str:
    return f"s to {one_line(board.standard.tracked)} {board.quality:g}"


def print_csv(
    boards: Sequence[Board], sort: str, *, metrics: bool, first: Sequence[Mapping[str, Any]] = ()
) -> None:
    """All boards as one table of plain numbers, each in a column; empty where there is none.

    Before them the lines of `first`.
    """
    own = [_line(board, row, metrics) for board in boards for row in board.sorted(sort)]
    lines = [*first, *own]
    heads = list(dict.fromkeys(head for line in [*own, *first] for head in line))
    if lines:
        writer = csv.DictWriter(sys.stdout, heads, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def _line(board: Board, row: Row, metrics: bool) -> dict[str, Any]:
    entry, (rank_low, rank_high) = row.entry, row.rank or (None, None)
    low, high = row.interval or (None, None)
    tracked = entry.metrics.get(board.standard.tracked)
    gap, gap_interval = _gap(entry)
    gap_low, gap_high = gap_interval or (None, None)
    line = {
        "task": board.task,
        "version": entry.version,
        "track": board.track,
        "rank_low": rank_low,
        "rank_high": rank_high,
        "group": row.group,
        "unranked": row.apart,
        "entry": entry.name,
        "tuning_trials": entry.tuning_trials,
        "seeds": len(entry.seeds),
        "failed": entry.failed,
        "by": one_line(board.by or "score"),
        "score": row.score,
        "score_low": low,
        "score_high": high,
        **{view: entry.positions.get(view) for view in board.standard.views},
        "all_modes": entry.all_modes,
        "hidden_gap": gap,
        "hidden_gap_low": gap_low,
        "hidden_gap_high": gap_high,
        "metric": one_line(board.standard.tracked),
        "value": tracked["value"] if tracked else None,
        "quality": board.quality,
        "seconds_to_quality": row.time.restricted_mean if row.time.reached else None,
        "reached": row.time.reached,
        "steps_per_second": entry.steps_per_second(row.hardware),
        "steps": entry.steps,
        "budget": entry.budget,
        "device": one_line(entry.device),
        "hardware": one_line(row.hardware),
    }
    if metrics:
        for name, place in positions(entry).items():
            line[f"{one_line(name)}_value"] = entry.metrics[name]["value"]
            line[f"{one_line(name)}_position"] = place
    return line


def print_markdown(boards: Sequence[Board], sort: str, top: int, *, metrics: bool) -> None:
    """The first of all boards as one table to be read; `metrics` adds a column for each."""
    lines = []
    for board in boards:
        for row in board.sorted(sort)[:top]:
            line = {"task": board.task}
            if board.hardware is not None:
                line["hardware"] = one_line(board.hardware)
            line |= row_cells(board, row)
            if metrics:
                own = positions(row.entry)
                line |= {f"{one_line(k)}, position": score(own.get(k)) for k in own}
            lines.append(line)
    fitting.print_markdown(lines)


def print_comparison(
    names: tuple[str, str], comparisons: Mapping[str, Comparison], skipped: Sequence[str]
) -> None:
    """Task by task and over all: difference, chance to be better, seeds that would tell."""
    rows: list[Styled] = []
    for task, found in comparisons.items():
        low, high = (score(end, "+") for end in found.interval)
        cells = {
            "task": task,
            "difference (IQM, 95 %)": f"{score(found.difference, '+')} [{low}, {high}]",
            "p": number(found.p_value),
            "P(A > B)": f"{found.improvement:.2f}",
            "seeds": str(found.seeds),
            "verdict": _verdict(found),
            "seeds needed": "> 10,000" if found.seeds_needed is None else f"{found.seeds_needed:,}",
        }
        rows.append((cells, "bold" if task == "all" else None))
    out = console()
    spare = ("seeds", "P(A > B)", "seeds needed", "p")
    print_table(
        out, f"A = {names[0]}, B = {names[1]}", rows, spare=spare, hint="; --json prints them"
    )
    out.print("seeds needed: to tell them apart with a chance of 0.8, if the difference is real")
    for line in skipped:
        out.print(line, soft_wrap=True)


def _verdict(found: Comparison) -> str:
    if not found.told_apart:
        return "not told apart"
    return "A is better" if found.difference > 0 else "B is better"
