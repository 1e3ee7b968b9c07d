"""The distance to a uniform law: by hand, and SciPy's."""

import pytest
import torch
from scipy import stats

from ganbench.metrics._ks import ks_uniform


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0])
def test_as_scipy_has_it(n: int, dtype: torch.dtype, spread: float) -> None:
    """Inside the law's range, and beyond it on either side."""
    rng = torch.Generator().manual_seed(n)
    values = (2 + spread * (torch.rand(n, generator=rng, dtype=dtype) * 4 - 2)).to(dtype)
    law = stats.uniform(0.5, 3.0)
    expected = stats.ks_1samp(values.double().numpy(), law.cdf).statistic
    assert ks_uniform(values, (0.5, 3.5)) == pytest.approx(expected, abs=1e-15)


def test_by_hand() -> None:
    middles = (torch.arange(10.0) + 0.5) / 10
    assert ks_uniform(middles, (0.0, 1.0)) == pytest.approx(0.05)
    assert ks_uniform(torch.zeros(5), (0.0, 1.0)) == 1.0
    assert ks_uniform(torch.full((5,), 0.25), (0.0, 1.0)) == 0.75
    assert ks_uniform(torch.tensor([-3.0, 9.0]), (0.0, 1.0)) == 0.5
