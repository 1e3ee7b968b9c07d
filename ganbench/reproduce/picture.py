"""The picture of a protocol: what each run made over the true modes, a panel a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ganbench.core import Task
from ganbench.plots.paper import (
    BLUE,
    ORANGE,
    Array,
    blank_figure,
    limits,
    note,
    pixels,
    png,
)
from ganbench.reproduce.trials import Trials
from ganbench.results.schema import SeedResult
from ganbench.system.files import write_atomically

SIDE = 1.9  # inches of a panel
UNSEEN = 0.005  # of samples, from where on a panel says how many it does not show
MOST = 10  # panels of a row


def draw(done: Sequence[Trials], path: Path) -> bool:
    """Draw a row of panels for each of a table into `path`; whether there was anything to draw."""
    shown = [each for each in done if each.seeds and each.job.task.modes is not None]
    if not shown:
        return False
    columns = min(MOST, max(len(each.seeds) for each in shown))
    figure, canvas = blank_figure(max(columns * SIDE, 3.0) + 0.3, len(shown) * (SIDE + 0.3) + 0.1)
    panels = figure.subplots(len(shown), columns, squeeze=False)
    for row, each in zip(panels, shown, strict=True):
        for place, axes in enumerate(row):
            if place < len(each.seeds):
                seed = each.seeds[place]
                _panel(axes, each.job.task, each.samples(seed))
                axes.set_title(_title(each, seed), fontsize=7)
            else:
                axes.set_axis_off()
    figure.tight_layout(pad=0.4)
    canvas.draw()
    write_atomically(path, png(pixels(canvas)))
    return True


def _title(trials: Trials, seed: SeedResult) -> str:
    name, modes = f"{trials.name}, seed {seed.seed}", seed.metrics.get("modes")
    return f"{name}: {seed.status}" if modes is None else f"{name}: {modes:.0f} modes"


def _panel(axes: Axes, task: Task, samples: Array | None) -> None:
    """Samples as dots over rings around the true modes."""
    assert task.modes is not None
    centers = task.modes.centers.numpy()
    axes.set(xlim=limits(centers[:, 0], 0.2), ylim=limits(centers[:, 1], 0.2), xticks=[], yticks=[])
    axes.set_aspect("equal")
    axes.plot(*centers[:, :2].T, ls="", marker="o", ms=7, mew=0.7, mec=BLUE, mfc="none")
    if samples is None:
        note(axes, "no samples")
        return
    seen = np.isfinite(samples).all(1)
    axes.plot(*samples[seen, :2].T, ls="", marker=".", ms=1.5, mew=0, color=ORANGE, alpha=0.6)
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    inside = ((samples[:, :2] >= low) & (samples[:, :2] <= high)).all(1)
    if (outside := 1 - inside.mean()) > UNSEEN:
        note(axes, f"{outside:.0%} outside")
