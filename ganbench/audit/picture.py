"""The picture of an audit: how each quantity of one metric function answered its trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ganbench.audit.checks import Finding
from ganbench.audit.trials import EXTREME, GRADED, MOVES, Trials
from ganbench.plots.paper import BLUE, GREEN, ORANGE, Array, blank_figure, pixels

WIDTH, HEIGHT = 3.0, 2.1  # inches of a panel
UNITS = {
    "shift": "moved by, deviations",
    "noise": "noise, deviations",
    "drop": "modes left out, share",
    "copies": "training samples, share",
    "extremes": "",
    "n": "samples of equal laws",
    "invariance": "before and after",
    "p-values": "p-value under equal laws",
}
# What of a panel's findings goes with it; a panel without trials is left out.
JUDGED = {
    **{kind: (kind,) for kind in GRADED},
    "extremes": (*EXTREME, "fidelity", "coverage"),
    "n": ("unbiased", "consistent"),
    "invariance": tuple(MOVES),
    "p-values": ("calibrated",),
}


def picture(trials: Trials, findings: Sequence[Finding]) -> Array:
    """A row of panels for each quantity. A title is green where all its promises were kept."""
    columns = [name for name in UNITS if _was_tried(trials, name)]
    quantities = list(trials.promises)
    height = HEIGHT * len(quantities) + 0.6
    figure, canvas = blank_figure(WIDTH * len(columns) + 0.6, height)
    figure.suptitle(f"{trials.task}: audit of {', '.join(quantities)}")
    grid = figure.subplots(len(quantities), len(columns), squeeze=False)
    for row, quantity in zip(grid, quantities, strict=True):
        for panel, name in zip(row, columns, strict=True):
            mine = [f for f in findings if f.quantity == quantity and f.promise in JUDGED[name]]
            _entitle(panel, quantity, name, mine)
            _draw(panel, trials, quantity, name)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.1 / height))
    canvas.draw()
    return pixels(canvas)


def _was_tried(trials: Trials, name: str) -> bool:
    others = {
        "extremes": trials.extreme,
        "n": len(trials.null) > 1,
        "invariance": trials.moved,
        "p-values": trials.p_values,
    }
    return bool(others.get(name, name in trials.graded))


def _entitle(panel: Axes, quantity: str, name: str, findings: Sequence[Finding]) -> None:
    """The quantity, and which of its promises the panel shows, or that it made none."""
    broken = [finding.promise for finding in findings if not finding.kept]
    words = ", ".join(finding.promise for finding in findings)
    text = f"broken: {', '.join(broken)}" if broken else words or "no promise"
    colour = ORANGE if broken else GREEN if findings else "grey"
    panel.set_title(text, fontsize=8, color=colour)
    panel.set_xlabel(UNITS[name], fontsize=7)
    panel.set_ylabel(quantity, fontsize=7)
    panel.tick_params(labelsize=7)


def _draw(panel: Axes, trials: Trials, quantity: str, name: str) -> None:
    if name in trials.graded:
        strengths = [strength for strength, _ in trials.graded[name]]
        answers = [values[quantity] for _, values in trials.graded[name]]
        panel.plot(strengths, answers, "o-", color=BLUE, ms=3)
        _band(panel, trials.under_null(quantity))
    elif name == "extremes":
        sides = list(trials.extreme)
        values = [trials.level(quantity), *(trials.extreme[side][quantity] for side in sides)]
        panel.bar(["real", *sides], values, color=BLUE)
        _band(panel, trials.under_null(quantity))
    elif name == "n":
        sizes = list(trials.null)
        columns = [trials.under_null(quantity, n) for n in sizes]
        errors = [np.std(values, ddof=1) / len(values) ** 0.5 for values in columns]
        panel.errorbar(sizes, [np.mean(v) for v in columns], errors, fmt="o-", color=BLUE, ms=3)
        panel.set_xscale("log", base=2)
    elif name == "invariance":
        for place, (before, after) in enumerate(trials.moved.values()):
            panel.plot([place, place], [before[quantity], after[quantity]], "o-", color=BLUE, ms=3)
        panel.axhline(0, color="grey", lw=0.7)  # else rounding would fill the panel
        panel.set_xticks(range(len(trials.moved)), list(trials.moved))
    elif "calibrated" in trials.promises[quantity]:
        panel.plot(np.sort(trials.p_values), np.linspace(0, 1, len(trials.p_values)), color=BLUE)
        panel.plot([0, 1], [0, 1], color="grey", lw=0.7)
    else:
        panel.set_axis_off()
        panel.set_title("")


def _band(panel: Axes, null: Sequence[float]) -> None:
    """What equal laws give: two standard deviations about their mean."""
    level, deviation = float(np.mean(null)), float(np.std(null, ddof=1))
    panel.axhspan(level - 2 * deviation, level + 2 * deviation, color=GREEN, alpha=0.25, lw=0.5)
