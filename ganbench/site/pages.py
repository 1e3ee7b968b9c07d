"""Writes the pages of the board, of all results, of each task, and of comparisons."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ganbench import registry
from ganbench.board import text
from ganbench.board.entry import BoardEntry
from ganbench.board.overall import LEVELS
from ganbench.board.ranking import Board
from ganbench.results import store
from ganbench.site import charts, entry_page, thumbnails
from ganbench.site.content import Content, Line
from ganbench.site.render import Renderer
from ganbench.system.files import write

MOST_ROWS = 100  # of a task and a track, on the page of all results
MOST_TRIED = 5  # entries whose samples are looked for


def assets(folder: Path) -> None:
    """Styles, scripts and libraries."""
    from plotly.offline import get_plotlyjs

    with resources.as_file(resources.files("ganbench.site") / "static") as static:
        for file in (path for path in static.rglob("*") if path.is_file()):
            name = file.relative_to(static).as_posix().removeprefix("vendor/")
            write(folder / name, file.read_bytes())
    write(folder / "plotly.min.js", get_plotlyjs().encode())


def board(renderer: Renderer, content: Content, root: Path, problems: Sequence[str]) -> None:
    """The first page: the board over all tasks, and the tasks."""
    over = content.overall
    seeds: dict[str, list[float]] = {}
    for each in (content.boards[task] for task in over.tasks):
        for row in each.ranked + each.references:
            seeds.setdefault(row.entry.name, []).extend(s for s in row.scores if s is not None)
    total = sum(len(own) for own in content.lines.values())
    renderer.page(
        "board.html",
        "index.html",
        page="board",
        overall=over,
        levels=LEVELS,
        scores=charts.over_all(over) if over.ranked else None,
        profile=charts.profile(over, seeds) if over.tasks else None,
        urls={name: line.url for own in content.lines.values() for name, line in own.items()},
        counts={
            "entries": _counted(total, "entry", "entries"),
            "tasks": _counted(len(content.lines), "task", "tasks"),
        },
        tasks=[_card(renderer, content, root, task) for task in content.lines],
        problems=problems,
    )


def results(renderer: Renderer, content: Content) -> None:
    """The page of every result."""
    chosen = {
        task: _first(own.values(), len(content.facts.tracks)) for task, own in content.lines.items()
    }
    renderer.page(
        "results.html",
        "results.html",
        page="results",
        rows=[line for lines in chosen.values() for line in lines],
        left_off=any(len(chosen[task]) < len(own) for task, own in content.lines.items()),
        most=MOST_ROWS,
    )


def _card(renderer: Renderer, content: Content, root: Path, task: str) -> dict[str, Any]:
    """A task and its best entry, with pictures of real samples and of the best that has some."""
    ranked = content.boards[task].ranked[:MOST_TRIED]
    made = of = None
    for row in ranked:
        path = store.path_of(root, task, row.entry.name)
        if made := thumbnails.generated(renderer.folder, path):
            of = row.entry.name
            break
    return {
        "name": task,
        "url": f"task/{task}.html",
        "summary": _summaries().get(task),
        "count": _counted(len(content.lines[task]), "entry", "entries"),
        "real": thumbnails.real(renderer.folder, task),
        "made": made,
        "made_by": of,
        "best": ranked[0] if ranked else None,
    }


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


def task(renderer: Renderer, content: Content, root: Path, name: str) -> None:
    """A task's page; time is drawn for the hardware that has most entries."""
    board = content.boards[name]
    paths = [store.path_of(root, name, row.entry.name) for row in board.ranked[:MOST_TRIED]]
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
        view_of={metric: view for view, metric in board.standard.views.items()},
        tracked=board.standard.tracked,
        modes=board.all_modes is not None,
        distribution=entry_page.distribution(name, paths),
        unplaced=text.unplaced(board.standard.metrics),
        scores=charts.scores(board) if board.ranked else None,
        progress=_progress(content, board, timed, shown) if shown else None,
        hardware=timed.hardware,
        rows=list(content.lines[name].values()),
    )


def _progress(
    content: Content, board: Board, timed: Board, shown: Sequence[BoardEntry]
) -> charts.Figure:
    return charts.progress(
        shown,
        content.facts.quality,
        tracked=board.standard.tracked,
        hardware=timed.hardware or "",
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
