"""Writes the pages of the board, of its tasks, and the one that compares two entries."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from ganbench import registry
from ganbench.board import text
from ganbench.site import charts
from ganbench.site.content import Content, Line
from ganbench.site.render import Renderer

MOST_ROWS = 100  # of a task and a track, on the page of all tasks


def assets(folder: Path) -> None:
    """Styles, scripts and libraries."""
    from plotly.offline import get_plotlyjs

    with resources.as_file(resources.files("ganbench.site") / "static") as static:
        shutil.copytree(static, folder, ignore=shutil.ignore_patterns("vendor"))
        shutil.copytree(static / "vendor", folder, dirs_exist_ok=True)
    (folder / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")


def board(renderer: Renderer, content: Content, problems: Sequence[str]) -> None:
    """The page of all tasks."""
    summaries = _summaries()
    chosen = {
        task: _first(own.values(), len(content.facts.tracks)) for task, own in content.lines.items()
    }
    tasks = [
        {
            "name": task,
            "url": f"task/{task}.html",
            "summary": summaries.get(task),
            "count": _counted(len(own), "entry", "entries"),
        }
        for task, own in content.lines.items()
    ]
    total = sum(len(own) for own in content.lines.values())
    renderer.page(
        "board.html",
        "index.html",
        page="board",
        rows=[line for lines in chosen.values() for line in lines],
        left_off=any(len(chosen[task]) < len(own) for task, own in content.lines.items()),
        most=MOST_ROWS,
        counts={
            "entries": _counted(total, "entry", "entries"),
            "tasks": _counted(len(tasks), "task", "tasks"),
        },
        tasks=tasks,
        problems=problems,
    )


def comparison(renderer: Renderer, content: Content) -> None:
    """The page that compares two entries."""
    names = {name for own in content.lines.values() for name in own}
    renderer.page(
        "compare.html",
        "compare.html",
        page="compare",
        names=content.compared,
        left_off=len(names) > len(content.compared),
        data=content.comparisons,
    )


def task(renderer: Renderer, content: Content, name: str) -> None:
    """A task's page; time is drawn for the hardware that has most entries."""
    board = content.boards[name]
    timed = max(content.timed[name], key=lambda each: len(each.ranked))
    on_it = {row.entry.name for row in timed.ranked}
    shown = [row.entry for row in board.ranked if row.entry.name in on_it]
    renderer.page(
        "task.html",
        f"task/{name}.html",
        name=name,
        task_version=board.standard.version,
        summary=_summaries().get(name),
        metrics=board.standard.metrics,
        unplaced=text.unplaced(board.standard.metrics),
        scores=charts.scores(board) if board.ranked else None,
        progress=charts.progress(shown, content.facts.quality) if shown else None,
        hardware=timed.hardware,
        rows=list(content.lines[name].values()),
    )


@functools.cache
def _summaries() -> dict[str, str]:
    return {row.name: row.summary for row in registry.listing("tasks")}


def _first(lines: Iterable[Line], tracks: int) -> list[Line]:
    """The first of each track, all of them in the order of the first track."""
    every = list(lines)
    chosen: dict[str, Line] = {}
    for track in range(tracks):
        on_it = [line for line in every if line.ranks[track].text]
        on_it.sort(key=lambda line: line.ranks[track].order)
        chosen |= {line.entry.name: line for line in on_it[:MOST_ROWS]}
    return sorted(chosen.values(), key=lambda line: line.ranks[0].order)


def _counted(count: int, one: str, several: str) -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {several}"
