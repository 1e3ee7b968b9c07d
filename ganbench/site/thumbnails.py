"""Small pictures of samples: real ones of a task, and those that came with an entry."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganbench import registry
from ganbench.board.attachments import wrong_samples
from ganbench.core import Task
from ganbench.errors import InputError
from ganbench.plots.paper import BLUE, ORANGE, Array, blank_figure
from ganbench.plots.points import Scene
from ganbench.plots.walls import wall
from ganbench.results import samples, schema, store
from ganbench.results.store import SAMPLES
from ganbench.system.files import write_atomically

SIDE = 1.5  # inches
IMAGES = 9  # of a wall
MARK = 2.2  # size of a point


def real(folder: Path, task: str) -> str | None:
    """The picture of a bundled task's real samples, written into a site; its path there."""
    if task not in registry.names("tasks"):
        return None
    return _written(folder, f"thumbnails/{task}.png", _task(task), _task(task).reference, BLUE)


def generated(folder: Path, path: Path) -> str | None:
    """The picture of the first samples that came with a result; None if there are none of its."""
    file = store.attached(path) / SAMPLES
    if path.parent.name not in registry.names("tasks") or not file.is_file():
        return None
    task = _task(path.parent.name)
    try:
        if wrong_samples(schema.load_result(path), path):
            return None
        _, made = samples.read_first_seed(file)
        made = task.check(made, len(made), SAMPLES)
    except InputError:
        return None  # its own page says what is wrong
    name = f"thumbnails/{task.name}/{path.stem}.png"
    return _written(folder, name, task, made, ORANGE)


def _written(folder: Path, name: str, task: Task, made: torch.Tensor, colour: str) -> str:
    image = Image.fromarray(_drawn(task, made, colour))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    write_atomically(folder / name, buffer.getvalue())
    return name


def _drawn(task: Task, made: torch.Tensor, colour: str) -> Array:
    if task.is_images:
        return wall(made[:IMAGES].numpy())
    scene = _scene(task.name)
    figure, canvas = blank_figure(SIDE, SIDE)
    figure.patch.set_alpha(0)  # points can be seen on a light page and on a dark one
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=scene.xlim, ylim=scene.ylim)
    scene.show(scene.line(axes, "", colour, MARK), made.numpy())
    canvas.draw()
    return np.array(canvas.buffer_rgba())


_task = functools.cache(registry.bundled_task)


@functools.cache
def _scene(task: str) -> Scene:
    return Scene(_task(task))
