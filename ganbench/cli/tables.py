"""Results as tables for a terminal."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ganbench.board.text import ARROWS, number, rank_text, time_text
from ganbench.results.schema import Summary, mean_speed
from ganbench.scoring import clear_position

if TYPE_CHECKING:
    from ganbench.audit import Finding
    from ganbench.board.entry import BoardEntry
    from ganbench.board.ranking import Board, Row
    from ganbench.harness.bench import Bench
    from ganbench.harness.entries import Finished
    from ganbench.results.stats import Comparison

MOST_COLUMNS = 6  # entries of a table of metrics


def print_result(finished: Finished) -> None:
    """The metrics of a finished run between floor and ceiling, then where everything lies."""
    result, console = finished.result, _console()
    count = len(result.seeds)
    budget = result.protocol.budget
    title = f"{result.entry.name} on {result.task.name}: {_seeds(count)}, {budget} budget"
    table = _table(title, "metric", "value", "floor (real)", "ceiling (naive)", "position")
    for name, info in result.task.metrics.items():
        summary = result.summary[name]
        place = _position(summary.iqm, info.floor, info.ceiling, info.noise)
        label = f"{name} {ARROWS[info.direction]}"
        style = "bold" if name == result.ranking else None
        cells = (_with_std(summary), number(info.floor), number(info.ceiling), place)
        table.add_row(label, *cells, style=style)
    console.print(table)
    score = result.summary["score"]
    console.print(f"score {_interval(score.iqm, score.ci95)}: 1 is real data, 0 a naive sampler")
    speed = mean_speed(finished.seeds)
    if speed is not None:
        console.print(f"{speed:,.0f} steps/s on {result.protocol.device}, one thread a seed")
    console.print(f"result    {finished.path}", soft_wrap=True, highlight=False)
    for picture in finished.pictures:
        console.print(f"picture   {picture}", soft_wrap=True, highlight=False)


def print_sweep(finished: Sequence[Finished]) -> None:
    """Settings of one baseline beside one another: quality, stability, time."""
    first = finished[0].result
    title = f"{first.task.name}: {len(finished)} settings, {_seeds(len(finished[0].seeds))} each"
    arrow = ARROWS[first.task.metrics[first.ranking].direction]
    columns = ("score (IQM, 95 %)", "std", f"{first.ranking} {arrow}", "ok", "steps/s", "seconds")
    table = _table(title, "entry", *columns)
    best = max(finished, key=lambda each: _or_lowest(each.result.summary["score"].iqm))
    for each in finished:
        score, seeds = each.result.summary["score"], each.seeds
        speed = mean_speed(seeds)
        cells = (
            _interval(score.iqm, score.ci95),
            number(score.std),
            number(each.result.summary[first.ranking].iqm),
            f"{sum(seed.status == 'ok' for seed in seeds)}/{len(seeds)}",
            "-" if speed is None else f"{speed:,.0f}",
            f"{sum(seed.timing.train_seconds for seed in seeds) / len(seeds):.1f}",
        )
        style = "bold" if _meets(score, best.result.summary["score"]) else None
        table.add_row(each.result.entry.name, *cells, style=style)
    console = _console()
    console.print(table)
    console.print("bold: the best score, and those whose interval meets its own; seconds a seed")
    for each in finished:
        console.print(f"result    {each.path}", soft_wrap=True, highlight=False)


def print_evaluation(document: Mapping[str, Any]) -> None:
    """What `ganbench evaluate` found."""
    console = _console()
    title = f"{document['n']} samples on {document['task']}"
    table = _table(title, "metric", "value", "floor (real)", "ceiling (naive)", "position")
    for name, m in document["metrics"].items():
        place = _position(m["value"], m["floor"], m["ceiling"], m["noise"])
        cells = (number(m["value"]), number(m["floor"]), number(m["ceiling"]), place)
        table.add_row(f"{name} {ARROWS[m['direction']]}", *cells)
    console.print(table)
    console.print(f"score {document['score']:.3f}: 1 is real data, 0 a naive sampler")


def print_audit(task: str, findings: Sequence[Finding]) -> None:
    """Every promise of the metrics on one task, whether it was kept, and what was seen."""
    table = _table(f"audit on {task}", "metric", "promise", "kept", "seen")
    table.columns[-1].justify = "left"
    before = None
    for finding in findings:
        name = finding.quantity if finding.quantity != before else ""
        before = finding.quantity
        cells = (finding.promise, "yes" if finding.kept else "NO", finding.seen)
        table.add_row(name, *cells, style=None if finding.kept else "bold red")
    _console().print(table)


def print_bench(found: Sequence[Bench]) -> None:
    """Speeds, how much of the machine's own rate of products they take, and where time goes."""
    first = found[0]
    title = f"{first.baseline}: {_seeds(first.seeds)} on {first.device}, workers: {first.workers}"
    parts = list(dict.fromkeys(part for each in found for part in each.shares))
    table = _table(title, "task", "seed-steps/s", "GFLOP/s", "of matmul", "MiB", *parts)
    for each in found:
        settings = ", ".join(f"{key}={value}" for key, value in each.hparams.items())
        table.add_row(
            f"{each.task} {settings}".strip(),
            f"{each.seed_steps_per_second:,.0f}",
            f"{each.gflops:.3g}",
            f"{each.gflops / each.matmul_gflops:.1%}",
            f"{each.peak_memory_bytes / 2**20:,.0f}",
            *(f"{each.shares[part]:.1%}" if part in each.shares else "-" for part in parts),
        )
    console = _console()
    console.print(table)
    rate = max(each.matmul_gflops for each in found)
    console.print(f"matmul: {rate:.3g} GFLOP/s, products of 1024 x 1024 float32 matrices")
    console.print("on the right, shares of the time of one seed by itself")


def print_boards(boards: Sequence[Board], sort: str, top: int, *, metrics: bool) -> None:
    """Each task's first entries; those that are not ranked below, with the reason.

    `metrics` adds a table of all metrics of the first few.
    """
    console = _console()
    if not boards:
        console.print("no results yet")
    for board in boards:
        rows = board.sorted(sort)
        title = ", ".join([board.task, f"version {board.version}", *_hardware(board).values()])
        tuned = any(row.entry.tuning_trials for row in rows)
        heads = [head for head in row_cells(board, rows[0]) if tuned or head != "trials"]
        table = _table(title, *heads)
        for row in rows[:top]:
            cells = row_cells(board, row)
            style = "bold" if row.group == 1 else "dim" if row.apart else None
            table.add_row(*(cells[head] for head in heads), style=style)
        console.print(table)
        if len(rows) > top:
            console.print(f"{len(rows) - top:,} more: --top {len(rows)}")
        if metrics:
            console.print(_metrics_table(board, rows[: min(top, MOST_COLUMNS)]))
    if any(board.ranked for board in boards):
        console.print(
            "rank: 95 % interval; bold: who leads, and who cannot be told from the leader"
        )
    if any(row.entry.local for board in boards for row in board.apart):
        console.print(
            "local: your own run of an entry that is published; `ganbench submit` takes it"
        )


def _metrics_table(board: Board, rows: Sequence[Row]) -> Table:
    """Where the metrics lie: 1 at the floor, 0 at the ceiling; a row each, a column an entry."""
    title = f"{board.task}: 1 is real data, 0 a naive sampler"
    table = _table(title, "metric", *(row.entry.name for row in rows))
    positions = [_positions(row.entry) for row in rows]
    for name in rows[0].entry.metrics:
        table.add_row(name, *(own.get(name, "-") for own in positions))
    return table


def _positions(entry: BoardEntry) -> dict[str, str]:
    return {
        name: _position(each["value"], each["floor"], each["ceiling"], each["noise"])
        for name, each in entry.metrics.items()
    }


def print_boards_as(form: str, boards: Sequence[Board], sort: str, *, metrics: bool) -> None:
    """All boards as one table, in csv or markdown; `metrics` adds a column for each."""
    lines = [
        {
            "task": board.task,
            **_hardware(board),
            **row_cells(board, row),
            **({f"{k}, position": v for k, v in _positions(row.entry).items()} if metrics else {}),
        }
        for board in boards
        for row in board.sorted(sort)
    ]
    if not lines:
        return
    heads = list(dict.fromkeys(head for line in lines for head in line))
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, heads, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return
    escaped = [[line.get(head, "").replace("|", "\\|") for head in heads] for line in lines]
    for row in (heads, ["---"] * len(heads), *escaped):
        print(f"| {' | '.join(row)} |")


def _hardware(board: Board) -> dict[str, str]:
    return {} if board.hardware is None else {"hardware": board.hardware}


def row_cells(board: Board, row: Row) -> dict[str, str]:
    """What a table says of an entry, by the head of the column."""
    entry = row.entry
    ranking = entry.metrics[entry.ranking]
    return {
        "rank": rank_text(row),
        "group": "-" if row.group is None else f"{row.group}",
        "entry": entry.name,
        "trials": f"{entry.tuning_trials}",
        "seeds": _seeds_and_failures(entry),
        "score (IQM, 95 %)": _interval(entry.score, entry.interval),
        f"{entry.ranking} {ARROWS[ranking['direction']]}": number(ranking["value"]),
        f"s to {board.quality:g}": time_text(row.time),
        "steps/s": "-" if entry.steps_per_second is None else f"{entry.steps_per_second:,.0f}",
        "device": entry.device,
    }


def _seeds_and_failures(entry: BoardEntry) -> str:
    return f"{len(entry.seeds)}" + (f" ({entry.failed} not ok)" if entry.failed else "")


def print_comparison(
    names: tuple[str, str], comparisons: Mapping[str, Comparison], skipped: Sequence[str]
) -> None:
    """Task by task and over all: difference, chance to be better, seeds that would tell."""
    heads = ("difference (IQM, 95 %)", "p", "P(A > B)", "seeds", "verdict", "seeds needed")
    table = _table(f"A = {names[0]}, B = {names[1]}", "task", *heads)
    for task, found in comparisons.items():
        low, high = found.interval
        table.add_row(
            task,
            f"{found.difference:+.3f} [{low:+.3f}, {high:+.3f}]",
            number(found.p_value),
            f"{found.improvement:.2f}",
            str(found.seeds),
            _verdict(found),
            "> 10,000" if found.seeds_needed is None else f"{found.seeds_needed:,}",
            style="bold" if task == "all" else None,
        )
    console = _console()
    console.print(table)
    console.print(
        "seeds needed: to tell them apart with a chance of 0.8, if the difference is real"
    )
    for line in skipped:
        console.print(line, soft_wrap=True)


def _verdict(found: Comparison) -> str:
    if not found.told_apart:
        return "not told apart"
    return "A is better" if found.difference > 0 else "B is better"


def _or_lowest(value: float | None) -> float:
    return -math.inf if value is None else value


def _meets(summary: Summary, best: Summary) -> bool:
    if summary is best:
        return True
    return bool(summary.ci95 and best.ci95 and summary.ci95[1] >= best.ci95[0])


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _with_std(summary: Summary) -> str:
    spread = "" if summary.std is None else f" ± {summary.std:.2g}"
    return number(summary.mean) + spread


def _interval(iqm: float | None, ci95: Sequence[float] | None) -> str:
    if iqm is None:
        return "-"
    if ci95 is None:
        return f"{iqm:.3f}"
    low, high = ci95
    return f"{iqm:.3f} [{low:.3f}, {high:.3f}]"


def _position(value: float | None, floor: float, ceiling: float, noise: float) -> str:
    """Where a value lies: 1 at the floor, 0 at the ceiling; a dash where these are too close."""
    place = clear_position(value, floor, ceiling, noise)
    return "-" if place is None else f"{place:.3f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _console() -> Console:
    console = Console(highlight=False)
    # Piped output has no width of its own; 80 columns would cut the tables.
    return console if console.is_terminal else Console(highlight=False, width=140)
