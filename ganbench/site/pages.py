"""Writes the pages of the site."""

from __future__ import annotations

import base64
import functools
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

import ganbench
from ganbench import leaderboard, registry, results, tables
from ganbench.checking import MOST_BYTES, SAMPLES, SOURCE
from ganbench.errors import InputError
from ganbench.results import MetricInfo, Result
from ganbench.site import charts
from ganbench.site.views import Line, View

MOST_ROWS = 100  # of a task and a track, on the page of all tasks


@dataclass
class Writer:
    """Writes pages into a folder and counts them."""

    folder: Path
    view: View
    problems: list[str] = field(default_factory=list)
    pages: int = 0

    def __post_init__(self) -> None:
        self._environment = _environment(self.view)

    def page(self, template: str, path: str, **content: Any) -> None:
        """Render a template into a file of the folder."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * path.count("/")
        text = self._environment.get_template(template).render(up=up, **content)
        target.write_text(text, encoding="utf-8")
        self.pages += 1

    def assets(self) -> None:
        """Styles, scripts and libraries."""
        from plotly.offline import get_plotlyjs

        static = resources.files("ganbench.site") / "static"
        with resources.as_file(static) as source:
            shutil.copytree(source, self.folder / "assets")
        for file in list((self.folder / "assets" / "vendor").iterdir()):
            file.rename(self.folder / "assets" / file.name)
        (self.folder / "assets" / "vendor").rmdir()
        (self.folder / "assets" / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")

    def board(self) -> None:
        """The page of all tasks."""
        view = self.view
        summaries = _summaries()
        chosen = {task: _first(lines, len(view.tracks)) for task, lines in view.lines.items()}
        tasks = [
            {
                "name": task,
                "url": f"task/{task}.html",
                "summary": summaries.get(task),
                "count": _counted(len(lines), "entry", "entries"),
            }
            for task, lines in view.lines.items()
        ]
        total = sum(len(lines) for lines in view.lines.values())
        self.page(
            "board.html",
            "index.html",
            page="board",
            rows=[line for lines in chosen.values() for line in lines],
            left_off=any(len(chosen[task]) < len(lines) for task, lines in view.lines.items()),
            most=MOST_ROWS,
            counts={
                "entries": _counted(total, "entry", "entries"),
                "tasks": _counted(len(tasks), "task", "tasks"),
            },
            tasks=tasks,
            problems=self.problems,
        )

    def comparison(self) -> None:
        """The page that compares two entries."""
        names = {line.entry.name for lines in self.view.lines.values() for line in lines}
        self.page(
            "compare.html",
            "compare.html",
            page="compare",
            names=self.view.compared,
            left_off=len(names) > len(self.view.compared),
            data=self.view.comparisons,
        )

    def task(self, name: str) -> None:
        """A task's page."""
        view = self.view
        board, timed = view.boards[name], view.timed.get(name, [])
        fastest = max(timed, key=lambda each: len(each.ranked), default=None)
        progress = None
        if fastest and fastest.ranked:
            ranked = {row.entry.name for row in fastest.ranked}
            best = [row.entry for row in board.ranked if row.entry.name in ranked]
            figure = charts.progress(best, view.quality)
            progress = {"figure": figure, "hardware": fastest.hardware}
        known = next((row.entry.metrics for row in board.rows), {})
        self.page(
            "task.html",
            f"task/{name}.html",
            task={
                "name": name,
                "version": board.version,
                "summary": _summaries().get(name),
                "metrics": known,
            },
            scores=charts.scores(board) if board.ranked else None,
            progress=progress,
            rows=view.lines[name],
        )

    def entry(self, path: Path) -> None:
        """The page of a result file; a line in `problems` if it cannot be shown."""
        try:
            result = results.load_result(path)
        except InputError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return
        line = self.view.line(result.task.name, result.entry.name)
        if line is None or (self.folder / line.url).exists():
            self.problems.append(f"{path}: no page, as {result.entry.name!r} is there twice")
            return
        self.page(
            "entry.html",
            line.url,
            result=result,
            line=line,
            comparable=result.entry.name in self.view.compared,
            figures=charts.learning(result),
            samples=_samples(result, path),
            metrics=[_metric(result, *each) for each in result.task.metrics.items()],
            details=_details(result),
            source=self._source(result, path),
        )

    def _source(self, result: Result, path: Path) -> str | None:
        """A copy of the source, if it is at hand and is the entry's."""
        for file in (leaderboard.attached(path) / SOURCE, *_bundled(result.entry.source)):
            if not file.is_file() or file.stat().st_size > MOST_BYTES[SOURCE]:
                continue
            if registry.file_sha256(file) == result.entry.sha256:
                target = f"source/{result.entry.sha256}.txt"
                (self.folder / "source").mkdir(exist_ok=True)
                shutil.copyfile(file, self.folder / target)
                return target
        return None


def _environment(view: View) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ganbench.site"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    filters: dict[str, Callable[[Any], str]] = {
        "score": lambda value: "-" if value is None else f"{value:.3f}",
        "count": lambda value: "-" if value is None else f"{value:,.0f}",
        "number": tables.number,
        "time": tables.time_text,
    }
    environment.filters |= filters
    environment.globals |= {
        "version": ganbench.__version__,
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "quality": f"{view.quality:g}",
        "replicates": f"{view.replicates:,}",
        "tracks": view.tracks,
        "page": "",
    }
    return environment


@functools.cache
def _summaries() -> dict[str, str]:
    return {row.name: row.summary for row in registry.listing("tasks")}


def _first(lines: Sequence[Line], tracks: int) -> list[Line]:
    """The first of each track, all of them in the order of the first track."""
    chosen: dict[str, Line] = {}
    for track in range(tracks):
        on_it = sorted(
            (x for x in lines if x.ranks[track].text), key=lambda x: x.ranks[track].order
        )
        chosen |= {line.entry.name: line for line in on_it[:MOST_ROWS]}
    return sorted(chosen.values(), key=lambda line: line.ranks[0].order)


def _counted(count: int, one: str, several: str) -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {several}"


def _metric(result: Result, name: str, info: MetricInfo) -> dict[str, Any]:
    summary = result.summary[name]
    told = summary.iqm is not None and abs(info.floor - info.ceiling) >= 3 * info.noise
    ends = [tables.number(end) for end in summary.ci95 or ()]
    return {
        "name": name,
        "arrow": tables.ARROWS[info.direction],
        "value": summary.iqm,
        "interval": " to ".join(ends) or "-",
        "floor": info.floor,
        "ceiling": info.ceiling,
        "position": info.position(summary.iqm) if told and summary.iqm is not None else None,
    }


def _details(result: Result) -> dict[str, dict[str, str]]:
    entry, protocol = result.entry, result.protocol
    source = {
        "file": entry.source,
        "sha256": entry.sha256,
        "commit": entry.git_commit,
        "uncommitted changes": entry.dirty,
        "ganbench": result.ganbench_version,
        "at": result.created_at,
    }
    parts = {
        "Hyper-parameters": {name: str(value) for name, value in entry.hparams.items()},
        "Budget": protocol.model_dump(),
        "Machine": result.machine.model_dump(),
        "Source": source,
    }
    return {
        title: {name: _plain(value) for name, value in facts.items() if value is not None}
        for title, facts in parts.items()
    }


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _bundled(source: str) -> Iterator[Path]:
    name = Path(source).stem
    if source.startswith("baselines/") and name in registry.names("baselines"):
        yield registry.find("baselines", name)


def _samples(result: Result, path: Path) -> dict[str, Any] | None:
    """The chart or the walls of the first seed's samples beside real ones; None without any."""
    file = leaderboard.attached(path) / SAMPLES
    if not file.is_file() or result.task.name not in registry.names("tasks"):
        return None
    from ganbench import samples  # imports torch

    if file.stat().st_size > MOST_BYTES[SAMPLES]:
        return {"note": "The samples that came with it are too large."}
    try:
        seed, made = samples.read_first_seed(file)
        task = registry.load_task(result.task.name)
        made = task.check(made, len(made), SAMPLES)
        shown = _walls(task, made) if task.is_images else _points(task, made)
    except InputError as error:
        return {"note": f"The samples cannot be shown: {error}"}
    return {"seed": seed, "note": None, "figure": None, "walls": [], **shown}


def _points(task: Any, made: Any) -> dict[str, Any]:
    return {"figure": charts.samples(_view_of(task.name), made.numpy())}


@functools.cache
def _view_of(task: str) -> Any:
    from ganbench.plots.points import View

    return View(registry.load_task(task))


def _walls(task: Any, made: Any) -> dict[str, Any]:
    from ganbench.plots.paper import png
    from ganbench.plots.walls import wall

    def drawn(label: str, images: Any) -> dict[str, str]:
        content = base64.b64encode(png(wall(images.numpy()))).decode()
        return {"label": label, "source": f"data:image/png;base64,{content}"}

    return {
        "walls": [drawn("real images", task.reference[:100]), drawn("generated images", made[:100])]
    }
