"""How one training step moves real and generated samples in the discriminator's feature layer.

A snapshot holds the layer's activations of one batch, arrays of shape (m, features): "real_" and
"fake_" followed by "before_d" (before the discriminator's update), "before_g" (between the two
updates) and "after_g" (after the generator's).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ganbench.core import Task
from ganbench.plots.paper import (
    BLUE,
    ORANGE,
    Array,
    Snapshots,
    blank_figure,
    limits,
    pixels,
    step_title,
)

MOMENTS = ("before_d", "before_g", "after_g")
UPDATES = {"D": ("before_d", "before_g"), "G": ("before_g", "after_g")}
COLOURS = {"real": BLUE, "generated": ORANGE}
PREFIXES = {"real": "real", "generated": "fake"}
ARRAYS = {f"{prefix}_{moment}" for prefix in PREFIXES.values() for moment in MOMENTS}
# One update may move the generated centroid by a thousandth of the panel. The arrow is stretched
# until it has at least this share of it, by a factor that the title of the panel states.
ARROW = 0.08
STRETCHES = tuple(digit * 10**power for power in range(4) for digit in (1, 2, 5))


def film(task: Task, seed: int, snapshots: Snapshots) -> Iterator[tuple[int, Array]]:
    """Step and picture of each snapshot: clouds and centroids, before and after either update.

    Snapshots of steps at which the generator was not updated, which lack arrays, are left out.
    """
    whole = [(step, snapshot) for step, snapshot in snapshots if snapshot.keys() >= ARRAYS]
    if not whole:  # as for most systems: spare them the figure
        return
    figure, canvas = blank_figure(9.6, 5.0)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    panels = [_Panel(left, "D"), _Panel(right, "G")]
    title = figure.suptitle("", fontsize=12)
    moving = (left, right, title)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.86, bottom=0.22, wspace=0.05)
    handles = list(panels[0].lines.values())
    figure.legend(handles=handles, loc="lower center", ncols=4, frameon=False, fontsize=9)
    for artist in moving:
        artist.set_animated(True)
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)  # the legend takes a third of the time
    for step, snapshot in whole:
        flat, label = _planar(snapshot)
        x, y = np.concatenate(list(flat.values())).T
        left.set(xlim=limits(x, 0.05), ylim=limits(y, 0.05), ylabel=f"{label} 2")
        for panel in panels:
            panel.axes.set_xlabel(f"{label} 1")
            panel.show(flat)
        title.set_text(step_title(task, seed, step))
        canvas.restore_region(background)
        for artist in moving:
            figure.draw_artist(artist)
        yield step, pixels(canvas)


class _Panel:
    """The real and the generated cloud before and after one network's update."""

    def __init__(self, axes: Axes, network: str) -> None:
        self.axes = axes
        self.moments = dict(zip(("before", "after"), UPDATES[network], strict=True))
        self.title = f"before and after {network}'s update"
        self.lines: dict[tuple[str, str, str], Line2D] = {}
        # What has not moved is seen as a dot in a ring, or as a cross in an open one.
        self._add("cloud", "before", marker="o", ms=6, mfc="none", mew=0.8, alpha=0.6)
        self._add("cloud", "after", marker="o", ms=3.2, mew=0, alpha=0.9)
        self._add("centroid", "before", marker="P", ms=17, mfc="white", mew=1.8)
        self._add("centroid", "after", marker="X", ms=11, mec="black", mew=0.8)
        axes.tick_params(labelsize=8)
        style = {"arrowstyle": "-|>", "lw": 1.8, "color": "black", "shrinkA": 0, "shrinkB": 0}
        self.arrow = axes.annotate("", (0, 0), (0, 0), arrowprops=style, zorder=4)

    def _add(self, what: str, when: str, **style: Any) -> None:
        for kind, colour in COLOURS.items():
            label = f"{kind} {when}" if what == "cloud" else f"centroid of {kind} {when}"
            (line,) = self.axes.plot([], [], ls="", color=colour, label=label, **style)
            self.lines[what, kind, when] = line

    def show(self, flat: Mapping[str, Array]) -> None:
        """Put the clouds, arrays of shape (m, 2), and their centroids into the panel."""
        centroids = {}
        for kind, prefix in PREFIXES.items():
            for when, moment in self.moments.items():
                cloud = flat[f"{prefix}_{moment}"]
                centroid = cloud.mean(axis=0) if len(cloud) else np.full(2, np.nan)
                self.lines["cloud", kind, when].set_data(*cloud.T)
                self.lines["centroid", kind, when].set_data(*centroid[:, None])
                centroids[kind, when] = centroid
        self._point(centroids["generated", "before"], centroids["generated", "after"])

    def _point(self, start: Array, end: Array) -> None:
        """The arrow from one centroid to another; none where both are the same or unknown."""
        spans = np.ptp([self.axes.get_xlim(), self.axes.get_ylim()], axis=1)
        length = float(np.hypot(*((end - start) / spans)))
        stretch = next((factor for factor in STRETCHES if factor * length >= ARROW), None)
        self.arrow.set_visible(stretch is not None)
        stretched = f" (arrow: {stretch:,} x the movement)" if stretch and stretch > 1 else ""
        self.axes.set_title(self.title + stretched, fontsize=10)
        if stretch is not None:
            self.arrow.set_position(tuple(start))
            self.arrow.xy = tuple(start + stretch * (end - start))


def _planar(snapshot: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
    """Finite activations as points of a plane, shape (m, 2), and what its axes are.

    More than two features are laid out along the first two principal axes of the real ones.
    """
    clouds = {name: np.asarray(values, dtype=float) for name, values in snapshot.items()}
    clouds = {name: cloud[np.isfinite(cloud).all(axis=1)] for name, cloud in clouds.items()}
    clouds = {name: np.clip(cloud, -1e30, 1e30) for name, cloud in clouds.items()}
    real = clouds["real_before_d"]
    width = real.shape[1]
    if width <= 2:
        return {n: np.pad(c, ((0, 0), (0, 2 - width))) for n, c in clouds.items()}, "feature"
    centred = real - real.sum(axis=0) / max(len(real), 1)
    _, axes = np.linalg.eigh(centred.T @ centred)  # in order of growing variance
    return {n: c @ axes[:, :-3:-1] for n, c in clouds.items()}, "principal axis"
