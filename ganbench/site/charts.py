"""The charts of the site, as plotly's own JSON: a page draws them, plotly.py is not needed.

Text and grid get the page's colours, light or dark; those of the traces can be seen on both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganbench.board.entry import BoardEntry
from ganbench.board.overall import Overall
from ganbench.board.ranking import Board, Row
from ganbench.board.text import score
from ganbench.plots.paper import BLUE, GREEN, ORANGE, PINK
from ganbench.plots.points import Scene
from ganbench.results.schema import Result
from ganbench.results.stats import iqm, performance_profile

Floats = NDArray[np.float64]
Figure = dict[str, Any]
Columns = dict[str, dict[int, list[float]]]  # values over seeds, by name and step

PALETTE = (BLUE, ORANGE, GREEN, PINK, "#56B4E9", "#E69F00", "#A6761D")
GREY = "#8A8A8A"
MOST_ROWS = 40  # that a chart of intervals shows
MOST_LINES = 12  # that a chart of curves shows
MOMENTS = 60  # at which a curve over time is drawn
BAND = (0.1, 0.9)  # quantiles over seeds
HALF = 0.5  # of the way from naive to real
TITLES = {
    "position": "Between a naive sampler (0) and real data (1)",
    "loss": "Losses",
    "accuracy": "Accuracies of the discriminator",
}


def scores(board: Board) -> Figure:
    """Each ranked entry's score on a task with its interval and its seeds."""
    rows = [row for row in board.ranked if row.score is not None][:MOST_ROWS]
    marks = [
        Mark(name=row.entry.name, score=row.score or 0.0, interval=row.interval, group=row.group)
        for row in rows
    ]
    references = {row.entry.name: row.score for row in board.references}
    seeds = _seeds(rows)
    figure = _scores(f"Scores on {board.task}", marks, references, seeds["x"])
    figure["data"].insert(0, seeds)
    figure["label"] += "; each seed in grey"
    return figure


def over_all(board: Overall) -> Figure:
    """Each ranked entry's mean score over all tasks with its interval."""
    marks = [
        Mark(name=row.name, score=row.score or 0.0, interval=row.interval, group=row.group)
        for row in board.ranked[:MOST_ROWS]
    ]
    references = {row.name: row.score for row in board.references}
    return _scores(f"Mean score over {len(board.tasks)} tasks", marks, references)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A score on a chart."""

    name: str
    score: float
    interval: Sequence[float] | None
    group: int | None


def _scores(
    title: str,
    marks: Sequence[Mark],
    references: Mapping[str, float | None],
    seeds: Sequence[float] = (),
) -> Figure:
    """Scores with their intervals, and references as lines to compare with."""
    known = {name: at for name, at in references.items() if at is not None}
    ends = [mark.interval[0] for mark in marks if mark.interval]
    left = min([0.0, *ends, *known.values(), *seeds]) - 0.1
    words = [f"{mark.name} {score(mark.score)}" for mark in marks]
    lines = [f"{name} {score(at)}" for name, at in known.items()]
    return {
        "data": [_means(marks)],
        "layout": {
            "title": _title(title),
            "xaxis": {"title": {"text": "score"}, "range": [left, 1.1], "zeroline": False},
            "yaxis": {"autorange": "reversed", "automargin": True, "type": "category"},
            "margin": {"t": 40 + 17 * len(known), "b": 48, "l": 56, "r": 16},
            "height": 150 + 17 * len(known) + 30 * len(marks),
            "showlegend": False,
            "shapes": [_line(0, "x", "dot"), *(_line(at, "x") for at in known.values())],
            "annotations": _names(known),
        },
        "label": f"{title}, 95 % intervals: {'; '.join(words)}. References: {'; '.join(lines)}",
    }


def _names(references: Mapping[str, float]) -> list[Figure]:
    """The names of references over their lines, each at a height of its own."""
    return [
        {**_word(at, name, "x"), "xanchor": "right" if at > HALF else "left", "yshift": 17 * place}
        for place, (name, at) in enumerate(references.items())
    ]


def _title(text: str) -> Figure:
    return {"text": text, "x": 0, "xref": "paper", "yref": "container", "y": 0.98, "yanchor": "top"}


def _seeds(rows: Sequence[Row]) -> Figure:
    every = [(score, row.entry.name) for row in rows for score in row.scores if score is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": _short([score for score, _ in every]),
        "y": [name for _, name in every],
        "marker": {"size": 6, "opacity": 0.35, "color": GREY},
        "hovertemplate": "%{y}: a seed at %{x:.3f}<extra></extra>",
    }


def _means(marks: Sequence[Mark]) -> Figure:
    """The means with their intervals, a colour for each tie group."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": _short([mark.score for mark in marks]),
        "y": [mark.name for mark in marks],
        "error_x": {"type": "data", "symmetric": False, "color": GREY, **_errors(marks)},
        "marker": {
            "size": 10,
            "color": [PALETTE[((mark.group or 1) - 1) % len(PALETTE)] for mark in marks],
        },
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }


def _errors(marks: Sequence[Mark]) -> dict[str, list[float | None]]:
    ends = [(mark.score, mark.interval or [mark.score] * 2) for mark in marks]
    return {
        "array": _short([high - score for score, (_, high) in ends]),
        "arrayminus": _short([score - low for score, (low, _) in ends]),
    }


def profile(board: Overall, scores: Mapping[str, Sequence[float]]) -> Figure:
    """The share of seeds over all tasks above each score: Dolan and More 2002; of each entry."""
    levels = np.linspace(-1, 1, 101)
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": row.name,
            "x": _short(levels),
            "y": _short(performance_profile(scores[row.name], levels)),
            "line": {
                "color": GREY if row.reference else PALETTE[place % len(PALETTE)],
                "dash": "dash" if row.reference else "solid",
                "width": 2,
            },
        }
        for place, row in enumerate([*board.ranked[:MOST_LINES], *board.references])
    ]
    return {
        "data": traces,
        "layout": {
            "title": _title("Performance profile"),
            "xaxis": {"title": {"text": "score"}, "range": [-1, 1.02], "zeroline": False},
            "yaxis": {"title": {"text": "share of seeds above"}, "range": [-0.03, 1.05]},
            "margin": {"t": 40, "b": 48, "l": 56, "r": 16},
            "height": 400,
        },
        "label": "Share of seeds, over all tasks, that score above: the higher the line the better",
    }


def progress(
    entries: Sequence[BoardEntry], quality: float, *, tracked: str, hardware: str
) -> Figure:
    """The best position so far of the metric of every round against seconds of training.

    The interquartile mean over the seeds that ran on a hardware.
    """
    own = {entry.name: entry.on(hardware) for entry in entries}
    shown = [e for e in entries if any(e.bests[i] for i in own[e.name])][:MOST_LINES]
    bests = {entry.name: [entry.bests[i] for i in own[entry.name]] for entry in shown}
    starts = [each[0][0] for name in bests for each in bests[name] if each]
    ends = [entry.seconds[i] for entry in shown for i in own[entry.name]]
    low, high = max(min(starts, default=1e-3), 1e-4), max([*ends, 1e-3])
    traces = []
    for place, entry in enumerate(shown):
        moments = np.geomspace(low, max(high, 1.001 * low), MOMENTS)
        last = max(entry.seconds[i] for i in own[entry.name])
        moments = moments[moments <= max(last, moments[0])]
        levels = [iqm([_best(each, at) for each in bests[entry.name]]) for at in moments]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": entry.name,
                "x": _short(moments),
                "y": _short(levels),
                "line": {"color": PALETTE[place % len(PALETTE)], "shape": "hv", "width": 2},
            }
        )
    return {
        "data": traces,
        "layout": {
            "title": _title(f"{tracked} against time"),
            "xaxis": {"title": {"text": "seconds of training"}, "type": "log"},
            "yaxis": {
                "title": {"text": f"best position of {tracked} so far"},
                "range": [-1.05, 1.1],
                "zeroline": False,
            },
            "shapes": [_line(0, "y"), _line(1, "y"), _line(quality, "y", "dot")],
            "margin": {"t": 40, "b": 48, "l": 56, "r": 16},
            "height": 400,
        },
        "label": f"Best position of {tracked} so far against seconds, of {len(shown)} entries",
    }


def _best(bests: Sequence[Sequence[float]], moment: float) -> float:
    """A seed's best score at a moment; without any yet it is as bad as a naive sampler."""
    reached = [score for at, score in bests if at <= moment]
    return reached[-1] if reached else 0.0


def learning(result: Result) -> list[Figure]:
    """The tracked metric's position, losses, accuracies over steps: median and band over seeds."""
    tracked, info = result.tracked, result.task.metrics[result.tracked]
    scores: dict[int, list[float]] = {}
    losses: Columns = {}
    for seed in result.seeds:
        for point in seed.curve:
            step = point.step
            value = point.metrics.get(tracked)
            if value is not None and info.floor != info.ceiling:
                scores.setdefault(step, []).append(info.position(value))
            for name, loss in point.losses.items():
                losses.setdefault(name, {}).setdefault(step, []).append(loss)
    accuracies = {name: losses.pop(name) for name in list(losses) if name.endswith("accuracy")}
    figures = [
        _over_steps(
            {tracked: scores} if scores else {}, "position", [_line(0, "y"), _line(1, "y")]
        ),
        _over_steps(losses, "loss", []),
        _over_steps(accuracies, "accuracy", [_line(0.5, "y")]),
    ]
    return [figure for figure in figures if figure["data"]]


def _over_steps(columns: Columns, kind: str, shapes: list[Figure]) -> Figure:
    traces: list[Figure] = []
    for place, (name, points) in enumerate(columns.items()):
        steps = sorted(points)
        low, middle, high = _quantiles([points[step] for step in steps])
        colour = PALETTE[place % len(PALETTE)]
        line = {"type": "scatter", "mode": "lines", "legendgroup": name}
        band = {
            **line,
            "hoverinfo": "skip",
            "showlegend": False,
            "line": {"width": 0, "color": colour},
        }
        traces += [
            {**band, "x": steps, "y": _short(high)},
            {**band, "x": steps, "y": _short(low), "fill": "tonexty"},
            {
                **line,
                "mode": "lines+markers",
                "name": name,
                "x": steps,
                "y": _short(middle),
                "line": {"color": colour, "width": 2},
                "marker": {"size": 5},
            },
        ]
    layout = {
        "title": _title(TITLES[kind]),
        "margin": {"t": 40, "b": 48, "l": 56, "r": 16},
        "height": 340,
        "xaxis": {"title": {"text": "training step"}},
        "yaxis": {"title": {"text": kind}, "zeroline": False},
        "shapes": shapes,
    }
    label = (
        f"{', '.join(columns)} over training: median and 10 to 90 % of the seeds that came so far"
    )
    return {"data": traces, "layout": layout, "label": label}


def _quantiles(rows: Sequence[Sequence[float]]) -> Floats:
    """The lower end of the band, the median and the upper end of each row, shape (3, rows)."""
    found = np.empty((3, len(rows)))
    sizes = np.array([len(row) for row in rows])
    for size in set(sizes.tolist()):  # at once, as each call takes long
        mine = np.flatnonzero(sizes == size).tolist()
        own = np.array([rows[i] for i in mine])
        found[:, mine] = np.quantile(own, [BAND[0], 0.5, BAND[1]], axis=1)
    return found


def samples(scene: Scene, made: Floats | None = None, name: str = "generated") -> Figure:
    """Real samples, and those of a seed beside them, if there are any, on the same axes."""
    curves = scene.grid is not None
    traces = []
    outside = 0.0
    sides = [("real", scene.real), *([] if made is None else [(name, made)])]
    for place, (label, values) in enumerate(sides):
        x, y, outside = scene.lay_out(values[: len(scene.real)], far=1.0)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines" if curves else "markers",
                "name": label,
                "x": _short(x),
                "y": _short(y),
                "xaxis": f"x{place + 1}",
                "yaxis": f"y{place + 1}",
                "line": {"width": 1, "color": PALETTE[place]},
                "marker": {"size": 3, "opacity": 0.6, "color": PALETTE[place]},
                "hoverinfo": "skip",
            }
        )
    x_axis = {"range": list(scene.xlim)}
    y_axis = {"range": list(scene.ylim), **({"scaleanchor": "x"} if scene.equal else {})}
    layout: Figure = {
        "xaxis": {**x_axis, "domain": [0, 0.48]},
        "xaxis2": {**x_axis, "domain": [0.52, 1], "matches": "x"},
        "yaxis": y_axis,
        "yaxis2": {
            "range": list(scene.ylim),
            "anchor": "x2",
            "matches": "y",
            "showticklabels": False,
        },
        "annotations": [
            {**_word(at, label, "x"), "xref": "paper"}
            for at, (label, _) in zip((0.24, 0.76), sides, strict=False)
        ],
        "showlegend": False,
        "height": 400,
    }
    note = f"; {outside:.0%} of them lie outside" if outside > 0.005 else ""
    return {
        "data": traces,
        "layout": layout,
        "label": "Real samples" if made is None else f"Real samples, {name}'s beside them{note}",
    }


def _line(at: float, axis: str, dash: str = "dash") -> Figure:
    other = "y" if axis == "x" else "x"
    return {
        "type": "line",
        **{f"{axis}0": at, f"{axis}1": at, f"{other}0": 0, f"{other}1": 1},
        f"{other}ref": "paper",
        "line": {"width": 1.5, "dash": dash, "color": GREY},
    }


def _word(at: float, text: str, axis: str) -> Figure:
    other = "y" if axis == "x" else "x"
    return {
        "text": text,
        axis: at,
        other: 1,
        f"{other}ref": "paper",
        "yanchor": "bottom",
        "showarrow": False,
    }


def _short(values: ArrayLike) -> list[float | None]:
    """Values with enough digits for a picture; None where there is nothing to draw."""
    values = np.asarray(values, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = 10.0 ** (4 - np.floor(np.log10(np.abs(values))))
        rounded = np.where(values == 0, 0.0, np.round(values * scale) / scale)
    return [value if math.isfinite(value) else None for value in rounded.tolist()]
