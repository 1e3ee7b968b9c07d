"""Least-squares fit of sin(bx + c) to curves, all curves at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

QUANTITIES = {
    "sine_rmse": ("lower", "root mean square residual of the best sine curve, mean over curves"),
    "sine_r2": ("higher", "R^2 of the best sine curve, mean over curves"),
    "sine_fitted": ("higher", "share of curves with R^2 above 0.95"),
    "sine_b_ks": ("lower", "Kolmogorov-Smirnov distance of the fitted b to its uniform law"),
    "sine_c_ks": ("lower", "Kolmogorov-Smirnov distance of the fitted c to its uniform law"),
}

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

    R^2 of a constant curve is defined as 0. `real` is not looked at: the law is known.
    """
    fit = fit_sines(fake, x=x, b_range=b_range, c_range=c_range)
    curves = fake.double()
    total = (curves - curves.mean(1, keepdim=True)).square().sum(1)
    r2 = torch.where(total > 0, 1 - fit.sse / total.clamp(min=1e-300), 0.0)
    return {
        "sine_rmse": float((fit.sse / len(x)).sqrt().mean()),
        "sine_r2": float(r2.mean()),
        "sine_fitted": float((r2 > 0.95).double().mean()),
        "sine_b_ks": _ks(fit.b, b_range),
        "sine_c_ks": _ks(fit.c, c_range),
    }


def fit_sines(
    curves: Tensor, *, x: Tensor, b_range: Range, c_range: Range, iterations: int = 100
) -> SineFit:
    """min |y - sin(bx + c)|^2 over b and c in their ranges, for each row y of `curves`.

    The residual has many local minima in b, so a grid fine enough to resolve them (the phase at
    the ends moves by 0.13 between neighbours) gives the start, and Levenberg-Marquardt steps
    kept inside the box do the rest; a step that does not help is not taken.
    """
    y, x = curves.double(), x.to(curves.device).double()
    b, c, sse = _best_on_grid(y, x, b_range, c_range)
    low = torch.tensor([b_range[0], c_range[0]], dtype=x.dtype, device=x.device)
    high = torch.tensor([b_range[1], c_range[1]], dtype=x.dtype, device=x.device)
    point, damping = torch.stack([b, c], 1), torch.full_like(b, 1e-3)
    active = torch.arange(len(y), device=y.device)
    for _ in range(iterations):
        step = _damped_step(y[active], x, point[active], damping[active], low, high)
        moved = (point[active] + step).clamp(low, high)
        moved_sse = _residual(y[active], x, moved).square().sum(1)
        better = moved_sse < sse[active]
        point[active] = torch.where(better[:, None], moved, point[active])
        gain = sse[active] - moved_sse
        sse[active] = torch.where(better, moved_sse, sse[active])
        damping[active] *= torch.where(better, 0.2, 8.0)
        still = (better & (gain > 1e-14 * (1 + sse[active]))) | (
            ~better & (damping[active] < 1e8) & (step.abs().amax(1) > 1e-9)
        )
        active = active[still]
        if not len(active):
            break
    return SineFit(point[:, 0], point[:, 1], sse)


def _best_on_grid(
    y: Tensor, x: Tensor, b_range: Range, c_range: Range
) -> tuple[Tensor, Tensor, Tensor]:
    """The best (b, c) of a grid and its residual, by one matrix product for all curves."""
    reach = float(x.abs().max())
    count_b = math.ceil((b_range[1] - b_range[0]) * reach / 0.13) + 1
    count_c = math.ceil((c_range[1] - c_range[0]) / 0.13) + 1
    grid_b = torch.linspace(*b_range, count_b, dtype=x.dtype, device=x.device)
    grid_c = torch.linspace(*c_range, count_c, dtype=x.dtype, device=x.device)
    pairs = torch.cartesian_prod(grid_b, grid_c)
    templates = torch.sin(pairs[:, :1] * x + pairs[:, 1:])
    offset = templates.square().sum(1)
    best = torch.cat(
        [torch.addmm(offset, rows, templates.T, alpha=-2.0).argmin(1) for rows in y.split(1024)]
    )
    b, c = pairs[best].unbind(1)
    return b.clone(), c.clone(), _residual(y, x, pairs[best]).square().sum(1)


def _residual(y: Tensor, x: Tensor, point: Tensor) -> Tensor:
    residual: Tensor = torch.sin(point[:, :1] * x + point[:, 1:]) - y
    return residual


def _damped_step(
    y: Tensor, x: Tensor, point: Tensor, damping: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """One Levenberg-Marquardt step per curve, zero along a bound that the gradient pushes at."""
    phase = point[:, :1] * x + point[:, 1:]
    slope = torch.cos(phase)
    jacobian = torch.stack([slope * x, slope], 2)
    gradient = torch.einsum("nxp,nx->np", jacobian, torch.sin(phase) - y)
    free = ~(((point <= low) & (gradient > 0)) | ((point >= high) & (gradient < 0)))
    normal = torch.einsum("nxp,nxq->npq", jacobian, jacobian)
    diagonal = normal.diagonal(dim1=1, dim2=2)
    diagonal += damping[:, None] * diagonal + 1e-12
    both = free[:, :, None] & free[:, None, :]
    identity = torch.eye(2, dtype=y.dtype, device=y.device)
    normal = torch.where(both, normal, identity)
    step: Tensor = torch.linalg.solve(normal, -gradient * free)
    return step


def _ks(values: Tensor, law: Range) -> float:
    uniform = stats.uniform(law[0], law[1] - law[0])
    return float(stats.ks_1samp(values.cpu().numpy(), uniform.cdf).statistic)
