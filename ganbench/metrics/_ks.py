"""The Kolmogorov-Smirnov distance to a uniform law."""

from __future__ import annotations

import torch
from torch import Tensor


def ks_uniform(values: Tensor, law: tuple[float, float]) -> float:
    """Largest gap between the empirical CDF of `values` (n,) and that of U(*law): 0 to 1.

    0.5 / n is the least that n values can reach. Kolmogorov 1933; as `scipy.stats.ks_1samp` has it.
    """
    low, high = law
    cdf = ((values.double() - low) / (high - low)).clamp(0.0, 1.0).sort().values
    steps = torch.arange(len(cdf) + 1, dtype=cdf.dtype, device=cdf.device) / len(cdf)
    return float(torch.maximum(steps[1:] - cdf, cdf - steps[:-1]).max())
