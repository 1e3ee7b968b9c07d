"""Five blades of a pinwheel (ffjord's toy data; Johnson et al. 2016)."""

import math

import torch

from ganbench.planar import planar_task

BLADES, RATE = 5, 0.25
RADIAL, TANGENTIAL = 0.3, 0.1


def sample(n: int, rng: torch.Generator) -> torch.Tensor:
    """n points, shape (n, 2)."""
    along, across = torch.randn(n, 2, generator=rng, device=rng.device).unbind(1)
    along, across = 1 + RADIAL * along, TANGENTIAL * across
    blade = torch.randint(BLADES, (n,), generator=rng, device=rng.device)
    angle = 2 * math.pi / BLADES * blade + RATE * along.exp()
    x = along * angle.cos() + across * angle.sin()
    y = -along * angle.sin() + across * angle.cos()
    return 2 * torch.stack([x, y], 1)


# Five-fold symmetry makes the mean 0 and the covariance round: half of E r^2 on each axis.
RADIUS2 = 4 * (1 + RADIAL**2 + TANGENTIAL**2)

TASK = planar_task(
    "pinwheel",
    sample,
    mean=torch.zeros(2, dtype=torch.float64),
    covariance=RADIUS2 / 2 * torch.eye(2, dtype=torch.float64),
)
