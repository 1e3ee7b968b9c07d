"""The pictures of a run exist, open, and survive runs that went wrong."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ganbench import registry
from ganbench.core import Task
from ganbench.plots import save_pictures
from ganbench.results import Point, SeedResult, Status, Timing

Frames = list[tuple[int, NDArray[Any]]]
LOSSES = {"d_loss": 1.4, "g_loss": 0.7, "d_accuracy": 0.6, "g_accuracy": 0.4}


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Iterator[None]:
    """A picture is drawn without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def seed_result(
    seed: int, task: Task, *, losses: dict[str, float] = LOSSES, status: Status = "ok"
) -> SeedResult:
    metrics = {task.ranking: 0.1}
    timing = dict.fromkeys(Timing.model_fields, 0.0)
    return SeedResult(
        seed=seed,
        status=status,
        reason=None,
        metrics={},
        score=0.5 if status == "ok" else 0.0,
        curve=[
            Point(step=10 * i, train_seconds=i, losses=losses, metrics=metrics) for i in (1, 2, 3)
        ],
        timing=Timing.model_validate(timing),
        peak_memory_bytes=0,
        samples_sha256=None,
    )


def drawn(task: Task, count: int) -> Frames:
    rng = torch.Generator().manual_seed(0)
    return [(10 * i, task.sample(64, rng).numpy()) for i in range(1, count + 1)]


def names(paths: list[Path]) -> set[str]:
    return {path.name for path in paths}


def opened(path: Path) -> Image.Image:
    """The image, from memory: Pillow keeps the file of an animation open."""
    return Image.open(io.BytesIO(path.read_bytes()))


def is_blank(path: Path) -> bool:
    return len(opened(path).convert("RGB").getcolors(1 << 20) or []) == 1


@pytest.mark.parametrize("name", ["ring8", "sine", "quadratic"])
def test_pictures_are_valid(name: str, tmp_path: Path) -> None:
    task = registry.load_task(name)
    seeds = [seed_result(seed, task) for seed in (0, 1)]
    paths = save_pictures(task, {0: drawn(task, 5), 1: drawn(task, 2)}, seeds, tmp_path)
    assert names(paths) == {"real_vs_generated.png", "training.png", "samples.gif"}
    assert set(paths) == set(tmp_path.iterdir())
    for path in paths:
        assert opened(path).format == path.suffix[1:].upper()
        assert not is_blank(path)
    assert getattr(opened(tmp_path / "samples.gif"), "n_frames", 1) == 5


def test_last_frame_is_held(tmp_path: Path) -> None:
    task = registry.load_task("ring8")
    save_pictures(task, {0: drawn(task, 3)}, [seed_result(0, task)], tmp_path)
    image = opened(tmp_path / "samples.gif")
    durations = []
    for index in range(3):
        image.seek(index)
        durations.append(image.info["duration"])
    assert durations[0] == durations[1] < durations[2]


@pytest.mark.parametrize("name", ["ring8", "sine"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -1e9])
def test_diverged_frames_are_drawn(name: str, bad: float, tmp_path: Path) -> None:
    task = registry.load_task(name)
    frames = drawn(task, 3)
    frames[1][1][:32] = bad
    frames[1][1][32:, 0] = bad
    frames[2][1][:] = bad
    losses = {**LOSSES, "d_loss": 1e300, "g_loss": -1e300}
    seeds = [seed_result(0, task, losses=losses, status="diverged")]
    assert len(save_pictures(task, {0: frames}, seeds, tmp_path)) == 3


def test_empty_losses_leave_their_panels_out(tmp_path: Path) -> None:
    task = registry.load_task("ring8")
    heights = []
    for losses in (LOSSES, {}):
        seed = seed_result(0, task, losses=losses)
        save_pictures(task, {0: drawn(task, 1)}, [seed], tmp_path)
        heights.append(opened(tmp_path / "training.png").height)
    assert heights[1] < heights[0]


def test_what_has_nothing_to_show_is_left_out(tmp_path: Path) -> None:
    task = registry.load_task("ring8")
    seed = seed_result(0, task, status="failed").model_copy(update={"curve": []})
    assert names(save_pictures(task, {}, [seed], tmp_path)) == {"real_vs_generated.png"}
    assert save_pictures(task, {}, [], tmp_path) == []


def test_gif_is_of_the_first_seed_that_has_frames(tmp_path: Path) -> None:
    task = registry.load_task("ring8")
    seeds = [seed_result(seed, task) for seed in range(12)]
    save_pictures(task, {0: [], 11: drawn(task, 4)}, seeds, tmp_path)
    assert getattr(opened(tmp_path / "samples.gif"), "n_frames", 1) == 4


@pytest.mark.parametrize("dimensions", [1, 3])
def test_other_shapes_are_drawn(dimensions: int, tmp_path: Path) -> None:
    def normal(n: int, rng: torch.Generator) -> torch.Tensor:
        return torch.randn(n, dimensions, generator=rng)

    task = replace(registry.load_task("ring8"), shape=(dimensions,), sample=normal)
    paths = save_pictures(task, {0: drawn(task, 2)}, [seed_result(0, task)], tmp_path)
    assert len(paths) == 3
