"""Kernel distances between two samples: MMD with Gaussian kernels, and the energy distance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked
from ganbench.metrics._kept import part
from ganbench.metrics._pairs import mean_between, mean_within, squared_distances
from ganbench.metrics._waves import REACH, mmd_by_waves

QUANTITIES = {
    "mmd": ("lower", "unbiased squared maximum mean discrepancy, Gaussian kernels of fixed widths"),
    "energy": ("lower", "energy distance, unbiased"),
}
SOURCES = {
    "mmd": "Gretton et al. 2012, A kernel two-sample test",
    "energy": "Szekely and Rizzo 2013, Energy statistics",
}
PROMISES = {
    "mmd": (
        "shift",
        "noise",
        "drop",
        "collapse",
        "dispersal",
        "order",
        "symmetry",
        "translation",
        "rotation",
        "unbiased",
    ),
    "energy": (
        "shift",
        "noise",
        "drop",
        "collapse",
        "dispersal",
        "order",
        "symmetry",
        "translation",
        "rotation",
        "unbiased",
    ),
}


def mmd(real: Tensor, fake: Tensor, *, widths: Sequence[float]) -> float:
    """Unbiased MMD^2 with the sum of Gaussian kernels exp(-d^2 / (2 w^2)) over `widths`.

    `real` (m, d), `fake` (n, d), `widths` in the units of the data. Near 0 for equal laws, and
    then negative about half the time. Memory is bounded by one block, not by m x n. In the plane
    time goes with m + n, but for widths that are narrow beside the spread of the data, for which
    only rows that are near each other are looked at.
    Gretton et al. 2012, "A kernel two-sample test", JMLR 13, lemma 6.
    """
    real, fake = checked(real, fake)
    total = 0.0
    narrow_last = []
    for width in sorted(widths, reverse=True):
        value = mmd_by_waves(real, fake, width)
        if value is None:
            narrow_last.append(width)
        else:
            total += value
    return total + _mmd_by_pairs(real, fake, narrow_last) if narrow_last else total


def _mmd_by_pairs(real: Tensor, fake: Tensor, widths: Sequence[float]) -> float:
    """Squared MMD for falling `widths`, by the kernel of every pair."""

    def kernel(rows: Tensor, columns: Tensor) -> Tensor:
        return _gaussians(squared_distances(rows, columns).float(), widths)

    reach = REACH * widths[0]

    def of_real() -> float:
        return mean_within(real, kernel, reach=reach)

    within = part(real, ("mean kernel", *widths), of_real) + mean_within(fake, kernel, reach=reach)
    return within - 2 * mean_between(real, fake, kernel, reach=reach)


def _gaussians(squared: Tensor, widths: Sequence[float]) -> Tensor:
    """Sum of exp(-squared / (2 w^2)) over falling `widths` w.

    Half a width is a fourth power, far cheaper than another exponential. The relative error grows
    by 4 with each, to 2e-5 after four, and averages out over the pairs.
    """
    # exp(-80) is as good as 0; below it lie denormals, tenfold slower to compute with.
    least = math.exp(-80)
    total = torch.zeros_like(squared)
    value, before = squared, math.nan
    for width in widths:
        if before == 2 * width:
            value = value.square_().square_().clamp_(min=least)
        else:
            value = (squared * (-0.5 / width**2)).clamp_(min=-80.0).exp_()
        total += value
        before = width
    return total


def energy(real: Tensor, fake: Tensor) -> float:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|, unbiased, in the units of the data.

    Szekely and Rizzo 2013, "Energy statistics", J. Stat. Plan. Inference 143.
    """
    real, fake = checked(real, fake)
    of_real = part(real, "mean distance", lambda: mean_within(real, _distances))
    within = of_real + mean_within(fake, _distances)
    return 2 * mean_between(real, fake, _distances) - within


def kernel_widths(reference: Tensor, *, finest: float | None = None) -> tuple[float, ...]:
    """Kernel widths for a task, from its reference (n, d) and never from an entry.

    The median pairwise distance, twice that, and its halves down to an eighth: a median alone
    cannot see the shape of small modes. `finest` (the modes' standard deviation) adds 1, 2 and 4
    times itself. Raises InputError if more than half of the distances are 0.
    """
    median = torch.pdist(reference[:1024].double()).median().item()
    if not median > 0:
        raise InputError("kernel widths need a reference of different samples")
    coarse = [median * factor for factor in (2.0, 1.0, 0.5, 0.25, 0.125)]
    fine = [finest * factor for factor in (4.0, 2.0, 1.0)] if finest else []
    return tuple(coarse + fine)


def _distances(rows: Tensor, columns: Tensor) -> Tensor:
    return squared_distances(rows, columns).sqrt_()
