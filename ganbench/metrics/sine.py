"""Least-squares fit of sin(bx + c) to curves, all curves at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked
from ganbench.metrics._ks import ks_uniform

QUANTITIES = {
    "sine_rmse": ("lower", "root mean square residual of the best sine curve, mean over curves"),
    "sine_r2": ("higher", "R^2 of the best sine curve, mean over curves"),
    "sine_fitted": ("higher", "share of curves with R^2 above 0.95"),
    "sine_b_ks": ("lower", "Kolmogorov-Smirnov distance of the fitted b to its uniform law"),
    "sine_c_ks": ("lower", "Kolmogorov-Smirnov distance of the fitted c to its uniform law"),
}
PROMISES = {
    "sine_rmse": ("shift", "noise", "fidelity", "order"),
    "sine_r2": ("shift", "noise", "fidelity", "order"),
    "sine_fitted": ("shift", "noise", "fidelity", "order"),
    "sine_b_ks": ("collapse", "order", "consistent"),
    "sine_c_ks": ("order", "consistent"),
}

ROWS = 2048  # curves at a time: a chunk on its way takes some 40 MB, whatever n is
SPACING = 0.25  # radians that the phase moves by between neighbours on the grid, at most
STARTS = 4  # minima of the grid that are followed, at most
STEPS = 100  # of Newton's method, at most; 3 or 4 are usual

Range = tuple[float, float]


@dataclass(frozen=True)
class SineFit:
    """Fitted b and c and the sum of squared residuals, each of shape (n,), float64."""

    b: Tensor
    c: Tensor
    sse: Tensor


def sine_fit(
    real: Tensor, fake: Tensor, *, x: Tensor, b_range: Range, c_range: Range
) -> dict[str, float]:
    """How well the curves `fake` (n, len(x)) are sines of the task's family, and of its law.

    R^2 of a curve that the best sine fits no better than its own mean does, as of any constant,
    counts as 0: unbounded below, one such curve would outweigh all. `real` is only checked: the
    law is known. Raises InputError for what `checked` refuses and for curves that are not as long
    as x.
    """
    _, curves = checked(real, fake, fewest=1)
    fit = fit_sines(curves, x=x, b_range=b_range, c_range=c_range)
    total = curves.double().var(1, correction=0) * len(x)
    r2 = (1 - fit.sse / total.clamp(min=1e-300)).clamp(min=0.0)
    return {
        "sine_rmse": float((fit.sse / len(x)).sqrt().mean()),
        "sine_r2": float(r2.mean()),
        "sine_fitted": float((r2 > 0.95).double().mean()),
        "sine_b_ks": ks_uniform(fit.b, b_range),
        "sine_c_ks": ks_uniform(fit.c, c_range),
    }


def fit_sines(curves: Tensor, *, x: Tensor, b_range: Range, c_range: Range) -> SineFit:
    """min |y - sin(bx + c)|^2 over b and c in their ranges, for each row y of `curves`.

    The residual has many local minima in b. It is band-limited in b and c, so a grid of some
    twelve points to its shortest wave shows them, and Newton's method kept inside the box goes
    from the lowest few to their bottom. Two minima in one flat valley can look like one: 1 in
    10,000 random curves ends in the upper. Raises InputError unless `curves` is (n, len(x)).
    """
    if curves.shape[1:] != x.shape:
        raise InputError(
            f"curves must have shape (n, {len(x)}), a number for each x, got {tuple(curves.shape)}"
        )
    x = x.to(curves.device).double()
    low, high = torch.tensor([b_range, c_range], dtype=x.dtype, device=x.device).unbind(1)
    parts = [_fit(rows.double(), x, low, high) for rows in curves.detach().split(ROWS)]
    b, c, sse = torch.cat(parts).unbind(1)
    return SineFit(b, c, sse)


def _fit(y: Tensor, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Columns b, c and sum of squared residuals: the best that each curve's starts lead to."""
    starts, promising = _starts(y, x, low, high)
    fits = torch.full((*promising.shape, 3), math.inf, dtype=y.dtype, device=y.device)
    row = promising.nonzero()[:, 0]
    fits[promising] = _descend(y[row], x, starts[promising], low, high)
    best = fits[:, :, 2].argmin(1)
    return fits[torch.arange(len(y), device=y.device), best]


def _starts(y: Tensor, x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest points (b, c) of a grid, (n, STARTS, 2), and which of them to follow.

    These are minima along b, each with its best c. The bottom near one is half a cell away or
    less, and so lower by at most the squared move of the phase, SPACING^2 / 3 on average over
    x, times 1 + |y|, which bounds half the second derivative of (sin(phase) - y)^2.
    """
    reach = torch.stack([x.abs().max(), torch.ones_like(x[0])])
    counts = ((high - low) * reach / SPACING).ceil().int() + 1
    grid_b, grid_c = (
        torch.linspace(*ends, dtype=x.dtype, device=x.device)
        for ends in zip(low.tolist(), high.tolist(), counts.tolist(), strict=True)
    )
    sines = torch.sin(grid_b[:, None, None] * x + grid_c[:, None]).flatten(0, 1)
    # Less |y|^2, which is the same for the whole grid.
    sse = torch.addmm(sines.square().sum(1), y, sines.T, alpha=-2.0)
    valley, c = sse.view(len(y), len(grid_b), len(grid_c)).min(2)
    beside = pad(valley, (1, 1), value=math.inf)
    sloping = valley > torch.minimum(beside[:, :-2], beside[:, 2:])
    lowest, b = valley.masked_fill(sloping, math.inf).topk(min(STARTS, len(grid_b)), largest=False)
    margin = SPACING**2 / 3 * (1 + y.abs()).sum(1, keepdim=True)
    follow = ~(lowest > lowest[:, :1] + margin)  # NaN too, which then stays NaN
    return torch.stack([grid_b[b], grid_c[c.gather(1, b)]], 2), follow


def _descend(y: Tensor, x: Tensor, start: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Columns b, c and sum of squared residuals at the bottom below each start.

    A step that does not help is not taken, and the next is damped. Rows that are done leave.
    """
    here, damping = _expand(y, x, start), torch.zeros_like(y[:, 0])
    found, row = here[:, :3].clone(), torch.arange(len(y), device=y.device)
    for _ in range(STEPS):
        before = here[:, :2]
        after = (before + _step(here, damping, low, high)).clamp(low, high)
        there = _expand(y, x, after)
        gain = here[:, 2] - there[:, 2]
        better = gain > 0
        worth = gain > 1e-14 * (1 + here[:, 2])
        again = (damping < 1e8) & ((after - before).abs().amax(1) > 1e-9)
        here = torch.where(better[:, None], there, here)
        damping = torch.where(better, 0.1 * damping, 8 * damping + 0.01)
        found[row] = here[:, :3]
        going = torch.where(better, worth, again)
        y, here, damping, row = y[going], here[going], damping[going], row[going]
        if not len(row):
            break
    return found


def _expand(y: Tensor, x: Tensor, point: Tensor) -> Tensor:
    """Columns b, c, sum of squared residuals, half its derivatives by b, c, bb, bc and cc."""
    phase = point[:, :1] * x + point[:, 1:]
    sine, cosine = phase.sin(), phase.cos()
    residual = sine - y
    powers = torch.stack([x * x, x, torch.ones_like(x)], 1)
    gradient = (residual * cosine) @ powers[:, 1:]
    hessian = (cosine.square() - residual * sine) @ powers
    sse = residual.square().sum(1, keepdim=True)
    return torch.cat([point, sse, gradient, hessian], 1)


def _step(here: Tensor, damping: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """One Newton step, zero along a bound that the gradient pushes at.

    Enough is added to the diagonal of the Hessian to make its lower eigenvalue positive.
    """
    point, gradient = here[:, :2], here[:, 3:5]
    free = ~((point <= low) & (gradient > 0)) & ~((point >= high) & (gradient < 0))
    b, c = (gradient * free).unbind(1)
    bb, bc, cc = here[:, 5:].unbind(1)
    bb, cc = torch.where(free[:, 0], bb, cc.abs()), torch.where(free[:, 1], cc, bb.abs())
    bc = bc * free.all(1)
    size = bb.abs() + cc.abs()
    lower = (bb + cc) / 2 - torch.hypot((bb - cc) / 2, bc)
    added = damping * size + (1e-3 * size - lower).clamp(min=0) + 1e-12
    bb, cc = bb + added, cc + added
    return torch.stack([bc * c - cc * b, bc * b - bb * c], 1) / (bb * cc - bc * bc)[:, None]
