"""MMD and energy distance: closed forms, and the textbook formulas by other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor

from ganbench.metrics import energy, kernel, kernel_widths, mmd
from ganbench.metrics._waves import mmd_by_waves

SIZES = [(255, 256), (300, 257), (512, 700), (2, 3)]  # around the blocks of 256


def pair(m: int, n: int, d: int, shift: float = 0.3) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(m + n + d)
    return torch.randn(m, d, generator=rng), 1.2 * torch.randn(n, d, generator=rng) + shift


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def unbiased(within: np.ndarray) -> float:
    n = len(within)
    return (within.sum() - np.trace(within)) / (n * (n - 1))


def mmd_by_sklearn(real: Tensor, fake: Tensor, widths: tuple[float, ...]) -> float:
    x, y = real.double().numpy(), fake.double().numpy()
    total = 0.0
    for width in widths:
        gamma = 1 / (2 * width**2)
        xx, yy, xy = (rbf_kernel(*sides, gamma=gamma) for sides in ((x, x), (y, y), (x, y)))
        total += unbiased(xx) + unbiased(yy) - 2 * xy.mean()
    return total


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize(
    ("d", "widths"),
    [
        (2, (0.1, 1.0, 3.0)),
        (64, (4.0, 11.0, 20.0)),
        (2, (3.0, 1.5, 0.75, 0.375, 0.1875, 0.04, 0.02, 0.01)),  # halves, as a task has them
        (2, (0.5, 2.0, 1.0)),
    ],
)
def test_mmd_is_the_unbiased_formula(m: int, n: int, d: int, widths: tuple[float, ...]) -> None:
    real, fake = pair(m, n, d)
    expected = mmd_by_sklearn(real, fake, widths)
    assert mmd(real, fake, widths=widths) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("width", [0.2, 1.0, 30.0])
@pytest.mark.parametrize("offset", [0.0, -1e3])
def test_waves_give_mmd_to_the_last_digits(d: int, width: float, offset: float) -> None:
    real, fake = (offset + side.double() for side in pair(1300, 700, d))
    found = mmd_by_waves(real, fake, width)
    assert found == pytest.approx(mmd_by_sklearn(real - offset, fake - offset, (width,)), abs=1e-11)


def test_waves_are_of_use_where_kernels_are_wide_and_rows_short() -> None:
    real, fake = pair(1300, 700, 2)
    assert mmd_by_waves(real, fake, 0.01) is None
    assert mmd_by_waves(1e300 * real.double(), fake.double(), 1.0) is None
    assert mmd_by_waves(*pair(1300, 700, 3), 1.0) is None
    narrow_and_wide = mmd(real, fake, widths=(1.0, 0.01))
    assert narrow_and_wide == pytest.approx(mmd_by_sklearn(real, fake, (1.0, 0.01)), abs=1e-7)


def test_mmd_of_two_shifted_gaussians() -> None:
    """X - Y is N(mu, 2I), so E k = (w^2 / (w^2 + 2))^(d/2) exp(-|mu|^2 / (2 (w^2 + 2)))."""
    width, mu = 1.5, torch.tensor([1.0, -0.5])
    wide = width**2 + 2
    known = 2 * (width**2 / wide) * (1 - math.exp(-float(mu.square().sum()) / (2 * wide)))
    values = [
        mmd(normal(1000, 2, 2 * i), normal(1000, 2, 2 * i + 1) + mu, widths=[width])
        for i in range(10)
    ]
    assert np.mean(values) == pytest.approx(known, abs=5 * stats.sem(values))
    assert stats.sem(values) < known / 20


def test_mmd_is_zero_on_average_for_equal_laws() -> None:
    values = [
        mmd(normal(150, 2, 2 * i), normal(170, 2, 2 * i + 1), widths=(0.5, 1.0)) for i in range(60)
    ]
    assert abs(np.mean(values)) < 4 * stats.sem(values)
    assert min(values) < 0 < max(values)


def test_mmd_of_laws_with_nothing_in_common() -> None:
    """Kernels between the two vanish, and one within a sample of equal points is 1."""
    real, fake = torch.zeros(300, 2), torch.full((10, 2), 100.0)
    assert mmd(real, fake, widths=(1.0, 2.0)) == pytest.approx(4.0)


def test_mmd_sees_the_shape_of_small_modes() -> None:
    """At offsets of 4 the |x|^2 - 2xy + |y|^2 trick in float32 would be lost in rounding."""
    real, wide = (4 + s * normal(600, 2, i) for i, s in enumerate((1e-3, 2e-3)))
    expected = mmd_by_sklearn(real, wide, (1e-3,))
    assert mmd(real, wide, widths=(1e-3,)) == pytest.approx(expected, rel=1e-4)
    assert expected > 0.01


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("d", [2, 64])
def test_energy_is_the_unbiased_formula(m: int, n: int, d: int) -> None:
    real, fake = pair(m, n, d)
    x, y = real.double().numpy(), fake.double().numpy()
    expected = 2 * cdist(x, y).mean() - unbiased(cdist(x, x)) - unbiased(cdist(y, y))
    assert energy(real, fake) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_energy_on_the_line_is_that_of_scipy() -> None:
    """SciPy's is biased: it divides by n^2 where the unbiased one divides by n (n - 1)."""
    real, fake = pair(500, 300, 1)
    x, y = real.double().numpy(), fake.double().numpy()
    biased = stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    bias = pdist(x).mean() / len(x) + pdist(y).mean() / len(y)
    assert energy(real, fake) == pytest.approx(biased - bias, rel=1e-5)


def test_energy_of_two_shifted_gaussians() -> None:
    """X - Y is N(mu, 2), and E|X - Y| the mean of that folded at 0."""
    mu = 1.0
    between = 2 / math.sqrt(math.pi) * math.exp(-(mu**2) / 4) + mu * math.erf(mu / 2)
    known = 2 * between - 2 * 2 / math.sqrt(math.pi)
    values = [energy(normal(1000, 1, 2 * i), normal(1000, 1, 2 * i + 1) + mu) for i in range(10)]
    assert np.mean(values) == pytest.approx(known, abs=5 * stats.sem(values))


@pytest.mark.parametrize("finest", [None, 0.01])
def test_widths_come_from_the_median_distance(finest: float | None) -> None:
    reference = normal(1500, 2, 0)
    median = float(np.median(pdist(reference[:1024].double().numpy())))
    widths = kernel_widths(reference, finest=finest)
    expected = [2 * median, median, median / 2, median / 4, median / 8]
    expected += [0.04, 0.02, 0.01] if finest else []
    assert widths == pytest.approx(expected, rel=1e-5)


def test_quantities_are_what_is_returned() -> None:
    assert kernel.QUANTITIES.keys() == {mmd.__name__, energy.__name__}
    real, fake = pair(20, 20, 2)
    assert isinstance(mmd(real, fake, widths=[1.0]), float)
    assert isinstance(energy(real, fake), float)
