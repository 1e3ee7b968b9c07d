"""The board over all tasks as a table: for a terminal, as CSV, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from ganbench.board.overall import LEVELS
from ganbench.board.text import height, ranked_by, ranks, score, share, with_interval
from ganbench.cli.fitting import Styled, console, print_markdown, print_table
from ganbench.errors import one_line

if TYPE_CHECKING:
    from ganbench.board.overall import Overall, Standing

MOST_NAMED = 10  # entries that no table shows
HALF = 0.5  # scores from here on stand in the better colour


def print_overall(board: Overall, top: int, *, markdown: bool = False) -> None:
    """Each of the first entries over all tasks; those that lack tasks below, with the number."""
    if markdown:
        _print_markdown(board, top)
        return
    out = console()
    if not board.tasks:
        return  # the boards of tasks, which are shown then, say why nothing is ranked
    rows = board.rows
    tuned = any(row.tuning_trials for row in rows)
    styled: list[Styled] = []
    for row in rows[:top]:
        own: dict[str, str | Text] = {**cells(board, row), "tasks": _tasks(board, row)}
        if not tuned:
            del own["trials"]
        styled.append((own, "bold" if row.group == 1 else "dim" if row.rank is None else None))
    spare = ["group", "trials", *(f"> {level:g}" for level in LEVELS), "won-tied-lost"]
    count = "1 task" if len(board.tasks) == 1 else f"{len(board.tasks)} tasks"
    of = "" if board.by is None else f", of the position of {one_line(board.by)}"
    print_table(
        out,
        f"mean over {count}{of}",
        styled,
        spare=spare,
        words=("entry",),
        hint="; --csv prints them",
    )
    if len(rows) > top:
        out.print(f"{len(rows) - top:,} more: --top {len(rows)}")
    out.print(f"tasks: {', '.join(board.tasks)}", soft_wrap=True)
    out.print("a task's mark is as high as the score, x below 0, · not run or not ranked")
    out.print("rank: 95 % interval; bold: who leads, and who cannot be told from the leader")
    if any(row.apart and not row.lacks for row in rows):
        out.print("sources: trained from files that differ between tasks, so there is no mean")
    if board.unranked:
        names = ", ".join(map(one_line, board.unranked[:MOST_NAMED]))
        more = f" and {len(board.unranked) - MOST_NAMED} more" * (len(board.unranked) > MOST_NAMED)
        out.print(f"ranked on no task: {names}{more}", soft_wrap=True)
    out.print("one task: --task NAME; every task's own board: --each")


def cells(board: Overall, row: Standing) -> dict[str, str]:
    """What a table says of an entry, by the head of the column."""
    contests = row.won + row.tied + row.lost
    return {
        "rank": _rank(row),
        "group": "-" if row.group is None else f"{row.group}",
        "entry": row.name,
        "trials": f"{row.tuning_trials}",
        f"{ranked_by(board.by)} (mean, 95 %)": with_interval(row.score, row.interval),
        "tasks": "".join(height(row.scores.get(task)) for task in board.tasks),
        "won-tied-lost": f"{row.won}-{row.tied}-{row.lost}" if contests else "-",
        **{f"> {level:g}": share(above) for level, above in zip(LEVELS, row.profile, strict=True)},
    }


def _rank(row: Standing) -> str:
    return row.apart or ("reference" if row.rank is None else ranks(row.rank))


def _tasks(board: Overall, row: Standing) -> Text:
    """A coloured mark for each task."""
    drawn = Text()
    for task in board.tasks:
        found = row.scores.get(task)
        style = "dim" if found is None else "red" if found < 0 else ""
        drawn.append(height(found), style or ("blue" if (found or 0) >= HALF else "yellow"))
    return drawn


def line(board: Overall, row: Standing) -> dict[str, Any]:
    """What the table of comma-separated values says of an entry."""
    (low, high), (rank_low, rank_high) = row.interval or (None, None), row.rank or (None, None)
    return {
        "task": "all",
        "by": one_line(board.by or "score"),
        "rank_low": rank_low,
        "rank_high": rank_high,
        "group": row.group,
        "unranked": None if row.rank else _rank(row),
        "entry": row.name,
        "tuning_trials": row.tuning_trials,
        "score": row.score,
        "score_low": low,
        "score_high": high,
        "tasks": len(row.scores),
        "won": row.won,
        "tied": row.tied,
        "lost": row.lost,
    }


def _print_markdown(board: Overall, top: int) -> None:
    """A column for each task."""
    lines = []
    for row in board.rows[:top]:
        own = {name: text for name, text in cells(board, row).items() if name != "tasks"}
        lines.append(own | {task: score(row.scores.get(task)) for task in board.tasks})
    print_markdown(lines)
