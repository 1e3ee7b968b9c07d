"""Functions of all pairs of rows of two samples, block by block: memory never grows with n."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 256  # rows and columns of one block of the matrix, which stays in cache
NARROW = 8  # coordinates

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Values (a, b) of rows (a, d) and columns (b, d), in a tensor of their own."""


def mean_between(x: Tensor, y: Tensor, kernel: Kernel) -> float:
    """Mean of `kernel` over all pairs of a row of x (m, d) and a row of y (n, d)."""
    total = 0.0
    for rows in x.split(BLOCK):
        for columns in y.split(BLOCK):
            total += _sum(kernel(rows, columns))
    return total / (len(x) * len(y))


def mean_within(x: Tensor, kernel: Kernel) -> float:
    """Mean of the symmetric `kernel` over all ordered pairs of different rows of x (n, d)."""
    blocks = x.split(BLOCK)
    total = 0.0
    for i, rows in enumerate(blocks):
        total += _sum(kernel(rows, rows).fill_diagonal_(0.0))
        for columns in blocks[i + 1 :]:
            total += 2 * _sum(kernel(rows, columns))
    return total / (len(x) * (len(x) - 1))


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances (m, n) of rows of x (m, d) and y (n, d).

    From differences where rows are short: |x|^2 - 2xy + |y|^2 would lose small modes in float32.
    Where they are long that form pays, and in float64, in which the result then is, it is exact
    enough; but equal rows may be 1e-7 of their norm apart.
    """
    if x.shape[1] <= NARROW:
        out, spare = x.new_empty(2, len(x), len(y)).unbind()
        return squared_differences(x, y.T.contiguous(), out=out, spare=spare)
    x, y = x.double(), y.double()
    squared = torch.addmm(y.square().sum(1), x, y.T, alpha=-2.0)
    return squared.add_(x.square().sum(1, keepdim=True)).clamp_(min=0.0)


def squared_differences(x: Tensor, y: Tensor, *, out: Tensor, spare: Tensor) -> Tensor:
    """Squared distances (m, n), in `out`, of rows of x (m, d) and columns of y (d, n).

    A coordinate at a time, for which `spare` (m, n) is used: `torch.cdist` takes three times as
    long in the plane, and as long from eight coordinates on.
    """
    torch.sub(x[:, :1], y[0], out=out).square_()
    for i in range(1, len(y)):
        torch.sub(x[:, i : i + 1], y[i], out=spare)
        out.addcmul_(spare, spare)
    return out


def _sum(values: Tensor) -> float:
    return float(values.sum(dtype=torch.float64))
