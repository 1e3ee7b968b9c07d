"""Nearest neighbours, and pairs of two samples that are near each other, exact in float64.

Products in float32 show which few pairs may be near; differences in float64 tell which are. Where
the first cannot help, as for short rows, differences tell of all. Memory never grows with n^2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganbench.metrics._pairs import NARROW, squared_differences

COLUMNS = 16_384  # of a block; wide, since a search costs by the row
ROWS, EXACT_ROWS = 256, 64  # of a block of products, and of differences
NUMBERS = 2**24  # at most in the samples of a block: 128 MiB in float64
GROUP = 16  # columns of which only the smallest is looked at first
SPARE = 3  # neighbours looked at exactly, beyond the k nearest by products
DENSE = 16  # one near pair in so many, and it is cheaper to take all differences
HUGE = 1e30  # squared norms, beyond which products may overflow in float32


def common_center(real: Tensor, fake: Tensor) -> Tensor | None:
    """What to take off all rows so that products lose little, (d,); None if these are no use."""
    if real.shape[1] <= NARROW:
        return None
    center = real.mean(0).double()
    for side in (real, fake):
        for at in _slices(len(side), COLUMNS, len(center)):
            if not float((side[at] - center).square().sum(1).amax()) < HUGE:
                return None
    return center


def reach(x: Tensor, center: Tensor | None, k: int) -> Tensor:
    """Squared distance (n,) of each row of x (n, d) to its k-th nearest other one, n > k.

    Raised by what rounding may make of the same distance elsewhere.
    """
    count = k + SPARE
    if center is None or len(x) <= count:
        found = _by_differences(x, torch.arange(len(x), device=x.device), k)
    else:
        bounds, columns = _by_products(x, center, count)
        found = torch.empty(len(x), dtype=torch.float64, device=x.device)
        for here in _slices(len(x), ROWS, count * x.shape[1]):
            found[here] = _squared(x[here, None], x[columns[here]]).kthvalue(k, 1).values
        unsure = (found > bounds.amax(1)).nonzero()[:, 0]  # one not looked at may be nearer
        found[unsure] = _by_differences(x, unsure, k)
    return found * (1 + (x.shape[1] + 8) * torch.finfo(torch.float64).eps)


def near_pairs(
    real: Tensor, fake: Tensor, center: Tensor | None, real_reach: Tensor, fake_reach: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Real rows, fake rows and squared distances (p,) where one is within the other's reach."""
    room = _room(real, ROWS, torch.float32)
    # Not rounded down, which would lose a pair.
    real_most, fake_most = (side.mul(1 + 1e-6).float() for side in (real_reach, fake_reach))
    order, everyone = fake_reach.argsort(), slice(0, len(real))
    for at in _slices(len(fake), COLUMNS, real.shape[1]):
        who = _alike(order[at])
        if center is None:
            yield from _near_by_differences(real, fake, real_reach, fake_reach, everyone, who)
            continue
        right, most = _right(fake[who] - center), fake_most[who]
        for here in _slices(len(real), ROWS, len(center)):
            bounds = torch.mm(_left(real[here] - center), right.T, out=_cut(room, here, at))
            i, j = _within(bounds, real_most[here], most)
            if len(i) <= min(bounds.numel() // DENSE, NUMBERS // len(center)):
                i, j = here.start + i, who[j]
                yield i, j, _squared(real[i], fake[j])
            else:
                yield from _near_by_differences(real, fake, real_reach, fake_reach, here, who)


def _near_by_differences(
    real: Tensor, fake: Tensor, real_reach: Tensor, fake_reach: Tensor, rows: slice, who: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The same for these real rows and fake rows only."""
    room, spare = (_room(real, EXACT_ROWS, torch.float64) for _ in range(2))
    y, most = fake[who].T.double().contiguous(), fake_reach[who]
    for here in _slices(rows.stop, EXACT_ROWS, real.shape[1], rows.start):
        squared, other = (_cut(each, here, slice(0, len(who))) for each in (room, spare))
        squared_differences(real[here].double(), y, out=squared, spare=other)
        i, j = _within(squared, real_reach[here], most)
        yield here.start + i, who[j], squared[i, j]


def _by_differences(x: Tensor, rows: Tensor, k: int) -> Tensor:
    """Squared distances (r,) of these `rows` (r,) of x (n, d) to their k-th nearest other row."""
    room, other = (_room(x, EXACT_ROWS, torch.float64) for _ in range(2))
    nearest = torch.full((len(rows), k), math.inf, dtype=torch.float64, device=x.device)
    for at in _slices(len(x), COLUMNS, x.shape[1]):
        y = x[at].T.double().contiguous()
        for here in _slices(len(rows), EXACT_ROWS, x.shape[1]):
            squared, spare = (_cut(each, here, at) for each in (room, other))
            squared_differences(x[rows[here]].double(), y, out=squared, spare=spare)
            column = rows[here] - at.start
            itself = ((column >= 0) & (column < squared.shape[1])).nonzero()[:, 0]
            squared[itself, column[itself]] = math.inf
            both = torch.cat((nearest[here], _smallest(squared, k)[0]), 1)
            nearest[here] = both.topk(k, largest=False).values
    return nearest.amax(1)


def _by_products(x: Tensor, center: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of each row of x (n, d), the `count` others of the lowest bounds, (n, count): these, who."""
    room = _room(x, ROWS, torch.float32)
    bounds = torch.full((len(x), count), math.inf, device=x.device)
    columns = torch.zeros_like(bounds, dtype=torch.long)
    for at in _slices(len(x), COLUMNS, len(center)):
        right = _right(x[at] - center)
        for here in _slices(len(x), ROWS, len(center)):
            block = torch.mm(_left(x[here] - center), right.T, out=_cut(room, here, at))
            block.diagonal(here.start - at.start).fill_(math.inf)
            lowest, where = _smallest(block, count)
            both = torch.cat((bounds[here], lowest), 1).topk(count, largest=False)
            bounds[here] = both.values
            columns[here] = torch.cat((columns[here], at.start + where), 1).gather(1, both.indices)
    return bounds, columns


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


def _left(x: Tensor) -> Tensor:
    """What times `_right` of y, transposed, is a lower bound of |x - y|^2, in float32.

    It is |x|^2 - 2xy + |y|^2 less all that rounding may have added, of inputs, norms and products:
    (3d + 10) / 2 times epsilon of |x|^2 + |y|^2.
    """
    x = x.float()
    norms = x.square().sum(1, keepdim=True)
    return torch.cat((-2 * x, norms * _less(x), torch.ones_like(norms)), 1)


def _right(y: Tensor) -> Tensor:
    y = y.float()
    norms = y.square().sum(1, keepdim=True)
    return torch.cat((y, torch.ones_like(norms), norms * _less(y)), 1)


def _less(x: Tensor) -> float:
    return 1 - 2 * (x.shape[1] + 8) * torch.finfo(torch.float32).eps


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
