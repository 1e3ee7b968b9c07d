"""Kernel distances between two samples: MMD with Gaussian kernels, and the energy distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

QUANTITIES = {
    "mmd": ("lower", "unbiased squared maximum mean discrepancy, Gaussian kernels of fixed widths"),
    "energy": ("lower", "energy distance, unbiased"),
}

BLOCK = 256  # rows and columns of one block of the distance matrix, which stays in cache


def mmd(real: Tensor, fake: Tensor, *, widths: Sequence[float]) -> float:
    """Unbiased MMD^2 with the sum of Gaussian kernels exp(-d^2 / (2 w^2)) over `widths`.

    `real` (m, d), `fake` (n, d), `widths` in the units of the data. Near 0 for equal laws, and
    then negative about half the time. Memory is bounded by one block, not by m x n.
    Gretton et al. 2012, "A kernel two-sample test", JMLR 13, lemma 6.
    """

    def kernel(squared: Tensor) -> Tensor:
        total = torch.zeros_like(squared)
        for width in widths:
            # exp(-80) is as good as 0; below it lie denormals, tenfold slower to compute with.
            total += (squared * (-0.5 / width**2)).clamp_(min=-80.0).exp_()
        return total

    on_diagonal = float(len(widths))
    within_real = _mean_within(real, kernel, on_diagonal)
    within_fake = _mean_within(fake, kernel, on_diagonal)
    return within_real + within_fake - 2 * _mean_between(real, fake, kernel)


def energy(real: Tensor, fake: Tensor) -> float:
    """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|, unbiased, in the units of the data.

    Szekely and Rizzo 2013, "Energy statistics", J. Stat. Plan. Inference 143.
    """
    within = _mean_within(real, torch.sqrt, 0.0) + _mean_within(fake, torch.sqrt, 0.0)
    return 2 * _mean_between(real, fake, torch.sqrt) - within


def kernel_widths(reference: Tensor, *, finest: float | None = None) -> tuple[float, ...]:
    """Kernel widths for a task, from its reference (n, d) and never from an entry.

    The median pairwise distance, twice that, and its halves down to an eighth: a median alone
    cannot see the shape of small modes. `finest` (the modes' standard deviation) adds 1, 2 and 4
    times itself.
    """
    median = torch.pdist(reference[:1024].double()).median().item()
    coarse = [median * factor for factor in (2.0, 1.0, 0.5, 0.25, 0.125)]
    fine = [finest * factor for factor in (4.0, 2.0, 1.0)] if finest else []
    return tuple(coarse + fine)


def _mean_between(x: Tensor, y: Tensor, of: Callable[[Tensor], Tensor]) -> float:
    """Mean of `of(squared distance)` over all pairs of a row of x and a row of y."""
    total = 0.0
    for rows in x.split(BLOCK):
        for columns in y.split(BLOCK):
            total += _block_sum(rows, columns, of)
    return total / (len(x) * len(y))


def _mean_within(x: Tensor, of: Callable[[Tensor], Tensor], on_diagonal: float) -> float:
    """The same over all ordered pairs of different rows; `on_diagonal` is `of(0)`."""
    blocks = x.split(BLOCK)
    total = 0.0
    for i, rows in enumerate(blocks):
        total += _block_sum(rows, rows, of) - on_diagonal * len(rows)
        for columns in blocks[i + 1 :]:
            total += 2 * _block_sum(rows, columns, of)  # the matrix is symmetric
    return total / (len(x) * (len(x) - 1))


def _block_sum(x: Tensor, y: Tensor, of: Callable[[Tensor], Tensor]) -> float:
    return float(of(_squared_distances(x, y)).sum(dtype=torch.float64))


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Differences, not the |x|^2 - 2xy + |y|^2 trick, which loses the small modes in float32."""
    if x is y and x.shape[1] > 8:
        # Wide data: the trick pays, and in float64 it is exact enough; the diagonal must be 0.
        return _expanded(x, y).fill_diagonal_(0.0)
    if x.shape[1] > 8:
        return _expanded(x, y)
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square_()


def _expanded(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.double(), y.double()
    squared = torch.addmm(y.square().sum(1), x, y.T, alpha=-2.0)
    return squared.add_(x.square().sum(1, keepdim=True)).clamp_(min=0.0)
