"""The page of an entry: samples, learning curves, metrics, seeds, how it was made."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganbench import registry
from ganbench.board import text
from ganbench.board.attachments import source_of, wrong_samples
from ganbench.errors import InputError
from ganbench.results import schema, store
from ganbench.results.schema import Machine, MetricInfo, Result
from ganbench.results.store import SAMPLES
from ganbench.scoring import VIEWS, clear_position
from ganbench.site import charts
from ganbench.site.content import Line
from ganbench.site.render import Renderer
from ganbench.system import files


def write(renderer: Renderer, path: Path, line: Line) -> None:
    """Write the page of a result file; InputError if that cannot be read."""
    result = schema.load_result(path)
    renderer.page(
        "entry.html",
        line.url,
        result=result,
        line=line,
        figures=charts.learning(result),
        samples=_samples(result, path),
        metrics=[_metric(result, *each) for each in result.task.metrics.items()],
        summary=_summary(result),
        views=result.task.views,
        questions=VIEWS,
        unplaced=text.unplaced({k: info.model_dump() for k, info in result.task.metrics.items()}),
        details=_details(result),
        source=_source(renderer.folder, result, path),
    )


def _source(folder: Path, result: Result, path: Path) -> str | None:
    """A copy of the source, its files one after another, if it is at hand and is the entry's."""
    target = f"source/{result.entry.sha256}.txt"
    if (folder / target).exists():
        return target
    given = source_of(result, path)
    if given is None:
        return None
    parts = [file.read_bytes() for file in given.values()]
    if len(parts) > 1:
        heads = [f"# ---- {name}\n".encode() for name in given]
        parts = [head + part for head, part in zip(heads, parts, strict=True)]
    files.write_atomically(folder / target, b"\n".join(parts))
    return target


@functools.cache
def _summaries() -> dict[str, str]:
    return {f"baselines/{row.name}.py": row.summary for row in registry.listing("baselines")}


def _summary(result: Result) -> str | None:
    """What a bundled source says of itself, its paper above all."""
    return _summaries().get(result.entry.source)


def _metric(result: Result, name: str, info: MetricInfo) -> dict[str, Any]:
    summary = result.summary[name]
    ends = [text.number(end) for end in summary.ci95 or ()]
    return {
        "name": name,
        "arrow": text.ARROWS[info.direction],
        "value": summary.iqm,
        "interval": " to ".join(ends) or "-",
        "floor": info.floor,
        "ceiling": info.ceiling,
        "position": clear_position(summary.iqm, info.bounds),
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
    parts: dict[str, dict[str, Any]] = {
        "Hyper-parameters": {name: str(value) for name, value in entry.hparams.items()},
        "Budget": protocol.model_dump(),
        **_machines(result),
        "Source": source,
    }
    return {
        title: {name: _plain(value) for name, value in facts.items() if value is not None}
        for title, facts in parts.items()
    }


def _machines(result: Result) -> dict[str, dict[str, Any]]:
    """What the seeds ran on, by a title that says which if they had several."""
    seeds: dict[Machine, list[str]] = {}
    for seed in result.seeds:
        seeds.setdefault(seed.machine, []).append(str(seed.seed))
    if len(seeds) == 1:
        return {"Machine": next(iter(seeds)).model_dump()}
    return {
        f"Machine of seeds {', '.join(own)}": machine.model_dump() for machine, own in seeds.items()
    }


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def distribution(task: str, paths: Sequence[Path]) -> dict[str, Any] | None:
    """What a task's page draws: real samples, and beside them the first of these results' own.

    None for a task that is not bundled.
    """
    if task not in registry.names("tasks"):
        return None
    for path in paths:
        try:
            found = _samples(schema.load_result(path), path)
        except InputError:
            continue  # which its own page says
        if found and not found["note"]:
            return {**found, "entry": path.stem}
    known = bundled(task)
    walls = [_drawn("real images", known.reference[:100])] if known.is_images else []
    figure = None if walls else charts.samples(scene_of(task))
    return {"seed": None, "note": None, "entry": None, "figure": figure, "walls": walls}


def first_samples(result: Result, path: Path) -> tuple[int, Any, Any] | None:
    """Seed, task and samples (n, *task.shape) of the first seed whose samples came with a result.

    None if none did, or the task is not bundled; InputError if they are not the result's.
    """
    from ganbench.results import samples

    file = store.attached(path) / SAMPLES
    if not file.is_file() or result.task.name not in registry.names("tasks"):
        return None
    if lines := wrong_samples(result, path):
        raise InputError(lines[0])
    seed, made = samples.read_first_seed(file)
    task = bundled(result.task.name)
    return seed, task, task.check(made, len(made), SAMPLES)


def _samples(result: Result, path: Path) -> dict[str, Any] | None:
    """The chart or the walls of the first seed's samples beside real ones; None without any."""
    try:
        found = first_samples(result, path)
        if found is None:
            return None
        seed, task, made = found
        shown = _walls(task, made) if task.is_images else _points(task, made, result.entry.name)
    except InputError as error:
        return {"note": f"The samples cannot be shown: {error}"}
    return {"seed": seed, "note": None, "figure": None, "walls": [], **shown}


def _points(task: Any, made: Any, name: str) -> dict[str, Any]:
    return {"figure": charts.samples(scene_of(task.name), made.numpy(), name)}


bundled = functools.cache(registry.bundled_task)


@functools.cache
def scene_of(task: str) -> Any:
    """How samples of a bundled task are laid out."""
    from ganbench.plots.points import Scene

    return Scene(bundled(task))


def _walls(task: Any, made: Any) -> dict[str, Any]:
    real, fake = task.reference[:100], made[:100]
    return {"walls": [_drawn("real images", real), _drawn("generated images", fake)]}


def _drawn(label: str, images: Any) -> dict[str, str]:
    from ganbench.plots.paper import png
    from ganbench.plots.walls import wall

    content = base64.b64encode(png(wall(images.numpy()))).decode()
    return {"label": label, "source": f"data:image/png;base64,{content}"}
