"""Errors of mean and covariance, against NumPy and on cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ganbench.metrics import covariance_error, mean_error, moments
from ganbench.metrics.moments import BLOCK, mean_and_covariance, principal_axes

MEAN = torch.tensor([1.0, 2.0], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.01, 1.95], [1.95, 4.25]], dtype=torch.float64)
TRUTH = {"mean": MEAN, "covariance": COVARIANCE}


def points(n: int, d: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def with_moments(mean: Tensor, covariance: Tensor) -> Tensor:
    """2d points that have exactly this mean and this (n - 1) covariance, in float64."""
    d = len(mean)
    root = torch.linalg.cholesky(covariance) * math.sqrt((2 * d - 1) / 2)
    return torch.cat([root.T, -root.T]) + mean


def test_against_numpy() -> None:
    fake = points(500) @ torch.tensor([[1.0, 0.5], [0.0, 2.0]]) + 0.3
    data = fake.double().numpy()
    gap = np.linalg.norm(data.mean(0) - MEAN.numpy()) / math.sqrt(1.01 + 4.25)
    errors = mean_error(fake, fake, **TRUTH)
    assert errors["mean_error"] == pytest.approx(gap)
    estimate, truth = np.cov(data.T), COVARIANCE.numpy()
    variances, axes = np.linalg.eigh(truth)
    relative = [abs(axes[:, i] @ estimate @ axes[:, i] / variances[i] - 1) for i in (1, 0)]
    in_mean = [
        abs(axes[:, i] @ (data.mean(0) - MEAN.numpy())) / variances[i] ** 0.5 for i in (1, 0)
    ]
    assert errors["mean_error_axis1"] == pytest.approx(in_mean[0])
    assert errors["mean_error_axis2"] == pytest.approx(in_mean[1])
    values = covariance_error(fake, fake, **TRUTH)
    error = np.linalg.norm(estimate - truth) / np.linalg.norm(truth)
    assert values["covariance_error"] == pytest.approx(error)
    assert values["covariance_error_axis1"] == pytest.approx(relative[0])
    assert values["covariance_error_axis2"] == pytest.approx(relative[1])


def test_zero_for_the_exact_moments() -> None:
    fake = with_moments(MEAN, COVARIANCE)
    assert list(mean_error(fake, fake, **TRUTH).values()) == pytest.approx([0] * 3, abs=1e-12)
    assert list(covariance_error(fake, fake, **TRUTH).values()) == pytest.approx([0] * 3, abs=1e-12)


def test_axes_are_told_apart() -> None:
    """Variance 9 where 4 is true along x, a quarter of the true 1 along y."""
    truth = torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64))
    fake = with_moments(MEAN, torch.diag(torch.tensor([9.0, 0.25], dtype=torch.float64)))
    values = covariance_error(fake, fake, mean=MEAN, covariance=truth)
    assert values["covariance_error_axis1"] == pytest.approx(5 / 4)
    assert values["covariance_error_axis2"] == pytest.approx(3 / 4)
    assert values["covariance_error"] == pytest.approx(math.hypot(5, 0.75) / math.hypot(4, 1))


def test_mean_is_measured_in_deviations() -> None:
    fake = with_moments(MEAN + torch.tensor([3.0, -4.0]), COVARIANCE)
    assert mean_error(fake, fake, **TRUTH)["mean_error"] == pytest.approx(5 / math.sqrt(5.26))


def test_mean_along_the_axes() -> None:
    """3 along an axis of deviation 2 is 1.5 of them, 4 along one of deviation 1 is 4."""
    truth = torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64))
    values = mean_error(
        MEAN + torch.zeros(2, 2),
        (MEAN + torch.tensor([3.0, 4.0])).repeat(2, 1),
        mean=MEAN,
        covariance=truth,
    )
    assert list(values.values()) == pytest.approx([5 / math.sqrt(5), 1.5, 4])


def test_covariance_in_blocks_is_numpy_s() -> None:
    samples = 3 * points(2 * BLOCK + 5, 3) + 1000
    mean, covariance = mean_and_covariance(samples)
    np.testing.assert_allclose(mean, samples.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(samples.double().numpy().T), rtol=1e-9)


def test_axes_without_variance_are_left_out() -> None:
    """Rank 1 in the plane: both axes are then the only one there is."""
    direction = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    truth = direction.T @ direction
    fake = points(400, 1).double() @ direction * 2
    values = covariance_error(fake, fake, mean=torch.zeros(2).double(), covariance=truth)
    assert values["covariance_error_axis2"] == pytest.approx(values["covariance_error_axis1"])
    assert values["covariance_error_axis1"] == pytest.approx(3, abs=1)


def test_axes_of_equal_variance_do_not_depend_on_the_eigensolver() -> None:
    """Three are narrowest, two widest; any turn of either is as good to it."""
    turn, _ = torch.linalg.qr(points(5, 5).double())
    variances = torch.tensor([1.0, 1.0, 1.0, 4.0, 4.0], dtype=torch.float64)
    truth = turn @ variances.diag() @ turn.T
    found, axes = principal_axes(truth)
    assert found.tolist() == pytest.approx([1, 4])
    for axis, variance in zip(axes.T, (1, 4), strict=True):
        assert torch.allclose(truth @ axis, variance * axis, atol=1e-9)
    # What is nearest to the first and to the last coordinate's axis, by projection.
    for axis, space, which in ((axes[:, 0], turn[:, :3], 0), (axes[:, 1], turn[:, 3:], -1)):
        shadow = space @ space.T[:, which]
        assert torch.allclose(axis, shadow / shadow.norm(), atol=1e-9)


def test_quantities_are_what_is_returned() -> None:
    fake = points(9)
    returned = {*mean_error(fake, fake, **TRUTH), *covariance_error(fake, fake, **TRUTH)}
    assert moments.QUANTITIES.keys() == returned
