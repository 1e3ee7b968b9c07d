"""Fidelity and diversity apart, by balls around samples: precision, recall, density, coverage."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked
from ganbench.metrics._pairs import NARROW, squared_distances

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
SLACK = 1e-13  # of squared norms of wide rows: rounding must not push copies out of a ball


def precision_recall(real: Tensor, fake: Tensor, *, k: int = 5) -> dict[str, float]:
    """The four quantities of this file for `real` (m, d) and `fake` (n, d), in float64.

    A ball is closed and reaches from its sample to the k-th nearest other one of the same side;
    a copy is another one. Only values at equal sizes and equal `k` compare. Raises InputError
    unless both sides have more than `k` rows. Memory does not grow with m x n.
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
    real_reach, fake_reach = _reach(real, center, k), _reach(fake, center, k)
    precise = torch.zeros_like(fake_reach, dtype=torch.bool)
    covered, recalled = (torch.zeros_like(real_reach, dtype=torch.bool) for _ in range(2))
    held = torch.zeros((), dtype=torch.int64, device=real.device)
    for at, columns in _blocks(fake, center, COLUMNS):
        for here, rows in _blocks(real, center, ROWS):
            squared = squared_distances(rows, columns)
            # x - y <= 0 exactly where x <= y, and minima are faster than any() of booleans.
            recalled[here] |= (squared - fake_reach[at]).amin(1) <= 0
            beyond = squared.sub_(real_reach[here, None])
            covered[here] |= beyond.amin(1) <= 0
            precise[at] |= beyond.amin(0) <= 0
            held += torch.count_nonzero(beyond <= 0)
    precision, recall, coverage = (float(x.double().mean()) for x in (precise, recalled, covered))
    density = float(held) / (k * len(fake))
    return {"precision": precision, "recall": recall, "density": density, "coverage": coverage}


def _reach(x: Tensor, center: Tensor, k: int) -> Tensor:
    """Squared radii (n,) of the balls around the rows of x (n, d), with the slack."""
    nearest = torch.full((len(x), k), math.inf, dtype=torch.float64, device=x.device)
    norms = torch.empty_like(nearest[:, 0])
    for at, columns in _blocks(x, center, COLUMNS):
        norms[at] = columns.square().sum(1)
        for here, rows in _blocks(x, center, ROWS):
            squared = squared_distances(rows, columns)
            squared.diagonal(here.start - at.start).fill_(math.inf)
            nearest[here] = _smallest(squared, nearest[here])
    radii = nearest.amax(1)
    return radii if x.shape[1] <= NARROW else radii + SLACK * (radii + norms)


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


def _blocks(x: Tensor, center: Tensor, most: int) -> Iterator[tuple[slice, Tensor]]:
    """Up to `most` rows of x (n, d) at a time, less the `center`: their place and their values."""
    size = max(1, min(most, NUMBERS // x.shape[1]))
    for start in range(0, len(x), size):
        rows = x[start : start + size] - center
        yield slice(start, start + len(rows)), rows
