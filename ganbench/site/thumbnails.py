"""Small pictures of samples: real ones of a task, and those that came with an entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ganbench import registry
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.plots.paper import BLUE, ORANGE, Array, blank_figure, png
from ganbench.plots.walls import wall
from ganbench.results import schema
from ganbench.site.entry_page import bundled, first_samples, scene_of
from ganbench.system.files import write_atomically

SIDE = 1.5  # inches
IMAGES = 9  # of a wall
MARK = 2.2  # size of a point


def real(folder: Path, task: str) -> str | None:
    """The picture of a bundled task's real samples, written into a site; its path there."""
    if task not in registry.names("tasks"):
        return None
    known = bundled(task)
    return _written(folder, f"thumbnails/{task}.png", known, known.reference, BLUE)


def generated(folder: Path, path: Path) -> str | None:
    """The picture of the first samples that came with a result; None if there are none of its."""
    try:
        found = first_samples(schema.load_result(path), path)
    except InputError:
        return None  # its own page says what is wrong
    if found is None:
        return None
    _, task, made = found
    return _written(folder, f"thumbnails/{task.name}/{path.stem}.png", task, made, ORANGE)


def _written(folder: Path, name: str, task: Task, made: torch.Tensor, colour: str) -> str:
    write_atomically(folder / name, png(_drawn(task, made, colour)))
    return name


def _drawn(task: Task, made: torch.Tensor, colour: str) -> Array:
    if task.is_images:
        return wall(made[:IMAGES].numpy())
    scene = scene_of(task.name)
    figure, canvas = blank_figure(SIDE, SIDE)
    figure.patch.set_alpha(0)  # points can be seen on a light page and on a dark one
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=scene.xlim, ylim=scene.ylim)
    scene.show(scene.line(axes, "", colour, MARK), made.numpy())
    canvas.draw()
    return np.array(canvas.buffer_rgba())
