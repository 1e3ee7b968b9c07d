"""Fits of sine curves: exact on clean ones, never worse than SciPy's best of many starts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import curve_fit
from torch import Tensor

from ganbench.metrics import fit_sines, sine, sine_fit

X = torch.linspace(-5, 5, 64)
B_RANGE, C_RANGE = (0.5, 2.0), (0.0, math.pi)
FAMILY = {"x": X, "b_range": B_RANGE, "c_range": C_RANGE}


def parameters(n: int, seed: int) -> tuple[Tensor, Tensor]:
    u, v = torch.rand(2, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.5 + 1.5 * u, math.pi * v


def curves(b: Tensor, c: Tensor) -> Tensor:
    return torch.sin(b[:, None] * X.double() + c[:, None])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def best_by_scipy(y: np.ndarray) -> float:
    x = X.double().numpy()

    def model(x: np.ndarray, b: float, c: float) -> np.ndarray:
        return np.sin(b * x + c)

    residuals = []
    for start in [(b, c) for b in np.linspace(0.6, 1.9, 7) for c in (0.8, 2.3)]:
        limits = tuple(zip(B_RANGE, C_RANGE, strict=True))
        found, _ = curve_fit(model, x, y, p0=start, bounds=limits)
        residuals.append(float(np.square(model(x, *found) - y).sum()))
    return min(residuals)


def clean_noisy_and_random() -> Tensor:
    clean = curves(*parameters(20, 1))
    noisy = curves(*parameters(20, 2)) + 0.3 * noise(20, 64, seed=3)
    walks = noise(20, 64, seed=4).cumsum(1) / 4
    return torch.cat([clean, noisy, walks[:10].double(), noise(10, 64, seed=5).double()])


def test_no_worse_than_the_best_of_scipy() -> None:
    data = clean_noisy_and_random()
    fit = fit_sines(data, **FAMILY)
    theirs = torch.tensor([best_by_scipy(y) for y in data.numpy()], dtype=torch.float64)
    assert (fit.sse <= theirs + 1e-6).all()
    inside = (fit.b >= 0.5) & (fit.b <= 2) & (fit.c >= 0) & (fit.c <= math.pi)
    assert inside.all()
    residual = (curves(fit.b, fit.c) - data).square().sum(1)
    assert torch.allclose(fit.sse, residual, atol=1e-9)


def test_recovers_clean_curves() -> None:
    b, c = parameters(500, 6)
    fit = fit_sines(curves(b, c), **FAMILY)
    assert torch.allclose(fit.b, b, atol=1e-6)
    assert torch.allclose(fit.c, c, atol=1e-6)
    assert float(fit.sse.max()) < 1e-10


@pytest.mark.parametrize(("b", "c"), [(0.5, 0.0), (2.0, math.pi), (0.5, math.pi), (2.0, 0.0)])
def test_recovers_the_corners(b: float, c: float) -> None:
    fit = fit_sines(curves(torch.tensor([b]).double(), torch.tensor([c]).double()), **FAMILY)
    assert (float(fit.b), float(fit.c)) == pytest.approx((b, c), abs=1e-6)


def test_curves_outside_the_family_stop_at_its_edge() -> None:
    fit = fit_sines(curves(torch.tensor([2.3]).double(), torch.tensor([1.0]).double()), **FAMILY)
    assert float(fit.b) == 2.0
    assert float(fit.sse) > 1


def test_scores_of_the_task_s_own_law() -> None:
    n = 3000
    b, c = parameters(n, 7)
    data = curves(b, c).float()
    values = sine_fit(data, data, **FAMILY)
    assert values["sine_rmse"] < 1e-6
    assert values["sine_r2"] == pytest.approx(1, abs=1e-6)
    assert values["sine_fitted"] == 1
    ks = stats.kstest(b.numpy(), "uniform", args=(0.5, 1.5)).statistic
    assert values["sine_b_ks"] == pytest.approx(ks, abs=1 / n)
    ks = stats.kstest(c.numpy(), "uniform", args=(0, math.pi)).statistic
    assert values["sine_c_ks"] == pytest.approx(ks, abs=1 / n)


def test_scores_of_one_curve_again_and_again() -> None:
    """Perfect sines of a collapsed law: b in the middle and c at a quarter of its range."""
    data = torch.sin(1.25 * X + math.pi / 4).repeat(50, 1)
    values = sine_fit(data, data, **FAMILY)
    assert values["sine_fitted"] == 1
    assert values["sine_b_ks"] == pytest.approx(0.5, abs=1e-4)
    assert values["sine_c_ks"] == pytest.approx(0.75, abs=1e-4)


def test_noise_of_known_size() -> None:
    """Two parameters take 2 of 64 degrees of freedom."""
    data = curves(*parameters(400, 8)) + 0.1 * noise(400, 64, seed=9)
    values = sine_fit(data, data, **FAMILY)
    assert values["sine_rmse"] == pytest.approx(0.1 * math.sqrt(62 / 64), rel=0.02)
    assert values["sine_r2"] == pytest.approx(1 - 0.01 / 0.51, abs=0.01)


def test_constant_and_random_curves_are_not_sines() -> None:
    constant = sine_fit(X[None], torch.full((5, 64), 0.3), **FAMILY)
    assert constant["sine_r2"] == constant["sine_fitted"] == 0
    random = sine_fit(X[None], noise(200, 64), **FAMILY)
    assert random["sine_fitted"] == 0
    assert random["sine_rmse"] > 0.8


def test_only_the_good_half_is_fitted() -> None:
    data = torch.cat([curves(*parameters(30, 10)).float(), noise(30, 64)])
    assert sine_fit(data, data, **FAMILY)["sine_fitted"] == 0.5


def test_quantities_are_what_is_returned() -> None:
    assert sine_fit(X[None], noise(9, 64), **FAMILY).keys() == sine.QUANTITIES.keys()
