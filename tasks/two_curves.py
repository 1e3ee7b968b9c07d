"""Two parabolas: half the points from (x, 10 + x^2), half from (x, -10 - x^2)."""

import torch

from ganbench.planar import curve_task, uniform_power


def upper(x: torch.Tensor) -> torch.Tensor:
    """y at x on the upper branch."""
    return 10 + x**2


def lower(x: torch.Tensor) -> torch.Tensor:
    """y at x on the lower branch."""
    return -10 - x**2


TASK = curve_task(
    "two_curves",
    upper,
    lower,
    mean_y=0.0,
    mean_y2=100 + 20 * uniform_power(2) + uniform_power(4),
    mean_xy=0.0,
)
