"""What all pictures share: types, colours, figures, PNG and GIF files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ganbench.core import Task
from ganbench.results.schema import SeedResult

Array = NDArray[Any]
Frames = Sequence[tuple[int, Array]]
Log = Mapping[str, Array]
Snapshots = Sequence[tuple[int, Mapping[str, Array]]]

DPI = 80
SHOWN_SEEDS = 9

# Okabe and Ito (2008), told apart with any colour vision. Pale blue keeps real points behind.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
PALE = "#9CC9E5"

FRAME_MS, SHORT_FRAME_MS, LAST_FRAME_MS = 200, 100, 2_000
MANY_FRAMES = 50
GREYS = 16  # in a GIF of grey images: noisy walls in 256 greys would take three times the bytes


def blank_figure(width: float, height: float) -> tuple[Figure, FigureCanvasAgg]:
    """A figure of that size in inches, outside pyplot's global state."""
    figure = Figure(figsize=(width, height), dpi=DPI)
    return figure, FigureCanvasAgg(figure)


def pixels(canvas: FigureCanvasAgg) -> Array:
    """A copy of what the canvas shows, shape (height, width, 3)."""
    return np.array(canvas.buffer_rgba())[..., :3]


def limits(values: Array, margin: float) -> tuple[float, float]:
    """Ends of an axis on which these values leave `margin` of their span free on either side."""
    low, high = (float(np.nanmin(values)), float(np.nanmax(values))) if len(values) else (0.0, 0.0)
    # Equal values need some span too, and more of it the larger they are.
    span = max(high - low, 1e-6 * abs(high)) or 1.0
    return low - margin * span, high + margin * span


def note(axes: Axes, text: str) -> None:
    """A few words in the lower right corner of a panel."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    axes.text(0.97, 0.03, text, transform=axes.transAxes, ha="right", fontsize=9, bbox=box)


def shown_seeds(task: Task, seeds: Sequence[SeedResult]) -> tuple[Sequence[SeedResult], str]:
    """The seeds that have room beside the real data, and the title that says so."""
    shown = seeds[:SHOWN_SEEDS]
    some = f" (first {len(shown)} of {len(seeds)} seeds)" if len(shown) < len(seeds) else ""
    return shown, f"{task.name}: real and generated samples{some}"


def seed_title(seed: SeedResult) -> str:
    """The title of a seed's panel: its score, or what became of it."""
    if seed.status != "ok" or seed.score is None:
        return f"seed {seed.seed}: {seed.status}"
    return f"seed {seed.seed}: score {seed.score:.3f}"


def step_title(task: Task, seed: int, step: int) -> str:
    """The title of a picture of one step."""
    return f"{task.name}, seed {seed}, step {step:,}"


def png(image: Array, level: int = 6) -> bytes:
    """A PNG file of bytes (height, width), grey, or (height, width, 3 or 4), colours."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def gif(pages: Sequence[Array]) -> bytes:
    """An endless GIF, the last page held."""
    images = _grey(pages) if pages[0].ndim == 2 else _coloured(pages)
    frame = FRAME_MS if len(pages) <= MANY_FRAMES else SHORT_FRAME_MS
    durations = [frame] * (len(pages) - 1) + [LAST_FRAME_MS]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0
    )
    return buffer.getvalue()


def _grey(pages: Sequence[Array]) -> list[Image.Image]:
    step = 255 // (GREYS - 1)
    levels = ((np.arange(256) + step // 2) // step * step).astype(np.uint8)
    return [Image.fromarray(levels[page]) for page in pages]


def _coloured(pages: Sequence[Array]) -> list[Image.Image]:
    """Pages with one palette that serves all."""
    height, width = pages[0].shape[:2]
    strip = Image.fromarray(np.concatenate(pages)).quantize(64, Image.Quantize.FASTOCTREE)
    return [strip.crop((0, i * height, width, (i + 1) * height)) for i in range(len(pages))]
