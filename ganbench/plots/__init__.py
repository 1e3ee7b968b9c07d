"""Pictures of a run: its samples beside real ones, in motion, and its training curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ganbench.core import Task
from ganbench.plots import feature_view, points, training, walls
from ganbench.plots.paper import Array, Frames, Log, Snapshots, gif, png
from ganbench.results.schema import SeedResult
from ganbench.system.files import write, write_atomically

__all__ = ["frame", "save_pictures"]

GIF_FRAMES = 100


def save_pictures(
    task: Task,
    frames: Mapping[int, Frames],
    seeds: Sequence[SeedResult],
    folder: Path,
    *,
    kept: Mapping[int, Frames] = {},
    logs: Mapping[int, Log] = {},
    features: Mapping[int, Snapshots] = {},
) -> list[Path]:
    """Draw a run into `folder`; return what was written, a folder of steps as one path.

    `real_vs_generated.png`, `training.png`, and of the first seed that has any samples
    `samples.gif`, `samples/step-*.png` and `features/step-*.png`. A picture that has nothing to
    show is left out; pictures of steps from an earlier run are removed.

    `frames[seed]` holds (step, samples of shape (m, *task.shape)) of each round, `kept[seed]` of
    the steps that are to be drawn one by one (without any, the frames are). Samples may be NaN,
    infinite or far away. `logs[seed]` holds columns of one length, "step" and losses and
    accuracies (NaN where a row has none), which are drawn instead of the curve's.
    `features[seed]` holds (step, snapshot), see `plots.feature_view`.
    """
    look: _Look = walls if task.is_images else points
    recorded = {seed.seed: kept.get(seed.seed) or frames.get(seed.seed, ()) for seed in seeds}
    rounds = {seed: frames.get(seed) or recorded[seed] for seed in recorded}
    shown = next((seed for seed in recorded if recorded[seed]), None)
    stills: Iterable[tuple[int, Array]] = ()
    views: Iterable[tuple[int, Array]] = ()
    pictures: dict[str, bytes] = {}
    if seeds:
        pictures["real_vs_generated.png"] = png(look.compare(task, rounds, seeds))
    if (panels := training.picture(task, seeds, logs)) is not None:
        pictures["training.png"] = png(panels)
    if shown is not None:
        longer = max(recorded[shown], rounds[shown], key=len)
        pictures["samples.gif"] = gif(list(look.pages(task, shown, _evenly(longer))))
        stills = look.stills(task, shown, recorded[shown])
        views = feature_view.film(task, shown, features.get(shown, ()))
    for name, content in pictures.items():
        write_atomically(folder / name, content)
    folders = _write_steps(folder / "samples", stills) + _write_steps(folder / "features", views)
    return [folder / name for name in pictures] + folders


def frame(task: Task, step: int, samples: Array | None) -> Array:
    """Real samples and those of one step, uint8 (height, width, 3), of one size for a task.

    Without any `samples`, (m, *task.shape), there are only real ones.
    """
    look: _Look = walls if task.is_images else points
    made = np.full((1, *task.shape), np.nan, np.float32) if samples is None else samples
    image = look.beside_real(task, f"{task.name}, step {step:,}", made)
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


class _Look(Protocol):
    """How samples of one kind are drawn: `points` or `walls`."""

    def compare(
        self, task: Task, frames: Mapping[int, Frames], seeds: Sequence[SeedResult]
    ) -> Array:
        """Each seed's last frame beside or over real samples."""

    def stills(self, task: Task, seed: int, frames: Frames) -> Iterator[tuple[int, Array]]:
        """Step and picture of each frame."""

    def pages(self, task: Task, seed: int, frames: Frames) -> Iterator[Array]:
        """The pages under a title, all of one size."""

    def beside_real(self, task: Task, title: str, samples: Array) -> Array:
        """Real samples and these under a title."""


def _evenly(frames: Frames) -> Frames:
    """At most GIF_FRAMES of them, the first and the last included."""
    places = np.linspace(0, len(frames) - 1, min(len(frames), GIF_FRAMES))
    return [frames[round(place)] for place in places]


def _write_steps(folder: Path, stills: Iterable[tuple[int, Array]]) -> list[Path]:
    """Write `step-000000001.png` and so on; of the folder's former ones none remains."""
    for path in folder.glob("step-*.png"):
        path.unlink()
    for step, still in stills:
        # Not atomic, for there may be hundreds.
        write(folder / f"step-{step:09d}.png", png(still, level=1))
    return [folder] if any(folder.glob("step-*.png")) else []
