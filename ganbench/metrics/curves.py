"""How well points follow a known curve in the plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked
from ganbench.metrics._ks import ks_uniform

QUANTITIES = {
    "curve_residual": ("lower", "mean distance of y to the curve at x, over the true spread of y"),
    "curve_x_ks": ("lower", "Kolmogorov-Smirnov distance of x to its uniform law"),
}
SOURCES = {
    "curve_x_ks": "Kolmogorov 1933; Smirnov 1948",
}
PROMISES = {
    "curve_residual": ("shift", "noise", "fidelity", "order"),
    "curve_x_ks": ("shift", "drop", "collapse", "order", "consistent"),
}

Curve = Callable[[Tensor], Tensor]


def curve_residual(
    real: Tensor, fake: Tensor, *, curves: Sequence[Curve], x_range: tuple[float, float]
) -> dict[str, float]:
    """Mean |y - f(x)| of `fake` (n, 2) to the nearest of `curves`, over the std of real y.

    `curve_x_ks` is the KS distance of x to the uniform law on `x_range`. Raises InputError for
    what `checked` refuses, for points that are not (x, y), and where all real y are one number.
    """
    real, fake = checked(real, fake)
    if real.shape[1] != 2:
        raise InputError(
            f"real and fake must be points (x, y), got {real.shape[1]} numbers in a row"
        )
    spread = float(real[:, 1].double().std())
    if spread == 0:
        raise InputError(f"all y of real are {float(real[0, 1]):g}: their spread, the unit, is 0")
    x, y = fake.double().unbind(1)
    gaps = torch.stack([(y - curve(x)).abs() for curve in curves])
    return {
        "curve_residual": float(gaps.amin(0).mean()) / spread,
        "curve_x_ks": ks_uniform(x, x_range),
    }
