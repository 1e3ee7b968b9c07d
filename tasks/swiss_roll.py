"""A Swiss roll seen from the side: (t cos t, t sin t) + noise 0.25, all over 7.5 (WGAN-GP's toy).

t is uniform on [1.5 pi, 4.5 pi]; these are columns 0 and 2 of scikit-learn's `make_swiss_roll`.
"""

import math

import torch

from ganbench.planar import planar_task
from ganbench.quadrature import uniform_moments

NOISE, DIVISOR = 0.25, 7.5
T_RANGE = (1.5 * math.pi, 4.5 * math.pi)


def roll(t: torch.Tensor) -> torch.Tensor:
    """The noiseless spiral at t (n,), shape (n, 2)."""
    return torch.stack([t * t.cos(), t * t.sin()], 1) / DIVISOR


def sample(n: int, rng: torch.Generator) -> torch.Tensor:
    """n points, shape (n, 2)."""
    low, high = T_RANGE
    t = low + (high - low) * torch.rand(n, generator=rng, device=rng.device)
    noise = torch.randn(n, 2, generator=rng, device=rng.device)
    return roll(t) + NOISE / DIVISOR * noise


MEAN, COVARIANCE = uniform_moments(roll, T_RANGE, noise=NOISE / DIVISOR)

TASK = planar_task("swiss_roll", sample, mean=MEAN, covariance=COVARIANCE)
