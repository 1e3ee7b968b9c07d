"""Exact moments of points spread along a curve, by Gauss-Legendre quadrature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def uniform_moments(
    curve: Callable[[Tensor], Tensor],
    t_range: tuple[float, float],
    *more: Callable[[Tensor], Tensor],
    noise: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d), float64, of curve(t) + noise z.

    t is uniform on `t_range`, z standard normal; with `more` curves, each has an equal share.
    """
    low, high = t_range
    nodes, weights = np.polynomial.legendre.leggauss(1000)
    t = torch.from_numpy(low + (high - low) * (nodes + 1) / 2)
    weight = torch.from_numpy(weights / 2).repeat(1 + len(more)) / (1 + len(more))
    points = torch.cat([part(t) for part in (curve, *more)]).double()
    mean = weight @ points
    centered = points - mean
    covariance = centered.T @ (weight[:, None] * centered)
    return mean, covariance + noise**2 * torch.eye(points.shape[1], dtype=torch.float64)
