"""The charts of the site, as plotly's own JSON: a page draws them, plotly.py is not needed.

Text and grid get the page's colours, light or dark; those of the traces can be seen on both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganbench.board.entry import BoardEntry
from ganbench.board.ranking import Board, Row
from ganbench.board.text import score
from ganbench.plots.paper import BLUE, GREEN, ORANGE, PINK
from ganbench.plots.points import Scene
from ganbench.results.schema import Result
from ganbench.results.stats import iqm

Floats = NDArray[np.float64]
Figure = dict[str, Any]
Columns = dict[str, dict[int, list[float]]]  # values over seeds, by name and step

PALETTE = (BLUE, ORANGE, GREEN, PINK, "#56B4E9", "#E69F00", "#A6761D")
GREY = "#8A8A8A"
MOST_ROWS = 40  # that a chart of intervals shows
MOST_LINES = 12  # that a chart of curves shows
LEAST = -1.5  # score on such a chart; those below would flatten the rest
MOMENTS = 60  # at which a curve over time is drawn
BAND = (0.1, 0.9)  # quantiles over seeds


def scores(board: Board) -> Figure:
    """Each ranked entry's score with its interval and its seeds, between naive and real."""
    rows = [row for row in board.ranked if row.entry.score is not None][:MOST_ROWS]
    ends = [row.entry.interval[0] for row in rows if row.entry.interval]
    left = max(min([0.0, *ends]), LEAST) - 0.1
    return {
        "data": [_seeds(rows), _means(rows)],
        "layout": {
            "xaxis": {"title": {"text": "score"}, "range": [left, 1.15], "zeroline": False},
            "yaxis": {"autorange": "reversed", "automargin": True, "type": "category"},
            "height": 130 + 30 * len(rows),
            "showlegend": False,
            "shapes": [_line(0, "x"), _line(1, "x")],
            "annotations": [_word(0, "naive", "x"), _word(1, "real", "x"), *_outside(rows, left)],
        },
        "label": f"Scores on {board.task}, 95 % intervals, and each seed in grey: "
        + "; ".join(f"{row.entry.name} {score(row.entry.score)}" for row in rows),
    }


def _seeds(rows: Sequence[Row]) -> Figure:
    every = [
        (score, row.entry.name) for row in rows for score in row.entry.scores if score is not None
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": _short([score for score, _ in every]),
        "y": [name for _, name in every],
        "marker": {"size": 6, "opacity": 0.35, "color": GREY},
        "hovertemplate": "%{y}: a seed at %{x:.3f}<extra></extra>",
    }


def _means(rows: Sequence[Row]) -> Figure:
    """The interquartile means with their intervals, a colour for each tie group."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": _short([row.entry.score or 0.0 for row in rows]),
        "y": [row.entry.name for row in rows],
        "error_x": {"type": "data", "symmetric": False, "color": GREY, **_errors(rows)},
        "marker": {
            "size": 10,
            "color": [PALETTE[((row.group or 1) - 1) % len(PALETTE)] for row in rows],
        },
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }


def _outside(rows: Sequence[Row], left: float) -> list[Figure]:
    """In words, the scores beyond the left end of the chart."""
    return [
        {
            "text": f"◂ {score(row.entry.score)}",
            "x": left,
            "y": row.entry.name,
            "xanchor": "left",
            "showarrow": False,
        }
        for row in rows
        if (row.entry.score or 0.0) < left
    ]


def _errors(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    ends = [
        (row.entry.score or 0.0, row.entry.interval or [row.entry.score or 0.0] * 2) for row in rows
    ]
    return {
        "array": _short([high - score for score, (_, high) in ends]),
        "arrayminus": _short([score - low for score, (low, _) in ends]),
    }


def progress(entries: Sequence[BoardEntry], quality: float) -> Figure:
    """The best score so far against seconds of training: the interquartile mean over seeds."""
    shown = [entry for entry in entries if any(entry.bests)][:MOST_LINES]
    starts = [bests[0][0] for entry in shown for bests in entry.bests if bests]
    ends = [end for entry in shown for end in entry.seconds]
    low, high = max(min(starts, default=1e-3), 1e-4), max([*ends, 1e-3])
    traces = []
    for place, entry in enumerate(shown):
        own = np.geomspace(low, max(high, 1.001 * low), MOMENTS)
        own = own[own <= max(max(entry.seconds), own[0])]
        levels = [iqm([_best(bests, moment) for bests in entry.bests]) for moment in own]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": entry.name,
                "x": _short(own),
                "y": _short(levels),
                "line": {"color": PALETTE[place % len(PALETTE)], "shape": "hv", "width": 2},
            }
        )
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": "seconds of training"}, "type": "log"},
            "yaxis": {
                "title": {"text": "best score so far"},
                "range": [-0.3, 1.1],
                "zeroline": False,
            },
            "shapes": [_line(0, "y"), _line(1, "y"), _line(quality, "y", "dot")],
            "height": 380,
        },
        "label": f"Best score so far against seconds of training, of {len(shown)} entries",
    }


def _best(bests: Sequence[Sequence[float]], moment: float) -> float:
    """A seed's best score at a moment; without any yet it is as bad as a naive sampler."""
    reached = [score for at, score in bests if at <= moment]
    return reached[-1] if reached else 0.0


def learning(result: Result) -> list[Figure]:
    """The ranking metric's score, losses and accuracies over steps: median and band over seeds."""
    tracked, info = result.tracked, result.task.metrics[result.tracked]
    scores: dict[int, list[float]] = {}
    losses: Columns = {}
    for seed in result.seeds:
        for point in seed.curve:
            step = point.step
            if (value := point.metrics.get(tracked)) is not None:
                scores.setdefault(step, []).append(info.position(value))
            for name, loss in point.losses.items():
                losses.setdefault(name, {}).setdefault(step, []).append(loss)
    accuracies = {name: losses.pop(name) for name in list(losses) if name.endswith("accuracy")}
    figures = [
        _over_steps({"score": scores} if scores else {}, "score", [_line(0, "y"), _line(1, "y")]),
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
        "height": 320,
        "xaxis": {"title": {"text": "training step"}},
        "yaxis": {"title": {"text": kind}, "zeroline": False},
        "shapes": shapes,
    }
    label = f"{', '.join(columns)} over training: median and 10 to 90 % of seeds"
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


def samples(scene: Scene, made: Floats) -> Figure:
    """Real samples, and those of a seed beside them, on the same axes."""
    curves = scene.grid is not None
    traces = []
    outside = 0.0
    for place, (name, values) in enumerate((("real", scene.real), ("generated", made))):
        x, y, outside = scene.lay_out(values[: len(scene.real)], far=1.0)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines" if curves else "markers",
                "name": name,
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
        "height": 400,
    }
    note = f"; {outside:.0%} of them lie outside" if outside > 0.005 else ""
    return {
        "data": traces,
        "layout": layout,
        "label": f"Real samples, generated ones beside them{note}",
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
