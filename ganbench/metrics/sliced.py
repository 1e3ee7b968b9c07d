"""Sliced Wasserstein distance."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.metrics._inputs import checked

QUANTITIES = {
    "sliced_wasserstein": ("lower", "2-Wasserstein distance, root mean square over directions"),
}


def sliced_wasserstein(
    real: Tensor, fake: Tensor, *, directions: int = 128, seed: int = 0
) -> float:
    """Sliced 2-Wasserstein distance of `real` (m, d) and `fake` (n, d), in the units of the data.

    The directions are the same for everybody: drawn from `seed`. With m != n both quantile
    functions are read at the larger sample's levels. Not zero for two samples of one law: see
    the floor. Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters", JMIV 51.
    """
    real, fake = checked(real, fake)
    rng = torch.Generator().manual_seed(seed)
    axes = torch.randn(real.shape[1], directions, generator=rng).to(real)
    axes /= axes.norm(dim=0)
    n = max(len(real), len(fake))
    gap = _quantiles(real @ axes, n) - _quantiles(fake @ axes, n)
    return float(gap.double().square().mean().sqrt())


def _quantiles(projected: Tensor, n: int) -> Tensor:
    """The sorted columns, stretched to n rows as an empirical quantile function is."""
    ordered = projected.sort(dim=0).values
    if len(ordered) == n:
        return ordered
    levels = (torch.arange(n, device=ordered.device) + 0.5) / n
    return ordered[(levels * len(ordered)).long().clamp_(max=len(ordered) - 1)]
