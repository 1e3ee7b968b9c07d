"""Samples that are images: walls of up to 10 x 10, beside real ones, and in motion.

Images have one channel (grey) or three (colours), and values in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ganbench.core import Task
from ganbench.plots.paper import Array, Frames, seed_title, shown_seeds, step_title
from ganbench.results.schema import SeedResult

SIDE = 10  # images in a row of a whole wall
SMALL_SIDE = 6  # the same where more than three panels share a picture
LEAST_REAL = 25  # real images shown, even where the last frame holds fewer generated ones
TARGET = 450  # pixels: how wide few images are enlarged to be, if the limits of the scale allow
SCALES = (2, 8)
LINE, LINE_GREY = 2, 128  # width and grey of the lines between images
GAP = 16  # pixels between panels
TEXT, LARGE_TEXT = 15, 19


def compare(task: Task, frames: Mapping[int, Frames], seeds: Sequence[SeedResult]) -> Array:
    """Real images beside each seed's final ones, all enlarged alike."""
    shown, title = shown_seeds(task, seeds)
    most = (SIDE if len(shown) <= 2 else SMALL_SIDE) ** 2
    final = {s.seed: frames[s.seed][-1][1][:most] for s in shown if frames.get(s.seed)}
    count = max([LEAST_REAL, *map(len, final.values())])
    real = task.reference[:count].numpy()
    scale = _scale(real)
    images = wall(real, scale)
    panels = [_captioned(images, "real data", TEXT)]
    for seed in shown:
        samples = final.get(seed.seed)
        made = np.full_like(images, 255) if samples is None else wall(samples, scale)
        panels.append(_captioned(made, seed_title(seed) + _trouble(samples), TEXT))
    return _captioned(_tiled(panels, GAP), title, LARGE_TEXT)


def stills(task: Task, seed: int, frames: Frames) -> Iterator[tuple[int, Array]]:
    """Step and wall of each frame."""
    return ((step, wall(samples)) for step, samples in frames)


def pages(task: Task, seed: int, frames: Frames) -> Iterator[Array]:
    """A page of the GIF for each frame: its wall under a title.

    All pages are of one size, that of the largest wall under the longest title.
    """
    largest = max((samples for _, samples in frames), key=len)
    longest = step_title(task, seed, max(step for step, _ in frames))
    size = _captioned(wall(largest), longest, TEXT).shape
    for step, image in stills(task, seed, frames):
        yield _captioned(image, step_title(task, seed, step), TEXT, size)


def beside_real(task: Task, title: str, samples: Array) -> Array:
    """Walls of real samples and of these under a title."""
    real = task.reference[: SIDE**2].numpy()
    made = samples[: SIDE**2]
    blank = np.full((len(real) - len(made), *task.shape), np.nan, np.float32)
    walls = [("real data", wall(real)), ("generated", wall(np.concatenate([made, blank])))]
    panels = [_captioned(image, name, TEXT) for name, image in walls]
    return _captioned(_tiled(panels, GAP), title, LARGE_TEXT)


def _trouble(samples: Array | None) -> str:
    """In words, what cannot be drawn."""
    if samples is None:
        return ", no samples"
    lost = 1 - np.isfinite(samples).mean()
    return f", {lost:.0%} not finite" if lost > 0.005 else ""


def wall(samples: Array, scale: int | None = None) -> Array:
    """The first 100 images of (m, channels, h, w) in a square or nearly so, as bytes.

    Shape (height, width) for one channel, (height, width, 3) for three. Each pixel becomes
    `scale` x `scale`. Values are held to [-1, 1]; NaN is the grey half-way.
    """
    samples = samples[: SIDE**2]
    scale = scale or _scale(samples)
    values = np.nan_to_num(np.asarray(samples, dtype=np.float32), nan=0.0)
    values = np.rint((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
    values = values.transpose(0, 2, 3, 1).repeat(scale, axis=1).repeat(scale, axis=2)
    image = _tiled(list(values), LINE, LINE_GREY)
    return image[..., 0] if image.shape[2] == 1 else image


def _scale(samples: Array) -> int:
    """How often to enlarge these images, shape (m, channels, h, w)."""
    width: int = samples.shape[3]
    return min(max(SCALES[0], TARGET // (_columns(len(samples)) * width)), SCALES[1])


def _columns(n: int) -> int:
    return n if n <= 3 else math.ceil(math.sqrt(n))


def _tiled(images: Sequence[Array], gap: int, grey: int = 255) -> Array:
    """Images in rows, on a grey page that shows between and around them."""
    columns = _columns(len(images))
    rows = math.ceil(len(images) / columns)
    height, width = (gap + max(image.shape[axis] for image in images) for axis in (0, 1))
    shape = (rows * height + gap, columns * width + gap, *images[0].shape[2:])
    page = np.full(shape, grey, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * height + gap, index % columns * width + gap
        page[top : top + image.shape[0], left : left + image.shape[1]] = image
    return page


def _captioned(image: Array, text: str, size: int, least: Sequence[int] = (0, 0)) -> Array:
    """An image under a line of text, on a white page of `least` that shape or larger."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)
    strip = 2 * size
    height = max(strip + image.shape[0], least[0])
    width = max(image.shape[1], math.ceil(font.getlength(text)) + size, least[1])
    page = np.full((height, width, *image.shape[2:]), 255, dtype=np.uint8)
    left = (width - image.shape[1]) // 2
    page[strip : strip + image.shape[0], left : left + image.shape[1]] = image
    drawn = Image.fromarray(page)
    ImageDraw.Draw(drawn).text((width / 2, size), text, fill="black", font=font, anchor="mm")
    return np.asarray(drawn)
