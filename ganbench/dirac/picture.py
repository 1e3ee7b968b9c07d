"""The picture of the DiracGAN: the field of each method, and where its updates lead in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ganbench.dirac.methods import METHODS
from ganbench.dirac.play import RATE, START, STEPS, Ways, ways
from ganbench.dirac.recursion import FIELDS
from ganbench.dirac.theory import Updates, classify
from ganbench.plots.paper import BLUE, GREEN, ORANGE, PINK, blank_figure, pixels, png
from ganbench.system.files import write_atomically

ALIKE = {"r1": "R1, R2, zero-centred penalty", "r2": "", "zero_centered": ""}  # of linear D
COLUMNS, SIDE = 5, 3.0  # panels in a row, inches of one
REACH, ARROWS = 3.6, 15  # ends of both axes, arrows along them
COLOURS: dict[Updates, str] = {
    "simultaneous": ORANGE,
    "alternating": BLUE,
    "extragradient": GREEN,
    "optimistic": PINK,
}
DASHED = {"optimistic": (0, (3, 3))}  # for it goes nearly where extragradient does


def picture(path: Path, found: Ways | None = None) -> None:
    """Write a PNG: a panel for each method, with the ways from (1, 1) of all its updates.

    `found` are the trajectories, if they are known already. OSError if it cannot be written.
    """
    found = found or ways()
    titles = {method: ALIKE.get(method, METHODS[method].title) for method in METHODS}
    shown = [method for method, title in titles.items() if title]
    rows = -(-len(shown) // COLUMNS)
    width, height = COLUMNS * SIDE, rows * (SIDE + 0.6) + 0.9
    figure, canvas = blank_figure(width, height)
    grid = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    for method, panel in zip(shown, grid.flat, strict=False):
        _field(panel, method)
        said = [_way(panel, found, method, updates) for updates in COLOURS]
        panel.set_title(titles[method], fontsize=11, pad=22)
        _say(panel, [each for each in said if each])
    for panel in grid.flat[len(shown) :]:
        panel.set_axis_off()
    for panel in grid[-1]:
        panel.set_xlabel(r"$\theta$, the generator")
    for panel in grid[:, 0]:
        panel.set_ylabel(r"$\psi$, the discriminator")
    figure.suptitle(
        f"DiracGAN: {STEPS} steps of {RATE} from (1, 1); the equilibrium is (0, 0)", fontsize=13
    )
    figure.legend(handles=_handles(), loc="lower center", ncols=7, frameon=False, fontsize=10)
    figure.tight_layout(rect=(0, 0.4 / height, 1, 1))
    canvas.draw()
    write_atomically(Path(path), png(pixels(canvas)))


def _field(panel: Axes, method: str) -> None:
    """Which way the field points, and darker where it is stronger."""
    ticks = np.linspace(-REACH, REACH, ARROWS + 2)[1:-1]
    theta, psi = np.meshgrid(ticks, ticks)
    u, v = FIELDS[method](theta, psi)
    length = np.hypot(u, v)
    scale = np.where(length > 0, length, 1)
    panel.quiver(
        theta,
        psi,
        u / scale,
        v / scale,
        np.sqrt(length),
        cmap="Greys",
        clim=(-0.6, 2.4),
        pivot="mid",
        scale=22,
        width=0.005,
        headwidth=4,
    )
    if method == "wgan_clip":
        for side in (-1, 1):
            panel.axhline(side, color="grey", lw=0.8, ls=":")
    panel.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    panel.set_xticks(range(-3, 4))
    panel.set_yticks(range(-3, 4))
    panel.tick_params(labelsize=8)


def _way(panel: Axes, found: Ways, method: str, updates: Updates) -> tuple[str, str] | None:
    """Draw the way, if there is one; what it does, and its colour."""
    way = found.get((method, updates))
    if way is None:
        return None
    colour = COLOURS[updates]
    theta, psi = way.T
    panel.plot(theta, psi, color=colour, lw=1.1, alpha=0.85, ls=DASHED.get(updates, "-"))
    if abs(way[-1]).max() < REACH:
        panel.plot(theta[-1:], psi[-1:], "s", color=colour, ms=5, mec="white", mew=0.7, zorder=4)
    panel.plot(*START, "o", color="black", ms=4, zorder=5)
    panel.plot(0, 0, "+", color="black", ms=9, mew=1.4, zorder=5)
    return classify(way), colour


def _say(panel: Axes, said: list[tuple[str, str]]) -> None:
    """What each way does, in its colour, side by side over the panel."""
    for place, (words, colour) in enumerate(said):
        at = (place + 0.5) / len(said)
        panel.text(
            at, 1.03, words, transform=panel.transAxes, ha="center", fontsize=8.5, color=colour
        )


def _handles() -> list[Line2D]:
    lines = [
        Line2D([], [], color=colour, label=updates, ls=DASHED.get(updates, "-"))
        for updates, colour in COLOURS.items()
    ]
    marks = {"o": "start", "s": "end", "+": "equilibrium"}
    return lines + [
        Line2D([], [], color="black", ls="", marker=mark, label=what)
        for mark, what in marks.items()
    ]
