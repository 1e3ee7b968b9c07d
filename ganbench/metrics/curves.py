"""How well points follow a known curve in the plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from scipy import stats
from torch import Tensor

QUANTITIES = {
    "curve_residual": ("lower", "mean distance of y to the curve at x, over the true spread of y"),
    "curve_x_ks": ("lower", "Kolmogorov-Smirnov distance of x to its uniform law"),
}

Curve = Callable[[Tensor], Tensor]


def curve_residual(
    real: Tensor, fake: Tensor, *, curves: Sequence[Curve], x_range: tuple[float, float]
) -> dict[str, float]:
    """Mean |y - f(x)| of `fake` (n, 2) to the nearest of `curves`, over the std of real y.

    `curve_x_ks` is the KS distance of x to the uniform law on `x_range`.
    """
    x, y = fake.double().unbind(1)
    gaps = torch.stack([(y - curve(x)).abs() for curve in curves])
    spread = real[:, 1].double().std()
    low, high = x_range
    ks = stats.ks_1samp(x.cpu().numpy(), stats.uniform(low, high - low).cdf).statistic
    return {
        "curve_residual": float(gaps.amin(0).mean() / spread),
        "curve_x_ks": float(ks),
    }
