"""Functions of all pairs of rows of two samples, block by block: memory never grows with n."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

BLOCK = 256  # rows and columns of one block of the matrix, which stays in cache
NARROW = 8  # coordinates

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Values (a, b) of rows (a, d) and columns (b, d), in a tensor of their own."""


def mean_between(x: Tensor, y: Tensor, kernel: Kernel, *, reach: float = math.inf) -> float:
    """Mean of `kernel` over all pairs of a row of x (m, d) and a row of y (n, d).

    Rows that are further apart than the `reach` count as 0.
    """
    total, of_x, of_y = 0.0, _blocks(x, reach), _blocks(y, reach)
    near = _near(of_x, of_y, reach)
    for i, rows in enumerate(of_x):
        for j, columns in enumerate(of_y):
            if near[i][j]:
                total += _sum(kernel(rows, columns))
    return total / (len(x) * len(y))


def mean_within(x: Tensor, kernel: Kernel, *, reach: float = math.inf) -> float:
    """Mean of the symmetric `kernel` over all ordered pairs of different rows of x (n, d).

    Rows that are further apart than the `reach` count as 0.
    """
    total, blocks = 0.0, _blocks(x, reach)
    near = _near(blocks, blocks, reach)
    for i, rows in enumerate(blocks):
        total += _sum(kernel(rows, rows).fill_diagonal_(0.0))
        for j in range(i + 1, len(blocks)):
            if near[i][j]:
                total += 2 * _sum(kernel(rows, blocks[j]))
    return total / (len(x) * (len(x) - 1))


def _blocks(x: Tensor, reach: float) -> list[Tensor]:
    """The rows in blocks; if not all are in reach, blocks of rows that are near each other.

    These are halves of halves, at the median of the coordinate along which a part is longest.
    """
    if math.isinf(reach):
        return list(x.split(BLOCK))
    if len(x) <= BLOCK:
        return [x]
    along = int((x.amax(0) - x.amin(0)).argmax())
    halves = x[x[:, along].argsort()].tensor_split(2)
    return [block for half in halves for block in _blocks(half, reach)]


def _near(of_x: Sequence[Tensor], of_y: Sequence[Tensor], reach: float) -> list[list[bool]]:
    """Whether some rows of a block of x and of one of y can be in reach, by the boxes around."""
    if math.isinf(reach):
        return [[True] * len(of_y)] * len(of_x)
    x_low, y_low = (torch.stack([each.amin(0) for each in side]) for side in (of_x, of_y))
    x_high, y_high = (torch.stack([each.amax(0) for each in side]) for side in (of_x, of_y))
    gaps = torch.maximum(x_low[:, None] - y_high, y_low - x_high[:, None]).clamp(min=0.0)
    found: list[list[bool]] = (gaps.norm(dim=2) <= reach).tolist()
    return found


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
