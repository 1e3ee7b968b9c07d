"""Distance to curves in the plane, on cases worked out by hand and against NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics import curve_residual, curves

X_RANGE = (-50.0, 50.0)


def square(x: Tensor) -> Tensor:
    return x**2


def minus_square(x: Tensor) -> Tensor:
    return -(x**2)


def on_the_curve(n: int) -> Tensor:
    x = 100 * (torch.arange(n) + 0.5) / n - 50
    return torch.stack([x, square(x)], 1)


def test_points_on_the_curve() -> None:
    real = on_the_curve(200)
    values = curve_residual(real, real, curves=[square], x_range=X_RANGE)
    assert values["curve_residual"] == 0
    assert values["curve_x_ks"] == pytest.approx(0.5 / 200, rel=1e-4)


def test_residual_is_in_deviations_of_real_y() -> None:
    real = on_the_curve(200)
    fake = real + torch.tensor([0.0, 7.0])
    values = curve_residual(real, fake, curves=[square], x_range=X_RANGE)
    spread = np.std(real[:, 1].double().numpy(), ddof=1)
    assert values["curve_residual"] == pytest.approx(7 / spread)


def test_nearest_of_several_curves() -> None:
    real = on_the_curve(200)
    flipped = real * torch.tensor([1.0, -1.0])
    one = curve_residual(real, flipped, curves=[square], x_range=X_RANGE)
    both = curve_residual(real, flipped, curves=[square, minus_square], x_range=X_RANGE)
    assert one["curve_residual"] > 1
    assert both["curve_residual"] == 0


def test_x_that_covers_half_its_range() -> None:
    real = on_the_curve(200)
    fake = torch.stack([real[:, 0] / 2 - 25, torch.zeros(200)], 1)
    values = curve_residual(real, fake, curves=[square], x_range=X_RANGE)
    assert values["curve_x_ks"] == pytest.approx(0.5, abs=0.01)


def test_against_numpy_and_scipy() -> None:
    rng = torch.Generator().manual_seed(0)
    real, fake = (40 * torch.randn(n, 2, generator=rng) for n in (100, 130))
    values = curve_residual(real, fake, curves=[square, minus_square], x_range=X_RANGE)
    x, y = fake.double().numpy().T
    gap = np.minimum(abs(y - x**2), abs(y + x**2)).mean()
    spread = real.double().numpy()[:, 1].std(ddof=1)
    assert values["curve_residual"] == pytest.approx(gap / spread)
    ks = stats.kstest(x, "uniform", args=(-50, 100)).statistic
    assert values["curve_x_ks"] == ks


def test_quantities_are_what_is_returned() -> None:
    real = on_the_curve(9)
    values = curve_residual(real, real, curves=[square], x_range=X_RANGE)
    assert values.keys() == curves.QUANTITIES.keys()


@pytest.mark.parametrize(
    ("fake", "complaint"),
    [
        (torch.full((3, 2), math.nan), "fake holds NaN or Inf"),
        (torch.full((3, 2), -math.inf), "fake holds NaN or Inf"),
        (torch.zeros(3, 2, dtype=torch.uint8), "fake must hold floating-point numbers"),
        (torch.zeros(2), "fake must have shape"),
        (torch.zeros(1, 2), "fake must have at least 2 rows, got 1"),
        (torch.zeros(3, 3), "equally wide, got 2 and 3"),
    ],
)
def test_refuses(fake: Tensor, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        curve_residual(on_the_curve(9), fake, curves=[square], x_range=X_RANGE)


@pytest.mark.parametrize("width", [1, 3])
def test_refuses_what_is_no_point(width: int) -> None:
    points = torch.zeros(5, width)
    with pytest.raises(InputError, match=rf"points \(x, y\), got {width} numbers in a row"):
        curve_residual(points, points, curves=[square], x_range=X_RANGE)


def test_refuses_real_y_without_spread() -> None:
    fake = on_the_curve(9)
    real = fake * torch.tensor([1.0, 0.0]) + torch.tensor([0.0, 0.1])
    with pytest.raises(InputError, match=r"all y of real are 0\.1"):
        curve_residual(real, fake, curves=[square], x_range=X_RANGE)
