"""Pictures of a run: its samples beside real ones, its training curves, its samples in motion."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from ganbench.core import Bound, Task
from ganbench.results import SeedResult, write_atomically

Array = NDArray[Any]
Frames = Sequence[tuple[int, Array]]

DPI = 80
SHOWN_SEEDS = 9
SHOWN_POINTS = 1024
SHOWN_CURVES = 16
FRAME_MS, LAST_FRAME_MS = 200, 2_000

# Okabe and Ito (2008), told apart with any colour vision. Pale blue keeps real points behind.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
PALE = "#9CC9E5"
COLOURS = {"d_loss": BLUE, "g_loss": ORANGE, "d_accuracy": BLUE, "g_accuracy": ORANGE}
ACCURACIES: tuple[str, ...] = ("d_accuracy", "g_accuracy")
OTHER_COLOURS = (GREEN, PINK, "#56B4E9", "#E69F00")


def save_pictures(
    task: Task,
    frames: Mapping[int, Frames],
    seeds: Sequence[SeedResult],
    folder: Path,
) -> list[Path]:
    """Write `real_vs_generated.png`, `training.png` and `samples.gif`; return what was written.

    `frames[seed]` holds (step, samples of shape (m, *task.shape)) in order of training. Samples
    may be NaN, infinite or far away. A picture that has nothing to show is left out: without
    losses and evaluations there is no `training.png`, without frames no `samples.gif`.
    """
    view = _View(task)
    moving = next((seed for seed in seeds if frames.get(seed.seed)), None)
    contents: dict[str, bytes | None] = {
        "real_vs_generated.png": _compare(view, frames, seeds) if seeds else None,
        "training.png": _training(task, seeds),
        "samples.gif": _animate(view, moving.seed, frames[moving.seed]) if moving else None,
    }
    written = []
    for name, content in contents.items():
        if content is not None:
            write_atomically(folder / name, content)
            written.append(folder / name)
    return written


class _View:
    """How samples of a task are laid out on axes whose limits come from the real data.

    Curves are drawn over the task's grid. Other samples are points: the first two coordinates,
    or, in one dimension, the sorted values against their rank.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.grid = None if task.grid is None else task.grid.numpy().astype(float)
        self.real = task.reference[:SHOWN_POINTS].numpy()
        x, y, _ = self._lay_out(self.real, far=math.inf)
        self.xlim = _limits(x, 0.15 if self.grid is None else 0.0)
        self.ylim = _limits(y, 0.15)
        ratio = (self.ylim[1] - self.ylim[0]) / (self.xlim[1] - self.xlim[0])
        self.equal = self.grid is None and 0.4 < ratio < 2.5
        self.aspect = ratio if self.equal else 1.0  # height of a panel over its width

    def panel(self, axes: Axes, title: str) -> None:
        """Title and fixed limits; one scale on both axes unless their spans differ much."""
        axes.set(xlim=self.xlim, ylim=self.ylim)
        axes.set_title(title, fontsize=10)
        if self.equal:
            axes.set_aspect("equal")

    def line(self, axes: Axes, label: str, colour: str, size: float) -> Line2D:
        """An empty artist that `show` fills: dots for points, thin lines for curves."""
        style: dict[str, Any] = {"color": colour, "label": label}
        if self.grid is not None:
            return axes.plot([], [], lw=size / 3, alpha=0.8, **style)[0]
        return axes.plot([], [], ls="", marker=".", ms=size, mew=0, **style)[0]

    def show(self, line: Line2D, samples: Array) -> float:
        """Put samples into `line`; returns the share of values that the axes cannot show."""
        x, y, outside = self._lay_out(samples, far=20.0)
        line.set_data(x, y)
        return outside

    def _lay_out(self, samples: Array, far: float) -> tuple[Array, Array, float]:
        flat = np.asarray(samples, dtype=float).reshape(len(samples), -1)
        if self.grid is not None:
            flat = flat[:SHOWN_CURVES]
            # One line for all curves: a NaN lifts the pen between two of them.
            x = np.tile(np.append(self.grid, np.nan), len(flat))
            y = np.pad(flat, ((0, 0), (0, 1)), constant_values=np.nan).ravel()
            return self._clip(x, y, np.isfinite(x), far)
        if flat.shape[1] == 1:
            x, y = np.sort(flat[:, 0]), np.linspace(0, 1, len(flat))
        else:
            x, y = flat[:, 0], flat[:, 1]
        return self._clip(x, y, np.ones(len(x), dtype=bool), far)

    def _clip(self, x: Array, y: Array, counted: Array, far: float) -> tuple[Array, Array, float]:
        """Hold coordinates to `far` spans off the limits: Agg cannot draw a line to 1e30."""
        if far == math.inf:
            return x, y, 0.0
        seen = (x >= self.xlim[0]) & (x <= self.xlim[1])
        seen &= (y >= self.ylim[0]) & (y <= self.ylim[1])
        outside = float(np.mean(~seen[counted])) if counted.any() else 0.0
        return _held(x, self.xlim, far), _held(y, self.ylim, far), outside


def _limits(values: Array, margin: float) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    span = high - low or 1.0
    return low - margin * span, high + margin * span


def _held(values: Array, limits: tuple[float, float], far: float) -> Array:
    reach = far * (limits[1] - limits[0])
    return np.clip(values, limits[0] - reach, limits[1] + reach)


def _figure(width: float, height: float) -> tuple[Figure, FigureCanvasAgg]:
    figure = Figure(figsize=(width, height), dpi=DPI)
    return figure, FigureCanvasAgg(figure)


def _png(canvas: FigureCanvasAgg) -> bytes:
    """The drawn figure as a PNG file."""
    canvas.draw()
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _compare(view: _View, frames: Mapping[int, Frames], seeds: Sequence[SeedResult]) -> bytes:
    """One panel a seed, with its final samples; points lie over real ones, curves beside them."""
    shown = seeds[:SHOWN_SEEDS]
    first = 0 if view.grid is None else 1
    figure, canvas, panels = _panels(first + len(shown), view.aspect)
    some = f" (first {len(shown)} of {len(seeds)} seeds)" if len(shown) < len(seeds) else ""
    figure.suptitle(f"{view.task.name}: real and generated samples{some}", fontsize=12)
    real = None
    for index, axes in enumerate(panels):
        seed = shown[index - first] if index >= first else None
        view.panel(axes, "real data" if seed is None else _seed_title(seed))
        if seed is None or first == 0:
            real = view.line(axes, "real", BLUE if first else PALE, 4 if first else 7)
            view.show(real, view.real)
        if seed is not None:
            made = _final(view, axes, frames.get(seed.seed, ()))
    handles = [line for line in (real, made) if line is not None]
    _legend(figure, handles)
    return _png(canvas)


def _final(view: _View, axes: Axes, frames: Frames) -> Line2D:
    """Draw the last frame, and say in words what cannot be drawn."""
    line = view.line(axes, "generated", ORANGE, 4)
    if not frames:
        _note(axes, "no samples")
    elif (outside := view.show(line, frames[-1][1])) > 0.005:
        _note(axes, f"{outside:.0%} outside")
    return line


def _note(axes: Axes, text: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    axes.text(0.97, 0.03, text, transform=axes.transAxes, ha="right", fontsize=9, bbox=box)


def _panels(n: int, aspect: float) -> tuple[Figure, FigureCanvasAgg, list[Axes]]:
    """n panels in rows, with room for titles: fixed margins, as automatic ones take a draw."""
    columns = n if n <= 3 else math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    side = 3.6 if n <= 3 else 2.9
    width, height = max(columns * side, 4.6), rows * side * aspect + 0.9
    figure, canvas = _figure(width, height)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    figure.subplots_adjust(
        left=0.55 / width,
        right=1 - 0.2 / width,
        top=1 - 0.75 / height,
        bottom=0.65 / height,
        wspace=0.26,
        hspace=0.26,
    )
    for axes in grid[n:]:
        axes.remove()
    for axes in grid[:n]:
        axes.tick_params(labelsize=8)
    return figure, canvas, list(grid[:n])


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """One legend under all panels, so that it hides no sample."""
    figure.legend(
        handles=list(handles), loc="lower center", ncols=2, frameon=False, markerscale=2, fontsize=9
    )


def _seed_title(seed: SeedResult) -> str:
    if seed.status != "ok" or seed.score is None:
        return f"seed {seed.seed}: {seed.status}"
    return f"seed {seed.seed}: score {seed.score:.3f}"


Series = list[tuple[Array, Array]]


def _training(task: Task, seeds: Sequence[SeedResult]) -> bytes | None:
    """Losses, accuracies and the ranking metric over training; None if there are none."""
    names = dict.fromkeys(n for seed in seeds for point in seed.curve for n in point.losses)
    losses = {name: _series(seeds, "losses", name) for name in names if "loss" in name}
    accuracies = {name: _series(seeds, "losses", name) for name in ACCURACIES if name in names}
    metric = _series(seeds, "metrics", task.ranking)
    count = bool(losses) + bool(accuracies) + bool(metric)
    if count == 0:
        return None
    panels, canvas = _rows(count, f"{task.name}: training, {_counted(seeds)}")
    if losses:
        _loss_panel(next(panels), losses)
    if accuracies:
        _accuracy_panel(next(panels), accuracies)
    if metric:
        _metric_panel(next(panels), task, metric)
    return _png(canvas)


def _counted(seeds: Sequence[SeedResult]) -> str:
    bad = sum(seed.status in ("diverged", "failed") for seed in seeds)
    one = f"seed {seeds[0].seed}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    return f"{one} ({bad} diverged or failed)" if bad else one


def _rows(count: int, title: str) -> tuple[Iterator[Axes], FigureCanvasAgg]:
    """Panels under one another that share the axis of training steps."""
    height = 2.2 * count + 1.2
    figure, canvas = _figure(8, height)
    column = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    figure.suptitle(title, fontsize=12)
    figure.subplots_adjust(
        left=0.1, right=0.98, top=1 - 0.7 / height, bottom=0.55 / height, hspace=0.22
    )
    for axes in column:
        axes.grid(color="0.92")
        axes.tick_params(labelsize=8)
    column[-1].set_xlabel("training step")
    return iter(column), canvas


def _series(seeds: Sequence[SeedResult], kind: str, name: str) -> Series:
    """Steps and values of one name, for each seed that has any."""
    series = []
    for seed in seeds:
        points = [(p.step, getattr(p, kind)[name]) for p in seed.curve if name in getattr(p, kind)]
        if points:
            steps, values = np.array(points, dtype=float).T
            series.append((steps, np.clip(values, -1e30, 1e30)))
    return series


def _draw(axes: Axes, series: Series, label: str, colour: str) -> None:
    """A line for each seed, paler the more there are, and one entry in the legend."""
    for index, (steps, values) in enumerate(series):
        axes.plot(
            steps,
            values,
            color=colour,
            lw=1.2,
            alpha=max(0.35, len(series) ** -0.5),
            marker="." if len(steps) < 30 else None,
            ms=4,
            label="_" if index else label,
        )


def _loss_panel(axes: Axes, losses: Mapping[str, Series]) -> None:
    spare = iter(OTHER_COLOURS * len(losses))
    for name, series in losses.items():
        _draw(axes, series, name, COLOURS.get(name) or next(spare))
    values = np.abs(np.concatenate([v for series in losses.values() for _, v in series]))
    typical = max(1.0, float(np.quantile(values, 0.9)))
    if values.max() > 20 * typical:  # a runaway would flatten all the rest: it leaves the panel
        axes.set_yscale("symlog", linthresh=typical)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -1000 * typical), min(high, 1000 * typical))
    _finish(axes, "loss")


def _accuracy_panel(axes: Axes, accuracies: Mapping[str, Series]) -> None:
    for name, series in accuracies.items():
        _draw(axes, series, name, COLOURS[name])
    axes.axhline(0.5, color="0.3", ls=":", lw=1.2)
    axes.set_ylim(-0.03, 1.03)
    _finish(axes, "accuracy")


def _metric_panel(axes: Axes, task: Task, series: Series) -> None:
    """The ranking metric between its floor and its ceiling."""
    name = task.ranking
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


def _animate(view: _View, seed: int, frames: Frames) -> bytes:
    """A GIF with a frame for each recorded step; only the moving parts are drawn again."""
    figure, canvas, (axes,) = _panels(1, view.aspect)
    view.panel(axes, "")
    real = view.line(axes, "real", PALE, 7)
    view.show(real, view.real)
    made = view.line(axes, "generated", ORANGE, 4)
    _legend(figure, [real, made])
    title = figure.suptitle("", fontsize=11)
    for artist in (made, title):
        artist.set_animated(True)
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    images = []
    for step, samples in frames:
        view.show(made, samples)
        title.set_text(f"{view.task.name}, seed {seed}, step {step:,}")
        canvas.restore_region(background)
        axes.draw_artist(made)
        figure.draw_artist(title)
        images.append(np.array(canvas.buffer_rgba())[..., :3])
    return _gif(images)


def _gif(images: Sequence[Array]) -> bytes:
    """Frames as an endless GIF, the last one held; one palette serves all."""
    height, width = images[0].shape[:2]
    strip = Image.fromarray(np.concatenate(images)).quantize(64, Image.Quantize.FASTOCTREE)
    pages = [strip.crop((0, i * height, width, (i + 1) * height)) for i in range(len(images))]
    durations = [FRAME_MS] * (len(pages) - 1) + [LAST_FRAME_MS]
    buffer = io.BytesIO()
    pages[0].save(buffer, "GIF", save_all=True, append_images=pages[1:], duration=durations, loop=0)
    return buffer.getvalue()
