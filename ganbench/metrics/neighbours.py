"""Fidelity and diversity apart, by balls around samples: precision, recall, density, coverage."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked

QUANTITIES = {
    "precision": ("higher", "share of fakes within the k-nearest-neighbour ball of a real sample"),
    "recall": ("higher", "share of real samples within the k-nearest-neighbour ball of a fake"),
    "density": ("higher", "real balls that hold a fake, over k, on average; about 1 if perfect"),
    "coverage": ("higher", "share of real balls that hold a fake; about 1 - 2^-k if perfect"),
}
PROMISES = {
    "precision": ("shift", "noise", "fidelity", "order", "translation", "rotation"),
    "recall": ("drop", "coverage", "order", "translation", "rotation"),
    "density": ("shift", "noise", "fidelity", "order", "translation", "rotation", "unbiased"),
    "coverage": ("shift", "noise", "drop", "coverage", "order", "translation", "rotation"),
}

# Blocks of 4 MiB stay in cache, and in the heap: larger ones are mapped anew each time. They are
# wide since the search for the smallest costs most per block.
ROWS, COLUMNS = 128, 4096
NUMBERS = 2**24  # at most in the samples of one block: 128 MiB in float64
GROUP = 8  # columns of which only the smallest is looked at first


def precision_recall(real: Tensor, fake: Tensor, *, k: int = 5) -> dict[str, float]:
    """The four quantities of this file for `real` (m, d) and `fake` (n, d), in float64.

    A ball is closed and reaches from its sample to the k-th nearest other one of the same side;
    a copy is another one. Only values at equal sizes and equal `k` compare. Raises InputError
    unless both sides have more than `k` rows. Memory does not grow with m x n. Samples nearer to
    each other than about 1e-8 sqrt(d) of their distance from the real mean count as copies.
    Kynkaanniemi et al. 2019, "Improved precision and recall metric for assessing generative
    models", eq. 1-3; Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative
    models", section 3, whose code has open balls: only ties, so copies, tell the difference.
    """
    real, fake = checked(real, fake)
    most = min(len(real), len(fake)) - 1
    if not 1 <= k <= most:
        raise InputError(f"k must be from 1 to {most}, below the rows of either sample, got {k}")
    # Near the origin |x|^2 - 2xy + |y|^2 loses least; a mean in float32 is near enough.
    center = real.mean(0).double()
    reaches = _reach(real, center, k), _reach(fake, center, k)
    precise, recalled, covered, held = _meetings(real, fake, center, *reaches)
    return {
        "precision": float(precise.double().mean()),
        "recall": float(recalled.double().mean()),
        "density": float(held) / (k * len(fake)),
        "coverage": float(covered.double().mean()),
    }


def _reach(x: Tensor, center: Tensor, k: int) -> Tensor:
    """Squared radii (n,) of the balls around the rows of x (n, d), and what rounding may add."""
    nearest = torch.full((len(x), k), math.inf, dtype=torch.float64, device=x.device)
    norms = torch.empty_like(nearest[:, 0])
    for at, columns in _blocks(x, center, COLUMNS):
        right = _right(columns)
        norms[at] = right[:, -1]
        for here, rows in _blocks(x, center, ROWS):
            squared = _left(rows) @ right.T
            squared.diagonal(here.start - at.start).fill_(math.inf)
            nearest[here] = _smallest(squared, nearest[here])
    radii = nearest.amax(1)
    # Else a copy, or whatever lies on the edge, would be inside or not as the rounding goes.
    return radii + (x.shape[1] + 8) * torch.finfo(torch.float64).eps * (radii + norms)


def _meetings(
    real: Tensor, fake: Tensor, center: Tensor, real_reach: Tensor, fake_reach: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fakes in a ball (n,), real samples in one (m,), real balls that hold one (m,), all pairs."""
    precise = torch.zeros_like(fake_reach, dtype=torch.bool)
    recalled, covered = (torch.zeros_like(real_reach, dtype=torch.bool) for _ in range(2))
    held = torch.zeros((), dtype=torch.int64, device=real.device)
    for at, columns in _blocks(fake, center, COLUMNS):
        right = _right(columns)
        for here, rows in _blocks(real, center, ROWS):
            squared = _left(rows) @ right.T
            # x - y <= 0 exactly where x <= y, and minima are faster than any() of booleans.
            recalled[here] |= (squared - fake_reach[at]).amin(1) <= 0
            beyond = squared.sub_(real_reach[here, None])
            covered[here] |= beyond.amin(1) <= 0
            precise[at] |= beyond.amin(0) <= 0
            held += torch.count_nonzero(beyond <= 0)
    return precise, recalled, covered, held


def _blocks(x: Tensor, center: Tensor, most: int) -> Iterator[tuple[slice, Tensor]]:
    """Up to `most` rows of x (n, d) at a time, less the `center`: their place and their values."""
    size = max(1, min(most, NUMBERS // x.shape[1]))
    for start in range(0, len(x), size):
        rows = x[start : start + size] - center
        yield slice(start, start + len(rows)), rows


def _left(x: Tensor) -> Tensor:
    """What times `_right` of y, transposed, is |x|^2 - 2xy + |y|^2: faster than any three steps."""
    norms = x.square().sum(1, keepdim=True)
    return torch.cat((-2 * x, norms, torch.ones_like(norms)), 1)


def _right(y: Tensor) -> Tensor:
    norms = y.square().sum(1, keepdim=True)
    return torch.cat((y, torch.ones_like(norms), norms), 1)


def _smallest(values: Tensor, known: Tensor) -> Tensor:
    """The k smallest (m, k) in the rows of `values` (m, n) and `known` (m, k)."""
    k, groups = known.shape[1], values.shape[1] // GROUP
    if groups > k:
        # They lie in the k groups with the smallest minima, and topk of all columns is slow.
        grouped = values[:, : groups * GROUP].unflatten(1, (GROUP, groups))
        best = grouped.amin(1).topk(k, largest=False).indices
        near = grouped.gather(2, best[:, None].expand(-1, GROUP, -1)).flatten(1)
        values = torch.cat((near, values[:, groups * GROUP :]), 1)
    return torch.cat((known, values), 1).topk(k, largest=False).values
