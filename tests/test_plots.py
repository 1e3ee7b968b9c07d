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
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ganbench import registry
from ganbench.core import Task
from ganbench.plots import feature_view, save_pictures, training, walls
from ganbench.plots.points import Scene, principal_axes
from ganbench.results.schema import Point, SeedResult, Status, Timing

from .made import a_machine

Array = NDArray[Any]
Frames = list[tuple[int, Array]]
LOSSES = {"d_loss": 1.4, "g_loss": 0.7, "d_accuracy": 0.6, "g_accuracy": 0.4}


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Iterator[None]:
    """A picture is drawn without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def seed_result(
    seed: int,
    task: Task,
    *,
    losses: dict[str, float] = LOSSES,
    status: Status = "ok",
    points: int = 3,
) -> SeedResult:
    metrics = {task.tracked: 0.1}
    timing = dict.fromkeys(Timing.model_fields, 0.0)
    return SeedResult(
        seed=seed,
        status=status,
        reason=None,
        metrics={},
        views={"distribution": 0.5 if status == "ok" else -1.0},
        score=0.5 if status == "ok" else -1.0,
        curve=[
            Point(step=10 * i, train_seconds=i, losses=losses, metrics=metrics)
            for i in range(1, points + 1)
        ],
        timing=Timing.model_validate(timing),
        machine=a_machine(),
        peak_memory_bytes=0,
        samples_sha256=None,
    )


def drawn(task: Task, count: int) -> Frames:
    rng = torch.Generator().manual_seed(0)
    return [(10 * i, task.sample(64, rng).numpy()) for i in range(1, count + 1)]


def image_task(channels: int = 1) -> Task:
    """A task of images of 28 x 28, each of one shade."""

    def sample(n: int, rng: torch.Generator) -> torch.Tensor:
        shade = 2 * torch.rand(n, channels, 1, 1, generator=rng) - 1
        return shade.expand(n, channels, 28, 28)

    return replace(registry.load_task("ring8"), shape=(channels, 28, 28), sample=sample)


def flat_images(*shades: float) -> Array:
    """Grey images of 28 x 28, one for each shade."""
    return np.broadcast_to(np.array(shades)[:, None, None, None], (len(shades), 1, 28, 28))


def snapshot(width: int = 2, n: int = 40) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    views = {}
    for name, centre in (("real", 3.0), ("fake", 0.0)):
        cloud = rng.normal(centre, 1.0, (n, width))
        views[f"{name}_before_d"] = cloud
        views[f"{name}_before_g"] = views[f"{name}_after_g"] = 1.1 * cloud
    return views


def names(paths: list[Path]) -> set[str]:
    return {path.name for path in paths}


def opened(path: Path) -> Image.Image:
    """The image, from memory: Pillow keeps the file of an animation open."""
    return Image.open(io.BytesIO(path.read_bytes()))


def is_blank(path: Path) -> bool:
    return len(opened(path).convert("RGB").getcolors(1 << 20) or []) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring8", "sine", "quadratic"])
def test_pictures_are_valid(name: str, tmp_path: Path) -> None:
    task = registry.load_task(name)
    seeds = [seed_result(seed, task) for seed in (0, 1)]
    paths = save_pictures(task, {0: drawn(task, 5), 1: drawn(task, 2)}, seeds, tmp_path)
    files = {"real_vs_generated.png", "training.png", "samples.gif"}
    assert names(paths) == {*files, "samples"}
    assert set(paths) == set(tmp_path.iterdir())
    steps = list((tmp_path / "samples").iterdir())
    assert names(steps) == {f"step-0000000{step}.png" for step in (10, 20, 30, 40, 50)}
    for path in [*(tmp_path / name for name in files), *steps]:
        assert opened(path).format == path.suffix[1:].upper()
        assert not is_blank(path)
    assert getattr(opened(tmp_path / "samples.gif"), "n_frames", 1) == 5


def test_last_frame_is_held(tmp_path: Path) -> None:
    task = registry.load_task("ring8")
    save_pictures(task, {0: drawn(task, 3)}, [seed_result(0, task, points=0)], tmp_path)
    image = opened(tmp_path / "samples.gif")
    durations = []
    for index in range(3):
        image.seek(index)
        durations.append(image.info["duration"])
    assert durations[0] == durations[1] < durations[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring8", "sine"])
def test_diverged_frames_are_drawn(name: str, tmp_path: Path) -> None:
    task = registry.load_task(name)
    frames = {}
    for seed, bad in enumerate([np.nan, np.inf, -np.inf, 3e38, -1e9]):
        frames[seed] = drawn(task, 3)
        frames[seed][1][1][:32] = bad
        frames[seed][1][1][32:, 0] = bad
        frames[seed][2][1][:] = bad
    frames[0] = [frame for seed in frames for frame in frames[seed]]  # the film shows them all
    losses = {**LOSSES, "d_loss": 1e300, "g_loss": -1e300}
    seeds = [seed_result(seed, task, losses=losses, status="diverged") for seed in frames]
    assert len(save_pictures(task, frames, seeds, tmp_path)) == 4


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
    seed = seed_result(0, task, status="failed", points=0)
    assert names(save_pictures(task, {}, [seed], tmp_path)) == {"real_vs_generated.png"}
    assert save_pictures(task, {}, [], tmp_path) == []


def test_gif_is_of_the_first_seed_that_has_frames(tmp_path: Path) -> None:
    task = registry.load_task("ring8")
    seeds = [seed_result(seed, task, points=0) for seed in range(12)]
    save_pictures(task, {0: [], 11: drawn(task, 4)}, seeds, tmp_path)
    assert getattr(opened(tmp_path / "samples.gif"), "n_frames", 1) == 4


@pytest.mark.parametrize("dimensions", [1, 3])
def test_other_shapes_are_drawn(dimensions: int, tmp_path: Path) -> None:
    def normal(n: int, rng: torch.Generator) -> torch.Tensor:
        return torch.randn(n, dimensions, generator=rng)

    task = replace(
        registry.load_task("ring8"),
        shape=(dimensions,),
        sample=normal,
        mean=None,
        covariance=None,
    )
    paths = save_pictures(task, {0: drawn(task, 2)}, [seed_result(0, task)], tmp_path)
    assert len(paths) == 4


def test_many_dimensions_are_drawn_on_the_widest_axes() -> None:
    """Deviations 1, 5, 2 and 3: the second and the fourth coordinate."""
    scale = torch.tensor([1.0, 5.0, 2.0, 3.0])
    task = replace(
        registry.load_task("ring8"),
        shape=(4,),
        sample=lambda n, rng: scale * torch.randn(n, 4, generator=rng),
    )
    axes = np.abs(principal_axes(task))
    np.testing.assert_allclose(axes, np.eye(4)[:, [1, 3]], atol=0.1)


def test_numbers_stand_over_the_share_of_samples_below_them() -> None:
    scene, axes = Scene(registry.load_task("dirac")), Figure().subplots()
    scene.panel(axes, "")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("value", "share of samples below")
    x, y, outside = scene.lay_out(np.array([[0.5], [-0.5], [9.0]]), far=20.0)
    assert x.tolist() == [-0.5, 0.5, 9.0] and y.tolist() == [0.0, 0.5, 1.0]
    assert outside == pytest.approx(1 / 3)


def test_steps_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    task = registry.load_task("ring8")
    seed = [seed_result(0, task, points=0)]
    views = {0: [(10 * i, snapshot()) for i in (1, 2)]}
    save_pictures(task, {0: drawn(task, 2)}, seed, tmp_path, features=views)
    (tmp_path / "samples" / "mine.txt").write_text("kept")
    save_pictures(task, {0: drawn(task, 1)}, seed, tmp_path, features={0: views[0][:1]})
    assert names(list((tmp_path / "samples").iterdir())) == {"step-000000010.png", "mine.txt"}
    assert names(list((tmp_path / "features").iterdir())) == {"step-000000010.png"}
    written = save_pictures(task, {}, seed, tmp_path)
    assert not {"samples", "features"} & names(written)
    assert not list(tmp_path.glob("*/step-*.png"))


def test_kept_samples_are_drawn_one_by_one(tmp_path: Path) -> None:
    task = registry.load_task("sine")
    seeds = [seed_result(seed, task, points=0) for seed in (0, 1)]
    single = [(step, samples[:1]) for step, samples in drawn(task, 2)]
    for rounds, pages in ((4, 4), (1, 2), (0, 2)):  # in motion: the series that has more frames
        save_pictures(task, {1: drawn(task, rounds)}, seeds, tmp_path, kept={1: single})
        steps = names(list((tmp_path / "samples").iterdir()))
        assert steps == {"step-000000010.png", "step-000000020.png"}
        assert getattr(opened(tmp_path / "samples.gif"), "n_frames", 1) == pages


def test_gif_has_at_most_100_frames_and_the_last_one(tmp_path: Path) -> None:
    frames = [(step, flat_images(-1.0)) for step in range(250)] + [(250, flat_images(1.0))]
    task = image_task()
    save_pictures(task, {0: frames}, [seed_result(0, task, points=0)], tmp_path)
    image = opened(tmp_path / "samples.gif")
    assert getattr(image, "n_frames", 1) == 100
    middle = image.width // 2, 3 * image.height // 4
    shades = []
    for index in (0, 98, 99):
        image.seek(index)
        shades.append(image.convert("L").getpixel(middle))
    assert shades == [0, 0, 255]
    assert len(list((tmp_path / "samples").iterdir())) == 251


@pytest.mark.parametrize(("n", "columns", "scale"), [(1, 1, 8), (25, 5, 3), (100, 10, 2)])
def test_wall_holds_each_image_where_it_belongs(n: int, columns: int, scale: int) -> None:
    shades = np.random.default_rng(0).integers(0, 256, n)
    images = flat_images(*(shades / 127.5 - 1)).copy()
    images[:, :, 0, 0] = 1.0  # the upper left pixel
    image = walls.wall(images)
    cell = 28 * scale + walls.LINE
    assert image.shape == (columns * cell + walls.LINE,) * 2
    for index, shade in enumerate(shades):
        top, left = (walls.LINE + cell * place for place in divmod(index, columns))
        inside = image[top : top + cell - walls.LINE, left : left + cell - walls.LINE]
        assert np.all(inside[:scale, :scale] == 255)
        assert np.all(inside[scale:] == shade)
    assert np.all(image[:2] == walls.LINE_GREY)


def test_wall_survives_any_value() -> None:
    image = walls.wall(flat_images(np.nan, np.inf, -np.inf, 7.0, -3e38, -0.5).astype(np.float32))
    cell = image.shape[1] // 3
    middle = image[cell // 2 :: cell, cell // 2 :: cell]
    assert middle.tolist() == [[128, 255, 0], [255, 0, 64]]


def test_colours_of_a_wall() -> None:
    images = -np.ones((3, 3, 28, 28))
    for channel in range(3):
        images[channel, channel] = 1.0
    image = walls.wall(images)
    cell = image.shape[1] // 3
    assert image[cell // 2, cell // 2 :: cell].tolist() == (255 * np.eye(3, dtype=int)).tolist()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_drawn(channels: int, tmp_path: Path) -> None:
    task = image_task(channels)
    frames = drawn(task, 3)
    frames[1] = (20, np.full_like(frames[1][1][:1], np.nan))  # fewer images, and bad ones
    seeds = [seed_result(seed, task) for seed in range(5)]
    paths = save_pictures(task, {0: frames, 3: frames[:2]}, seeds, tmp_path)
    assert names(paths) == {"real_vs_generated.png", "training.png", "samples.gif", "samples"}
    assert getattr(opened(tmp_path / "samples.gif"), "n_frames", 1) == 3
    still = opened(tmp_path / "samples" / "step-000000010.png")
    assert still.mode == ("L" if channels == 1 else "RGB")
    assert np.array_equal(np.asarray(still), walls.wall(frames[0][1]))


def test_real_images_stand_beside_generated_ones(tmp_path: Path) -> None:
    def white(n: int, rng: torch.Generator) -> torch.Tensor:
        return torch.ones(n, 1, 28, 28)

    task = replace(image_task(), sample=white)
    frames = {0: [(1, flat_images(*[-1.0] * 100))]}
    save_pictures(task, frames, [seed_result(0, task, points=0)], tmp_path)
    image = np.asarray(opened(tmp_path / "real_vs_generated.png"))
    left, right = np.array_split(image, 2, axis=1)
    assert (left == 0).mean() < 0.05 < 0.6 < (right == 0).mean()


def test_long_log_is_drawn_instead_of_the_curve() -> None:
    task = registry.load_task("quadratic")
    rng = np.random.default_rng(0)
    log: dict[str, Array] = {name: rng.uniform(0.4, 0.6, 10_000) for name in LOSSES}
    log["d_loss"][1::2] = np.nan
    log["g_loss"][:3] = np.inf, 1e300, -1e300
    log["step"] = np.arange(0, 100_000, 10)
    with_curve, without = (seed_result(0, task, losses=losses) for losses in (LOSSES, {}))
    first, second = (training.picture(task, [seed], {0: log}) for seed in (with_curve, without))
    metric_only = training.picture(task, [without], {})
    assert first is not None and second is not None and metric_only is not None
    assert np.array_equal(first, second)
    assert metric_only.shape[0] < first.shape[0]


def test_log_without_rows_leaves_the_curve() -> None:
    task = registry.load_task("ring8")
    empty = {"step": np.array([]), "d_loss": np.array([])}
    first, second = (
        training.picture(task, [seed_result(0, task)], logs) for logs in ({}, {0: empty})
    )
    assert first is not None and second is not None
    assert np.array_equal(first, second)


def test_condensed_series_keeps_mean_and_range() -> None:
    steps = np.arange(0, 50_000, 5)
    values = np.sin(steps / 5_000)
    values[1234] = 9.0
    middle, mean, low, high = training._condensed(steps, values)
    assert len(middle) == len(mean) == training.BINS
    assert np.allclose(mean[20:-20], np.sin(middle[20:-20] / 5_000), atol=0.05)
    assert (low.min(), high.max()) == (values.min(), 9.0)
    assert np.all(low <= high)


def test_feature_view_is_of_each_snapshot(tmp_path: Path) -> None:
    task = registry.load_task("quadratic")
    seeds = [seed_result(seed, task, points=0) for seed in (0, 1)]
    views = {seed: [(step, snapshot()) for step in (0, 1_000)] for seed in (0, 1)}
    paths = save_pictures(task, {1: drawn(task, 2)}, seeds, tmp_path, features=views)
    assert names(paths) >= {"samples", "features"}
    pictures = list((tmp_path / "features").iterdir())
    assert names(pictures) == {"step-000000000.png", "step-000001000.png"}
    assert not any(is_blank(path) for path in pictures)


def test_generator_update_shows_on_the_right_only() -> None:
    still, moved = snapshot(), snapshot()
    moved["fake_after_g"] = moved["fake_after_g"] * 0.9 + 0.2
    task = registry.load_task("quadratic")
    (_, first), (_, second) = feature_view.film(task, 0, [(5, still), (5, moved)])
    changed = (first != second).any(axis=(0, 2))
    assert not changed[: len(changed) // 2].any()
    assert changed[len(changed) // 2 :].any()


def test_step_without_generator_update_has_no_view() -> None:
    part = {name: values for name, values in snapshot().items() if name.endswith("before_d")}
    task = registry.load_task("quadratic")
    assert [step for step, _ in feature_view.film(task, 0, [(1, part), (2, snapshot())])] == [2]
    assert not list(feature_view.film(task, 0, [(1, part)]))


@pytest.mark.parametrize(("width", "bad"), [(1, np.inf), (2, np.nan), (2, 1e300), (5, np.nan)])
def test_any_snapshot_is_drawn(width: int, bad: float) -> None:
    partly, wholly = snapshot(width), snapshot(width)
    partly["fake_after_g"] = np.where(partly["fake_after_g"] > 0, bad, 0.0)
    wholly = {name: np.full_like(values, bad) for name, values in wholly.items()}
    task = registry.load_task("quadratic")
    assert len(list(feature_view.film(task, 0, [(1, partly), (2, wholly)]))) == 2


def test_wide_features_lie_on_the_principal_axes_of_the_real_ones() -> None:
    plane = np.random.default_rng(0).normal(size=(40, 2)) * [5.0, 2.0]
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0][:, :2]
    flat, label = feature_view._planar({"real_before_d": plane @ basis.T})
    assert label == "principal axis"
    lengths = np.linalg.norm(plane, axis=1)
    assert np.allclose(np.linalg.norm(flat["real_before_d"], axis=1), lengths)
    assert flat["real_before_d"].var(axis=0)[0] > flat["real_before_d"].var(axis=0)[1]


def test_drawing_twice_gives_the_same_files(tmp_path: Path) -> None:
    task, contents = registry.load_task("ring8"), []
    for folder in (tmp_path / "first", tmp_path / "second"):
        views = {0: [(1, snapshot())]}
        save_pictures(task, {0: drawn(task, 2)}, [seed_result(0, task)], folder, features=views)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        contents.append([(path.relative_to(folder), path.read_bytes()) for path in files])
    assert contents[0] == contents[1]
