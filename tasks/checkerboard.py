"""Every other square, of side 2, of a board from -4 to 4 (ffjord's toy data)."""

import math

import torch

from ganbench.planar import planar_task

SIDE = 2.0


def sample(n: int, rng: torch.Generator) -> torch.Tensor:
    """n points, shape (n, 2)."""
    x = 4 * torch.rand(n, generator=rng, device=rng.device) - 2
    row = 2 * torch.randint(2, (n,), generator=rng, device=rng.device)
    y = torch.rand(n, generator=rng, device=rng.device) - row + x.floor() % 2
    return SIDE * torch.stack([x, y], 1)


def log_density(points: torch.Tensor) -> torch.Tensor:
    """Uniform on the eight squares, -inf elsewhere; (n, 2) -> (n,)."""
    column, row = (points.double() / SIDE).floor().unbind(1)
    inside = (column >= -2) & (column < 2) & (row >= -2) & (row < 2)
    ours = inside & ((column + row) % 2 == 0)
    log_uniform = -math.log(8 * SIDE**2)
    return torch.where(ours, log_uniform, -math.inf)


TASK = planar_task(
    "checkerboard",
    sample,
    mean=torch.zeros(2, dtype=torch.float64),
    # Each coordinate is uniform on the board; E xy = 1/4 in units of a square.
    covariance=SIDE**2 * torch.tensor([[4 / 3, 1 / 4], [1 / 4, 4 / 3]], dtype=torch.float64),
    log_density=log_density,
)
