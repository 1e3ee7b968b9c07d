"""MMD with one Gaussian kernel in a time that grows with the rows, not with their pairs.

Within the spread of the data the kernel of a coordinate is a short Fourier series, so the sum of
the kernel over all pairs is a product of sums of waves. In the plane the kernel is the product of
its coordinates', and these sums are matrices. The narrower the kernel, the longer the series.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench.metrics._kept import part

MOST_COORDINATES = 2
REACH = 7.5  # standard deviations, beyond which a Gaussian counts as 0: it is 6e-13
PER_ROW = 8  # products of waves that are as fast as all the pairs of a row, over the rows
ROOM = 1 / 8  # of the spread of the real side, at either end
CACHE = 2**17  # waves of a block of rows, which stay in cache


Ends = list[tuple[float, float]]
"""Lowest and highest of each coordinate."""


class Series(NamedTuple):
    """exp(-t^2 / (2 width^2)) for |t| up to the `spread` of a coordinate that starts at `low`.

    The kernel repeats with a period that keeps the next one out of reach of the spread, and the
    series ends where the kernel's transform, a Gaussian too, counts as 0.
    """

    low: float
    spread: float
    width: float

    @property
    def step(self) -> float:
        """From one frequency to the next, in radians per unit of the data."""
        return 2 * math.pi / (self.spread + REACH * self.width)

    @property
    def length(self) -> float:
        """Frequencies, 0 among them, before rounding down; infinite if the spread is."""
        return 1 + REACH * (self.spread + REACH * self.width) / (2 * math.pi * self.width)

    def waves(self, x: Tensor) -> Tensor:
        """Cosine and sine of each frequency at the coordinates `x` (n,): (n, 2 * frequencies).

        As powers of one complex number, of which each product makes as many as there are.
        """
        count = int(self.length)
        powers = x.new_empty(len(x), count, dtype=torch.complex128)
        powers[:, 0] = 1
        factor = torch.polar(torch.ones_like(x), (x - self.low) * self.step)[:, None]
        done = 1
        while done < count:
            more = min(done, count - done)
            torch.mul(powers[:, :more], factor, out=powers[:, done : done + more])
            factor, done = factor.square(), done + more
        return torch.view_as_real(powers).flatten(1)

    def weights(self, like: Tensor) -> Tensor:
        """Weights (2 * frequencies,) of the products of two points' waves in the kernel."""
        steps = torch.arange(int(self.length), device=like.device, dtype=torch.float64)
        sigma = self.step * self.width
        heights = torch.exp(-0.5 * (sigma * steps).square()) * sigma * math.sqrt(2 / math.pi)
        heights[0] /= 2
        return heights.repeat_interleave(2)


def mmd_by_waves(real: Tensor, fake: Tensor, width: float) -> float | None:
    """Unbiased MMD^2 of `real` (m, d) and `fake` (n, d); None where all the pairs are faster."""
    if real.shape[1] > MOST_COORDINATES:
        return None
    room = _room_of(real)
    ends = _ends(room, fake)
    axes = [Series(low, high - low, width) for low, high in ends]
    if math.prod(2 * axis.length for axis in axes) > PER_ROW * (len(real) + len(fake)):
        return None
    if ends == room:
        x = part(real, ("waves", width), lambda: _summed(real, axes))
    else:
        x = _summed(real, axes)
    y, m, n = _summed(fake, axes), len(real), len(fake)
    within = sum((float(s.square().sum()) - k) / (k * (k - 1)) for s, k in ((x, m), (y, n)))
    return within - 2 * float((x * y).sum()) / (m * n)


def _ends(room: Ends, fake: Tensor) -> Ends:
    """Those of the real side's room and of the fakes together."""
    each = zip(room, fake.amin(0).tolist(), fake.amax(0).tolist(), strict=True)
    return [(min(low, first), max(high, last)) for (low, high), first, last in each]


def _room_of(real: Tensor) -> Ends:
    """The ends of the real side, and some room, that many fakes of a good GAN lie in."""

    def room() -> Ends:
        low, high = real.double().amin(0), real.double().amax(0)
        more = ROOM * (high - low)
        return list(zip((low - more).tolist(), (high + more).tolist(), strict=True))

    return part(real, "room", room)


def _summed(samples: Tensor, axes: list[Series]) -> Tensor:
    """Sums over `samples` (n, d) of products of waves, whose own products sum to the kernel's."""
    names = "ab"[: len(axes)]
    of_rows = ",".join(f"n{name}" for name in names) + f"->{names}"
    roots = [axis.weights(samples).sqrt() for axis in axes]
    weights = torch.einsum(f"{','.join(names)}->{names}", *roots)
    sums = torch.zeros_like(weights)
    for rows in samples.split(max(1, CACHE // max(weights.shape))):
        columns = zip(axes, rows.double().unbind(1), strict=True)
        sums += torch.einsum(of_rows, *(axis.waves(x) for axis, x in columns))
    return sums.mul_(weights)
