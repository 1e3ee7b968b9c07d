"""Samples that are points or curves: beside real ones, and in motion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ganbench.core import Task
from ganbench.plots.paper import (
    BLUE,
    ORANGE,
    PALE,
    Array,
    Frames,
    blank_figure,
    limits,
    note,
    pixels,
    seed_title,
    shown_seeds,
    step_title,
)
from ganbench.results.schema import SeedResult

SHOWN_POINTS = 1024
SHOWN_CURVES = 16


def compare(task: Task, frames: Mapping[int, Frames], seeds: Sequence[SeedResult]) -> Array:
    """One panel a seed, with its final samples; points lie over real ones, curves beside them."""
    scene = Scene(task)
    shown, title = shown_seeds(task, seeds)
    first = 0 if scene.grid is None else 1
    figure, canvas, panels = _panels(first + len(shown), scene.aspect)
    figure.suptitle(title, fontsize=12)
    real = None
    for index, axes in enumerate(panels):
        seed = shown[index - first] if index >= first else None
        scene.panel(axes, "real data" if seed is None else seed_title(seed))
        if seed is None or first == 0:
            real = scene.line(axes, "real", BLUE if first else PALE, 4 if first else 7)
            scene.show(real, scene.real)
        if seed is not None:
            made = _final(scene, axes, frames.get(seed.seed, ()))
    _legend(figure, [line for line in (real, made) if line is not None])
    canvas.draw()
    return pixels(canvas)


def pages(task: Task, seed: int, frames: Frames) -> Iterator[Array]:
    """A page of the GIF for each frame: the same as the picture of its step."""
    return (page for _, page in stills(task, seed, frames))


def stills(task: Task, seed: int, frames: Frames) -> Iterator[tuple[int, Array]]:
    """Step and picture of each frame."""
    titled = ((step_title(task, seed, step), samples) for step, samples in frames)
    return zip((step for step, _ in frames), _film(task, titled), strict=True)


def beside_real(task: Task, title: str, samples: Array) -> Array:
    """Real samples and these under a title."""
    return next(_film(task, [(title, samples)]))


def _film(task: Task, frames: Iterable[tuple[str, Array]]) -> Iterator[Array]:
    """A picture of real samples and others for each title and samples.

    Only the moving parts are drawn again: a whole figure takes ten times as long.
    """
    scene = Scene(task)
    figure, canvas, (axes,) = _panels(1, scene.aspect)
    scene.panel(axes, "")
    real = scene.line(axes, "real", PALE, 7)
    scene.show(real, scene.real)
    made = scene.line(axes, "generated", ORANGE, 4)
    _legend(figure, [real, made])
    title = figure.suptitle("", fontsize=11, y=1 - 0.4 / figure.get_figheight())
    for artist in (made, title):
        artist.set_animated(True)
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    for text, samples in frames:
        scene.show(made, samples)
        title.set_text(text)
        canvas.restore_region(background)
        axes.draw_artist(made)
        figure.draw_artist(title)
        yield pixels(canvas)


class Scene:
    """How samples of a task are laid out on axes whose limits come from the real data.

    Curves are drawn over the task's grid. Other samples are points in the plane: in one dimension
    the sorted values against their rank, in more than two the principal axes of real ones.
    """

    def __init__(self, task: Task) -> None:
        self.grid = None if task.grid is None else task.grid.numpy().astype(float)
        self.sizes: dict[Line2D, float] = {}
        self.axes = principal_axes(task) if self.grid is None and task.width > 2 else None
        self.real = task.reference[:SHOWN_POINTS].numpy()
        x, y, _ = self.lay_out(self.real, far=math.inf)
        point = self.real.size == len(x) and not np.ptp(x)  # of one number, which has no span
        self.xlim = limits(x, 1.5 if point else 0.15 if self.grid is None else 0.0)
        self.ylim = limits(y, 0.15)
        ratio = (self.ylim[1] - self.ylim[0]) / (self.xlim[1] - self.xlim[0])
        self.ranked = self.grid is None and task.width == 1
        self.equal = self.grid is None and not self.ranked and 0.4 < ratio < 2.5
        self.aspect = ratio if self.equal else 1.0  # height of a panel over its width

    def panel(self, axes: Axes, title: str) -> None:
        """Title and fixed limits; one scale on both axes unless their spans differ much."""
        axes.set(xlim=self.xlim, ylim=self.ylim)
        axes.set_title(title, fontsize=10)
        if self.axes is not None:
            axes.set_xlabel("first two principal axes", fontsize=8, labelpad=1)
        if self.ranked:
            axes.set_xlabel("value", fontsize=8, labelpad=1)
            axes.set_ylabel("share of samples below", fontsize=8, labelpad=1)
        if self.equal:
            axes.set_aspect("equal")

    def line(self, axes: Axes, label: str, colour: str, size: float) -> Line2D:
        """An empty artist that `show` fills: dots for points, thin lines for curves."""
        style: dict[str, Any] = {"color": colour, "label": label}
        if self.grid is not None:
            return axes.plot([], [], lw=size / 3, alpha=0.8, **style)[0]
        dots = axes.plot([], [], ls="", marker=".", ms=size, mew=0, **style)[0]
        self.sizes[dots] = size
        return dots

    def show(self, line: Line2D, samples: Array) -> float:
        """Put samples into `line`; returns the share of values that the axes cannot show."""
        x, y, outside = self.lay_out(samples, far=20.0)
        line.set_data(x, y)
        if line in self.sizes:  # the fewer the larger, up to double
            line.set_markersize(self.sizes[line] * min(2.0, (SHOWN_POINTS / len(x)) ** 0.5))
        return outside

    def lay_out(self, samples: Array, far: float) -> tuple[Array, Array, float]:
        """Coordinates of points, or of lines with NaN between them, and the share off the axes."""
        with np.errstate(invalid="ignore", over="ignore"):  # of NaN and Inf, which are not drawn
            flat = np.asarray(samples, dtype=float).reshape(len(samples), -1)
            flat = flat if self.axes is None else flat @ self.axes
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


def principal_axes(task: Task) -> Array:
    """The two directions (d, 2) in which the task's reference is widest, the widest first."""
    _, axes = np.linalg.eigh(np.cov(task.reference.flatten(1).double().numpy().T))
    return np.ascontiguousarray(axes[:, :-3:-1])


def _held(values: Array, limits: tuple[float, float], far: float) -> Array:
    reach = far * (limits[1] - limits[0])
    return np.clip(values, limits[0] - reach, limits[1] + reach)


def _final(scene: Scene, axes: Axes, frames: Frames) -> Line2D:
    """Draw the last frame, and say in words what cannot be drawn."""
    line = scene.line(axes, "generated", ORANGE, 4)
    if not frames:
        note(axes, "no samples")
    elif (outside := scene.show(line, frames[-1][1])) > 0.005:
        note(axes, f"{outside:.0%} outside")
    return line


def _panels(n: int, aspect: float) -> tuple[Figure, FigureCanvasAgg, list[Axes]]:
    """n panels in rows, with room for titles: fixed margins, as automatic ones take a draw."""
    columns = n if n <= 3 else math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    side = 3.6 if n <= 3 else 2.9
    width, height = max(columns * side, 4.6), rows * side * aspect + 0.9
    figure, canvas = blank_figure(width, height)
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
