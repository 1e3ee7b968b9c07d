"""A parabola: points (x, 10 + x^2), x uniform on [-50, 50): a tutorial GAN's target."""

from dataclasses import replace

import torch

from ganbench.planar import BUDGET, curve_task, uniform_power


def parabola(x: torch.Tensor) -> torch.Tensor:
    """y at x."""
    return 10 + x**2


TASK = curve_task(
    "quadratic",
    parabola,
    mean_y=10 + uniform_power(2),
    mean_y2=100 + 20 * uniform_power(2) + uniform_power(4),
    mean_xy=0.0,
    budget=replace(BUDGET, steps=100_001, log_every=1_000),
)
