"""Two interleaved half circles with noise 0.1, times 2, moved by (-1, -0.2) (ffjord's toy data).

Angles are independent and uniform, where scikit-learn's `make_moons` spaces them evenly.
"""

import math

import torch

from ganbench.planar import planar_task
from ganbench.quadrature import uniform_moments

NOISE = 0.1
SHIFT = torch.tensor([-1.0, -0.2])


def outer(t: torch.Tensor) -> torch.Tensor:
    """The upper half circle at angles t (n,), shape (n, 2)."""
    return 2 * torch.stack([t.cos(), t.sin()], 1) + SHIFT.to(t.device)


def inner(t: torch.Tensor) -> torch.Tensor:
    """The lower half circle at angles t (n,), shape (n, 2)."""
    return 2 * torch.stack([1 - t.cos(), 0.5 - t.sin()], 1) + SHIFT.to(t.device)


def sample(n: int, rng: torch.Generator) -> torch.Tensor:
    """n points, shape (n, 2)."""
    t = math.pi * torch.rand(n, generator=rng, device=rng.device)
    upper = torch.rand(n, 1, generator=rng, device=rng.device) < 0.5
    noise = torch.randn(n, 2, generator=rng, device=rng.device)
    return torch.where(upper, outer(t), inner(t)) + 2 * NOISE * noise


MEAN, COVARIANCE = uniform_moments(outer, (0.0, math.pi), inner, noise=2 * NOISE)

TASK = planar_task("moons", sample, mean=MEAN, covariance=COVARIANCE)
