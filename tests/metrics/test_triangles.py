"""Triangles are drawn, found and counted as they are defined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.path import Path
from torch import Tensor

from ganbench import registry
from ganbench.errors import InputError
from ganbench.metrics import triangle_fit, triangles

SIDE = triangles.SIDE


def corners(n: int, seed: int = 0) -> Tensor:
    task = registry.load_bare_task("polygons")
    images = task.sample(n, torch.Generator().manual_seed(seed))
    found, distance = triangles.closest((images.flatten(1) + 1) / 2)
    assert float(distance.max()) < 1e-4
    return found


def images_of(given: Tensor) -> Tensor:
    return 2 * triangles.draw(given) - 1


def test_levels_are_distances_to_the_nearest_side() -> None:
    """By NumPy, and inside and outside as matplotlib has it."""
    given = corners(20)
    pixels = np.array([(x, y) for y in range(SIDE) for x in range(SIDE)], dtype=float)
    for drawn, triangle in zip(triangles.draw(given), given.double().numpy(), strict=True):
        inwards = []
        for a, b in zip(triangle, np.roll(triangle, -1, 0), strict=True):
            t = (b - a) / np.linalg.norm(b - a)
            inwards.append((pixels - a) @ np.array([-t[1], t[0]]))
        expected = np.clip(np.min(inwards, 0) + 0.5, 0, 1)
        assert np.allclose(drawn.numpy(), expected, atol=1e-4)
        inside = Path(triangle).contains_points(pixels)
        clear = np.abs(expected - 0.5) > 1e-3
        assert (inside == (expected > 0.5))[clear].all()


def test_corners_are_within_the_law() -> None:
    given = corners(500)
    low, high = triangles.CORNERS
    assert low - 1e-3 <= float(given.min()) <= low + 0.2
    assert high - 0.2 <= float(given.max()) <= high + 1e-3
    assert triangles.HEIGHT - 1e-3 <= float(triangles.height(given).min()) < triangles.HEIGHT + 0.2
    right = torch.tensor([[[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]]])
    assert float(triangles.height(right)) == pytest.approx(12 / 5)
    assert float(triangles.height(right.flip(1))) == pytest.approx(-12 / 5)


def test_any_triangle_is_found_again() -> None:
    """From its moments alone nearly, then exactly, and with noise nearly always as near."""
    given = corners(1000, seed=1)
    levels = triangles.draw(given)
    near = triangles.draw(triangles.by_moments(levels))
    assert float((near - levels).norm(dim=1).max()) < 1.5
    rng = torch.Generator().manual_seed(0)
    noisy = (levels + 0.05 * torch.randn(levels.shape, generator=rng)).clamp(0, 1)
    found, distance = triangles.closest(noisy)
    assert torch.allclose(distance, (triangles.draw(found) - noisy).norm(dim=1), atol=1e-4)
    excess = distance - (levels - noisy).norm(dim=1)  # 1.0 away: the one that was drawn
    assert float((excess <= 0).double().mean()) > 0.98 and float(excess.max()) < 0.15


def test_slopes_are_those_of_differences() -> None:
    given, other = corners(8, seed=2).double(), corners(8, seed=3).double()
    levels = triangles.draw(other)
    slopes, missing = triangles._linear(given, levels)
    assert torch.equal(missing, levels - triangles.draw(given))
    for place in range(6):
        moved = torch.zeros(6, dtype=torch.float64)
        moved[place] = 1e-6
        ahead, behind = (triangles.draw(given + way * moved.view(3, 2)) for way in (1, -1))
        by_differences = (ahead - behind) / 2e-6
        assert (slopes[..., place] - by_differences).abs().median() == 0
        assert torch.allclose(slopes[..., place], by_differences, atol=1e-4)


@pytest.mark.slow
def test_precision_and_recall() -> None:
    real = images_of(corners(2000, seed=4))
    fake = images_of(corners(4000, seed=5))
    whole = triangle_fit(real, fake)
    assert whole["triangle_precision"] == 1.0
    assert whole["triangle_recall"] > 0.95
    noise = torch.rand(4000, SIDE**2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    half = triangle_fit(real, torch.cat([fake, noise]))
    assert half["triangle_precision"] == 0.5
    assert half["triangle_recall"] == whole["triangle_recall"]
    both = 0.5 + half["triangle_recall"]
    assert half["triangle_f1"] == pytest.approx(half["triangle_recall"] / both)
    one = triangle_fit(real, fake[:1].expand(100, -1))
    away = ((real - fake[0]) / 2).norm(dim=1)
    assert one["triangle_precision"] == 1.0
    assert one["triangle_recall"] == pytest.approx(float((away <= triangles.REACH).double().mean()))
    assert one["triangle_recall"] < 0.05


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_what_is_no_triangle_of_the_family(level: float) -> None:
    """Nothing, grey, white: nothing is the limit of ever smaller triangles, but none of them."""
    real = images_of(corners(50))
    nothing = {"triangle_precision": 0.0, "triangle_recall": 0.0, "triangle_f1": 0.0}
    assert triangle_fit(real, torch.full((10, SIDE**2), level)) == nothing


def test_slivers_and_what_is_cut_off_do_not_count() -> None:
    real = images_of(corners(50))
    sliver = torch.tensor([[[4.0, 4.0], [23.0, 5.0], [10.0, 7.0]]])
    outside = torch.tensor([[[-6.0, 4.0], [18.0, 5.0], [10.0, 20.0]]])
    for each in (sliver, outside):
        assert triangle_fit(real, images_of(each))["triangle_precision"] == 0.0


def test_other_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="28 x 28 images, got 100 pixels"):
        triangle_fit(torch.zeros(3, 100), torch.zeros(3, 100))
