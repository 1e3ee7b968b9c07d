"""Draw the README's picture from published samples: `python docs/pictures/draw.py`."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.axes import Axes
from PIL import Image
from safetensors.numpy import load_file

from ganbench import registry
from ganbench.plots.paper import ORANGE, PALE, blank_figure, pixels
from ganbench.plots.points import Scene

HERE = Path(__file__).resolve().parent
BOARD = HERE.parents[1] / "leaderboard"
TASKS = ("spirals", "pinwheel", "swiss_roll", "ring8")


def square(axes: Axes) -> None:
    """Widen the shorter axis, so that all panels are of one size."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    half = max(right - left, top - bottom) / 2
    x, y = (left + right) / 2, (bottom + top) / 2
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half))


def draw(path: Path) -> None:
    """A panel a task: what seed 0 of the published `mlp_gan` generated, over real samples."""
    figure, canvas = blank_figure(3.0 * len(TASKS), 3.6)
    panels = figure.subplots(1, len(TASKS))
    for name, axes in zip(TASKS, panels, strict=True):
        entry = BOARD / name / "mlp_gan"
        result = json.loads(entry.with_suffix(".json").read_text(encoding="utf-8"))
        scene = Scene(registry.load_task(name))
        scene.panel(axes, f"{name}: score {result['seeds'][0]['score']:.2f}")
        square(axes)
        real, made = scene.line(axes, "real", PALE, 7), scene.line(axes, "generated", ORANGE, 4)
        scene.show(real, scene.real)
        scene.show(made, load_file(entry / "samples.safetensors")["seed-0"][: len(scene.real)])
        axes.tick_params(labelsize=8)
    figure.subplots_adjust(left=0.03, right=0.99, top=0.92, bottom=0.18, wspace=0.17)
    figure.legend(handles=[real, made], loc="lower center", ncols=2, frameon=False, markerscale=2)
    canvas.draw()
    # A picture of few colours: a palette makes it a third of the bytes.
    picture = Image.fromarray(pixels(canvas)).quantize(64, Image.Quantize.FASTOCTREE)
    picture.save(path, optimize=True)


if __name__ == "__main__":
    draw(HERE / "real_vs_generated.png")
