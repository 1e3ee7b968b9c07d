"""Two spiral arms of one and a half turns, with noise 0.1 (ffjord's toy data, "2spirals")."""

import math

import torch

from ganbench.planar import planar_task
from ganbench.quadrature import uniform_moments

TURN = 3 * math.pi  # 540 degrees
SMEAR, NOISE = 0.5, 0.1


def arm(u: torch.Tensor) -> torch.Tensor:
    """One arm, before smear and noise, at u in [0, 1] (n,), shape (n, 2)."""
    radius = u.sqrt() * TURN
    return torch.stack([-radius.cos() * radius, radius.sin() * radius], 1)


def sample(n: int, rng: torch.Generator) -> torch.Tensor:
    """n points, shape (n, 2)."""
    points = arm(torch.rand(n, generator=rng, device=rng.device))
    points += SMEAR * torch.rand(n, 2, generator=rng, device=rng.device)
    sign = 2 * torch.randint(2, (n, 1), generator=rng, device=rng.device) - 1
    noise = torch.randn(n, 2, generator=rng, device=rng.device)
    return sign * points / 3 + NOISE * noise


# The sign makes the mean 0; the second moment about 0 is that of one arm with its smear.
ARM_MEAN, ARM_COVARIANCE = uniform_moments(arm, (0.0, 1.0))
SMEARED = ARM_MEAN + SMEAR / 2
IDENTITY = torch.eye(2, dtype=torch.float64)
SECOND = ARM_COVARIANCE + torch.outer(SMEARED, SMEARED) + SMEAR**2 / 12 * IDENTITY

TASK = planar_task(
    "spirals",
    sample,
    mean=torch.zeros(2, dtype=torch.float64),
    covariance=SECOND / 9 + NOISE**2 * IDENTITY,
)
