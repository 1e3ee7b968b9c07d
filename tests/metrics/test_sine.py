"""Fits of sine curves: exact on clean ones, never worse than SciPy's best of many starts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics import fit_sines, sine, sine_fit

from ..benchmarks.sine_restarts import best_of_restarts

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


def mixed() -> Tensor:
    """200 curves: sines, noisy and outside of the family, and random ones."""
    b, c = parameters(80, 1)
    noisy = curves(b, c) + torch.tensor([0, 0.1, 0.5, 1]).repeat(20)[:, None] * noise(80, 64)
    off = 1.5 * curves(2 * b[:40], 3 * c[:40]) + 0.3 * noise(40, 1, seed=3)
    walks, white = noise(30, 64, seed=4).cumsum(1) / 4, noise(30, 64, seed=5)
    smooth = torch.tanh(noise(19, 5, seed=6) @ torch.stack([X / 5] * 5).cumsum(0).cos())
    return torch.cat([noisy, off, walks, white, smooth, torch.full((1, 64), 0.3)]).double()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Covariance")
def test_no_worse_than_the_best_of_scipy() -> None:
    data = mixed()
    fit = fit_sines(data, **FAMILY)
    starts = [(b, c) for b in np.linspace(0.575, 1.925, 10) for c in (0.8, 2.3)]
    best = [best_of_restarts(y, starts) for y in data.numpy()]
    theirs = torch.tensor(best, dtype=torch.float64)
    assert theirs.isfinite().all()
    assert (fit.sse <= theirs + 1e-6).all()
    inside = (fit.b >= 0.5) & (fit.b <= 2) & (fit.c >= 0) & (fit.c <= math.pi)
    assert inside.all()
    residual = (curves(fit.b, fit.c) - data).square().sum(1)
    assert torch.allclose(fit.sse, residual, atol=1e-9)


def test_no_worse_than_a_fine_grid() -> None:
    """A quarter of a million points (b, c) for each of 50 random curves."""
    data = noise(50, 64, seed=11).double()
    b = torch.linspace(*B_RANGE, 601, dtype=torch.float64)
    least = torch.full((50,), math.inf, dtype=torch.float64)
    for c in torch.linspace(*C_RANGE, 401, dtype=torch.float64):
        grid = curves(b, c.expand(601))
        sse = grid.square().sum(1) - 2 * data @ grid.T + data.square().sum(1, keepdim=True)
        least = torch.minimum(least, sse.amin(1))
    assert (fit_sines(data, **FAMILY).sse <= least + 1e-9).all()


@pytest.mark.parametrize("rows", [1, 7, 200])
def test_chunks_change_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = mixed()
    whole = fit_sines(data, **FAMILY)
    monkeypatch.setattr(sine, "ROWS", rows)
    parts = fit_sines(data, **FAMILY)
    assert torch.allclose(parts.sse, whole.sse, atol=1e-10)
    assert torch.allclose(parts.b, whole.b, atol=1e-6)
    assert torch.allclose(parts.c, whole.c, atol=1e-6)


def test_more_curves_than_a_chunk() -> None:
    b, c = parameters(sine.ROWS + 1, 12)
    fit = fit_sines(curves(b, c), **FAMILY)
    assert torch.allclose(fit.b, b, atol=1e-6)
    assert torch.allclose(fit.c, c, atol=1e-6)


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


def test_one_curve_is_enough() -> None:
    assert sine_fit(X[None], torch.sin(X + 1)[None], **FAMILY)["sine_fitted"] == 1


def test_a_curve_with_nan_has_no_residual() -> None:
    data = noise(3, 64)
    data[1, 5] = math.nan
    assert fit_sines(data, **FAMILY).sse.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("fake", "complaint"),
    [
        (torch.full((3, 64), math.nan), "fake holds NaN or Inf"),
        (torch.full((3, 64), math.inf), "fake holds NaN or Inf"),
        (torch.zeros(3, 64, dtype=torch.int64), "fake must hold floating-point numbers"),
        (torch.zeros(64), "fake must have shape"),
        (torch.zeros(0, 64), "fake must have at least 1 rows"),
        (torch.zeros(3, 63), "equally wide, got 64 and 63"),
        ("curves", "fake must be a tensor, got str"),
    ],
)
def test_refuses(fake: Tensor, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        sine_fit(torch.zeros(3, 64), fake, **FAMILY)


def test_refuses_curves_that_are_not_as_long_as_x() -> None:
    data = torch.zeros(5, 63)
    with pytest.raises(InputError, match=r"shape \(n, 64\), a number for each x, got \(5, 63\)"):
        sine_fit(data, data, **FAMILY)


def test_only_the_good_half_is_fitted() -> None:
    data = torch.cat([curves(*parameters(30, 10)).float(), noise(30, 64)])
    assert sine_fit(data, data, **FAMILY)["sine_fitted"] == 0.5


def test_quantities_are_what_is_returned() -> None:
    assert sine_fit(X[None], noise(9, 64), **FAMILY).keys() == sine.QUANTITIES.keys()
