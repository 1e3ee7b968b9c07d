"""Losses, accuracies and the metric of every round over training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ganbench.core import Bound, Task
from ganbench.plots.paper import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    Array,
    Log,
    blank_figure,
    limits,
    pixels,
)
from ganbench.results.schema import SeedResult

COLOURS = {"d_loss": BLUE, "g_loss": ORANGE, "d_accuracy": BLUE, "g_accuracy": ORANGE}
ACCURACIES: tuple[str, ...] = ("d_accuracy", "g_accuracy")
OTHER_COLOURS = (GREEN, PINK, "#56B4E9", "#E69F00")
LONG = 1_000  # a series with more values is drawn as its running mean over its range
BINS = 500  # of a long series, at most: about one a pixel of the panel's width
WINDOW = 11  # bins under the running mean, odd

Series = list[tuple[Array, Array]]
Columns = dict[str, tuple[Array, Array]]


def picture(task: Task, seeds: Sequence[SeedResult], logs: Mapping[int, Log]) -> Array | None:
    """The pixels of `figure`; None if there is none."""
    found = figure(task, seeds, logs)
    if found is None:
        return None
    canvas = FigureCanvasAgg(found)
    canvas.draw()
    return pixels(canvas)


def figure(task: Task, seeds: Sequence[SeedResult], logs: Mapping[int, Log]) -> Figure | None:
    """The panels that have something to show, under one another; None if there are none."""
    own = [_columns(seed, logs.get(seed.seed, {})) for seed in seeds]
    names = dict.fromkeys(name for columns in own for name in columns)
    losses = {name: _series(own, name) for name in names if "loss" in name}
    accuracies = {name: _series(own, name) for name in ACCURACIES if name in names}
    metric = _series([_curve(seed, "metrics") for seed in seeds], task.tracked)
    count = bool(losses) + bool(accuracies) + bool(metric)
    if count == 0:
        return None
    long = any(len(x) > LONG for columns in own for x, _ in columns.values())
    how = " (running means and ranges)" if long else ""
    panels, found = _rows(count, f"{task.name}: training, {_counted(seeds)}{how}")
    if losses:
        _loss_panel(next(panels), losses)
    if accuracies:
        _accuracy_panel(next(panels), accuracies)
    if metric:
        _metric_panel(next(panels), task, metric)
    return found


def _counted(seeds: Sequence[SeedResult]) -> str:
    bad = sum(seed.status in ("diverged", "failed") for seed in seeds)
    one = f"seed {seeds[0].seed}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    return f"{one} ({bad} diverged or failed)" if bad else one


def _rows(count: int, title: str) -> tuple[Iterator[Axes], Figure]:
    """Panels under one another that share the axis of training steps."""
    height = 2.2 * count + 1.2
    figure, _ = blank_figure(8, height)
    column = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    figure.suptitle(title, fontsize=12)
    figure.subplots_adjust(
        left=0.1, right=0.98, top=1 - 0.7 / height, bottom=0.55 / height, hspace=0.22
    )
    for axes in column:
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
    column[-1].set_xlabel("training step")
    return iter(column), figure


def _columns(seed: SeedResult, log: Log) -> Columns:
    """Steps and values by name: of the log, or, where that has no row, of the curve."""
    if not len(log.get("step", ())):
        return _curve(seed, "losses")
    steps = np.asarray(log["step"], dtype=float)
    return _known({name: (steps, values) for name, values in log.items() if name != "step"})


def _curve(seed: SeedResult, kind: str) -> Columns:
    points = [(p.step, getattr(p, kind)) for p in seed.curve]
    steps = np.array([step for step, _ in points], dtype=float)
    names = dict.fromkeys(name for _, values in points for name in values)
    return _known({n: (steps, np.array([v.get(n, np.nan) for _, v in points])) for n in names})


def _known(columns: Columns) -> Columns:
    """Without rows that lack a value, and names that have none; held to what can be drawn."""
    kept = {}
    for name, (steps, values) in columns.items():
        known = ~np.isnan(values)
        if known.any():
            kept[name] = steps[known], np.clip(values[known].astype(float), -1e30, 1e30)
    return kept


def _series(columns: Sequence[Columns], name: str) -> Series:
    """Steps and values of one name, for each seed that has any."""
    return [own[name] for own in columns if name in own]


def _draw(axes: Axes, series: Series, label: str, colour: str) -> None:
    """A line for each seed, paler the more there are, and one entry in the legend."""
    alpha = max(0.35, len(series) ** -0.5)
    for index, (steps, values) in enumerate(series):
        if len(steps) > LONG:
            steps, values, low, high = _condensed(steps, values)
            axes.fill_between(steps, low, high, color=colour, lw=0, alpha=0.25 * alpha)
        axes.plot(
            steps,
            values,
            color=colour,
            lw=1.2,
            alpha=alpha,
            marker="." if len(steps) < 30 else None,
            ms=4,
            label="_" if index else label,
        )


def _condensed(steps: Array, values: Array) -> tuple[Array, Array, Array, Array]:
    """Middle step, running mean, least and greatest value of each bin."""
    edges = np.linspace(0, len(steps), min(BINS, len(steps) // 4) + 1).astype(int)
    first, size = edges[:-1], np.diff(edges)
    middle, mean = (np.add.reduceat(column, first) / size for column in (steps, values))
    ends = WINDOW // 2
    padded = np.pad(mean, ends, mode="edge")
    smooth = np.convolve(padded, np.full(WINDOW, 1 / WINDOW), mode="valid")
    return middle, smooth, np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)


def _loss_panel(axes: Axes, losses: Mapping[str, Series]) -> None:
    spare = iter(OTHER_COLOURS * len(losses))
    for name, series in losses.items():
        _draw(axes, series, name, COLOURS.get(name) or next(spare))
    values = np.concatenate([v for series in losses.values() for _, v in series])
    typical = max(1.0, float(np.quantile(np.abs(values), 0.9)))
    if np.abs(values).max() > 20 * typical:  # a runaway would flatten the rest: it leaves the panel
        axes.set_yscale("symlog", linthresh=typical)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -1000 * typical), min(high, 1000 * typical))
    elif len(values) > LONG:  # and so do single spikes
        axes.set_ylim(limits(np.quantile(values, [0.001, 0.999]), 0.1))
    _finish(axes, "loss")


def _accuracy_panel(axes: Axes, accuracies: Mapping[str, Series]) -> None:
    for name, series in accuracies.items():
        _draw(axes, series, name, COLOURS[name])
    axes.axhline(0.5, color="0.3", ls=":", lw=1.2)
    axes.set_ylim(-0.03, 1.03)
    _finish(axes, "accuracy")


def _metric_panel(axes: Axes, task: Task, series: Series) -> None:
    """The metric of every round between its floor and its ceiling."""
    name = task.tracked
    _draw(axes, series, name, "black")
    bound = task.bounds.get(name)
    if bound is not None:
        axes.axhline(bound.ceiling, color=ORANGE, ls="--", lw=1.4, label="ceiling (naive sampler)")
        axes.axhline(bound.floor, color=GREEN, ls="--", lw=1.4, label="floor (real data)")
        _scale_metric(axes, bound, np.concatenate([values for _, values in series]))
    _finish(axes, name.replace("_", " "))


def _scale_metric(axes: Axes, bound: Bound, values: Array) -> None:
    """A logarithmic axis if lower is better and the floor is near 0.

    It is linear below four standard deviations of the floor's noise: differences mean nothing
    there. Limits are set by hand, since automatic ones leave decades empty below 0.
    """
    span = abs(bound.ceiling - bound.floor)
    if bound.direction != "lower" or not abs(bound.floor) < span / 20:
        return
    threshold = max(4 * bound.noise, 2 * abs(bound.floor), span / 1000)
    axes.set_yscale("symlog", linthresh=threshold, linscale=0.5)
    low = min(float(values.min()), bound.floor)
    high = max(float(values.max()), bound.ceiling)
    axes.set_ylim(1.5 * min(low, 0.0) - 0.2 * threshold, 2 * high)


def _finish(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, fontsize=9)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 0.98),  # above the panel, where it hides no line
        fontsize=8,
        frameon=False,
        ncols=4,
    )
