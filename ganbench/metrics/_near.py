"""Nearest neighbours, and pairs of two samples that are near each other, exact in float64.

Products in float32 show which few pairs may be near; differences in float64 tell which are. Where
the first cannot help, as for short rows, differences tell of all. Memory never grows with n^2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganbench.metrics._pairs import NARROW, squared_differences

COLUMNS = 16_384  # at most in a block; wide, since a search costs by the row
CACHE = 2**21  # numbers in the samples that are a block's columns: 8 MiB, or 16 in float64
ROWS, EXACT_ROWS = 256, 64  # of a block of products, and of differences
NUMBERS = 2**24  # at most in the samples of a block: 128 MiB in float64
GROUP = 16  # columns of which only the smallest is looked at first
SPARE = 3  # neighbours looked at exactly, beyond the k nearest by products
DENSE = 16  # one near pair in so many, and it is cheaper to take all differences
SOME = 4096  # rows that make a mean
FLAT = 3  # coordinates, up to which a tree is faster than all pairs
HUGE = 1e30  # squared norms, beyond which products may overflow in float32


def common_center(real: Tensor, fake: Tensor) -> Tensor | None:
    """What to take off all rows so that products lose little, (d,); None if these are no use.

    The mean of some, in float32: any point near them will do.
    """
    width = real.shape[1]
    if width <= NARROW:
        return None
    largest = max(float(end.abs()) for side in (real, fake) for end in side.aminmax())
    if not 2 * largest < math.sqrt(HUGE / width):
        return None
    return real[:: -(-len(real) // SOME)].mean(0).float()


def reach(x: Tensor, center: Tensor | None, k: int) -> Tensor:
    """Squared distance (n,) of each row of x (n, d) to its k-th nearest other one, n > k.

    Raised by what rounding may make of the same distance elsewhere.
    """
    found = _kth_nearest(x, x, center, k, itself=True)
    return found * (1 + (x.shape[1] + 8) * torch.finfo(torch.float64).eps)


def nearest(x: Tensor, y: Tensor, center: Tensor | None) -> Tensor:
    """Squared distance (m,) of each row of x (m, d) to the nearest row of y (n, d).

    y may lie on another device, from which blocks are then copied.
    """
    return _kth_nearest(x, y, center, 1, itself=False)


def near_pairs(
    real: Tensor, fake: Tensor, center: Tensor | None, real_reach: Tensor, fake_reach: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Real rows, fake rows and squared distances (p,) where one is within the other's reach."""
    if real.shape[1] <= FLAT:
        yield from _by_trees(real, fake, real_reach, fake_reach)
        return
    room = _room(real, ROWS, torch.float32)
    # Not rounded down, which would lose a pair.
    real_most, fake_most = (side.mul(1 + 1e-6).float() for side in (real_reach, fake_reach))
    order, everyone = fake_reach.argsort(), slice(0, len(real))
    for at in _columns(len(fake), real.shape[1]):
        who = _alike(order[at])
        if center is None:
            yield from _near_by_differences(real, fake, real_reach, fake_reach, everyone, who)
            continue
        right, most = _right(fake[who], center), fake_most[who]
        for here in _slices(len(real), ROWS, len(center)):
            bounds = torch.mm(_left(real[here], center), right.T, out=_cut(room, here, at))
            i, j = _within(bounds, real_most[here], most)
            if len(i) <= min(bounds.numel() // DENSE, NUMBERS // len(center)):
                i, j = here.start + i, who[j]
                yield i, j, _squared(real[i], fake[j])
            else:
                yield from _near_by_differences(real, fake, real_reach, fake_reach, here, who)


def _by_trees(
    real: Tensor, fake: Tensor, real_reach: Tensor, fake_reach: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Near pairs as of `near_pairs`, found in a time that does not grow with all pairs."""
    for i, j in _in_balls(fake, real, real_reach):
        yield i, j, _squared(real[i], fake[j])
    for j, i in _in_balls(real, fake, fake_reach):
        squared = _squared(real[i], fake[j])
        new = squared > real_reach[i]  # the others were among the first
        yield i[new], j[new], squared[new]


def _in_balls(x: Tensor, centers: Tensor, reach: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Balls and rows of x (p,) that lie in them, or by rounding beside them."""
    tree, device = _tree(x), x.device
    for here in _slices(len(centers), ROWS, 1):
        radii = reach[here].sqrt() * (1 + 1e-9)
        found = tree.query_ball_point(centers[here].double().cpu().numpy(), radii.cpu().numpy())
        counts = torch.tensor([len(each) for each in found])
        balls = torch.arange(here.start, here.stop).repeat_interleave(counts)
        rows = torch.from_numpy(np.concatenate(found).astype(np.int64))
        yield balls.to(device), rows.to(device)


def _tree(x: Tensor) -> Any:
    """The rows (n, d), to be searched in a time that grows with n, but fast in d."""
    from scipy.spatial import KDTree  # slow to import

    return KDTree(x.double().cpu().numpy())


def _near_by_differences(
    real: Tensor, fake: Tensor, real_reach: Tensor, fake_reach: Tensor, rows: slice, who: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Near pairs of these real rows and fake rows only, by differences of all."""
    room, spare = (_room(real, EXACT_ROWS, torch.float64) for _ in range(2))
    y, most = fake[who].T.double().contiguous(), fake_reach[who]
    for here in _slices(rows.stop, EXACT_ROWS, real.shape[1], rows.start):
        squared, other = (_cut(each, here, slice(0, len(who))) for each in (room, spare))
        squared_differences(real[here].double(), y, out=squared, spare=other)
        i, j = _within(squared, real_reach[here], most)
        yield here.start + i, who[j], squared[i, j]


def _kth_nearest(x: Tensor, y: Tensor, center: Tensor | None, k: int, itself: bool) -> Tensor:
    """Squared distance (m,) of each row of x (m, d) to its k-th nearest row of y (n, d).

    Where x is y, and a row no neighbour of `itself`.
    """
    if x.shape[1] <= FLAT:  # where the first of the nearest is a row itself
        at = _tree(y).query(x.double().cpu().numpy(), [k + 1 if itself else k])[1][:, 0]
        return _squared(x, y[torch.from_numpy(at).to(y.device)].to(x.device))
    count = k + SPARE
    if center is None or len(y) <= count:
        return _by_differences(x, y, torch.arange(len(x), device=x.device), k, itself)
    bounds, columns = _by_products(x, y, center, count, itself)
    found = torch.empty(len(x), dtype=torch.float64, device=x.device)
    for here in _slices(len(x), ROWS, count * x.shape[1]):
        others = y[columns[here].to(y.device)].to(x.device)
        found[here] = _squared(x[here, None], others).kthvalue(k, 1).values
    # One not looked at may be nearer, unless nothing can be.
    unsure = (found > bounds.amax(1).clamp(min=0.0)).nonzero()[:, 0]
    if len(unsure):
        found[unsure] = _by_differences(x, y, unsure, k, itself)
    return found


def _by_differences(x: Tensor, y: Tensor, rows: Tensor, k: int, itself: bool) -> Tensor:
    """Squared distances (r,) of these `rows` (r,) of x to their k-th nearest rows of y."""
    room, other = (_room(x, EXACT_ROWS, torch.float64) for _ in range(2))
    nearest = torch.full((len(rows), k), math.inf, dtype=torch.float64, device=x.device)
    for at in _columns(len(y), x.shape[1]):
        columns = y[at].to(x.device).T.double().contiguous()
        for here in _slices(len(rows), EXACT_ROWS, x.shape[1]):
            squared, spare = (_cut(each, here, at) for each in (room, other))
            squared_differences(x[rows[here]].double(), columns, out=squared, spare=spare)
            if itself:
                column = rows[here] - at.start
                within = ((column >= 0) & (column < squared.shape[1])).nonzero()[:, 0]
                squared[within, column[within]] = math.inf
            both = torch.cat((nearest[here], _smallest(squared, k)[0]), 1)
            nearest[here] = both.topk(k, largest=False).values
    return nearest.amax(1)


def _by_products(
    x: Tensor, y: Tensor, center: Tensor, count: int, itself: bool
) -> tuple[Tensor, Tensor]:
    """The `count` rows of y of the lowest bounds for each row of x, (m, count): these, which."""
    room = _room(x, ROWS, torch.float32)
    bounds = torch.full((len(x), count), math.inf, device=x.device)
    columns = torch.zeros_like(bounds, dtype=torch.long)
    for at in _columns(len(y), len(center)):
        right = _right(y[at].to(x.device), center)
        for here in _slices(len(x), ROWS, len(center)):
            block = torch.mm(_left(x[here], center), right.T, out=_cut(room, here, at))
            if itself:
                block.diagonal(here.start - at.start).fill_(math.inf)
            lowest, where = _smallest(block, count)
            both = torch.cat((bounds[here], lowest), 1).topk(count, largest=False)
            bounds[here] = both.values
            columns[here] = torch.cat((columns[here], at.start + where), 1).gather(1, both.indices)
    return bounds, columns


def _columns(count: int, width: int) -> Iterator[slice]:
    """Samples of `width` numbers that are the columns of a block, in whole groups if not one."""
    return _slices(count, min(COLUMNS, CACHE // width // GROUP * GROUP), width)


def _slices(stop: int, most: int, width: int, start: int = 0) -> Iterator[slice]:
    """Rows of `width` numbers, up to `most` and NUMBERS at a time."""
    size = max(1, min(most, NUMBERS // width))
    return (slice(first, min(first + size, stop)) for first in range(start, stop, size))


def _room(x: Tensor, rows: int, dtype: torch.dtype) -> Tensor:
    """Memory for a block: taken anew each time, its pages would cost as much as the sums."""
    return torch.empty(rows * COLUMNS, dtype=dtype, device=x.device)


def _cut(room: Tensor, rows: slice, columns: slice) -> Tensor:
    m, n = rows.stop - rows.start, columns.stop - columns.start
    return room[: m * n].view(m, n)


def _squared(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances in float64 of rows of x and y (..., d)."""
    return (x.double() - y.double()).square_().sum(-1)


def _left(x: Tensor, center: Tensor) -> Tensor:
    """What times `_right` of y, transposed, is a lower bound of |x - y|^2, in float32.

    It is |x|^2 - 2xy + |y|^2 less all that rounding may have added, of inputs, norms and products:
    (3d + 10) / 2 times epsilon of |x|^2 + |y|^2.
    """
    rows, norms = _centered(x, center)
    rows[:, :-2] *= -2
    rows[:, -2] = norms
    rows[:, -1] = 1
    return rows


def _right(y: Tensor, center: Tensor) -> Tensor:
    rows, norms = _centered(y, center)
    rows[:, -2] = 1
    rows[:, -1] = norms
    return rows


def _centered(x: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of x less the center, and two more columns, in float32; their squared norms, lowered."""
    rows = torch.empty(len(x), len(center) + 2, device=x.device)
    inner = torch.sub(x, center, out=rows[:, :-2])
    less = 1 - 2 * (len(center) + 8) * torch.finfo(torch.float32).eps
    return rows, torch.linalg.vector_norm(inner, dim=1).square_().mul_(less)


def _within(values: Tensor, row_most: Tensor, column_most: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of `values` (m, n) at most their row's most (m,) or their column's (n,)."""
    grouped, most = _in_groups(values, math.inf), _in_groups(column_most[None], 0.0)[0]
    # Minima are far faster than comparing all, and nonzero() of that.
    largest = torch.maximum(row_most[:, None], most.amax(0))
    row, group = (grouped.amin(1) - largest <= 0).nonzero(as_tuple=True)
    excess = grouped[row, :, group] - torch.maximum(row_most[row, None], most.T[group])
    which, place = (excess <= 0).nonzero(as_tuple=True)
    return row[which], place * grouped.shape[2] + group[which]


def _smallest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest in each row of `values` (m, n), n > k, or infinity, and their columns."""
    # They lie in the k groups with the smallest minima, and topk of all columns is slow.
    grouped = _in_groups(values, math.inf)
    groups = grouped.shape[2]
    best = grouped.amin(1).topk(min(k, groups), largest=False).indices
    near = grouped.gather(2, best[:, None].expand(-1, GROUP, -1)).flatten(1)
    found = near.topk(min(k, near.shape[1]), largest=False)
    place, which = found.indices // best.shape[1], found.indices % best.shape[1]
    return found.values, place * groups + best.gather(1, which)


def _alike(order: Tensor) -> Tensor:
    """`order` (n,) rearranged so that neighbours in it come into one group of `_in_groups`."""
    groups = -(-len(order) // GROUP)
    columns = (torch.arange(len(order), device=order.device) % groups).argsort(stable=True)
    return torch.empty_like(order).scatter_(0, columns, order)


def _in_groups(values: Tensor, wanting: float) -> Tensor:
    """`values` (m, n) as (m, GROUP, n / GROUP), with `wanting` where columns are wanting.

    Column c is at place c // groups of group c % groups.
    """
    missing = -values.shape[1] % GROUP
    if missing:
        values = nn.functional.pad(values, (0, missing), value=wanting)
    grouped: Tensor = values.unflatten(1, (GROUP, -1))
    return grouped
