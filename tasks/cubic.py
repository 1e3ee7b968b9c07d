"""A cubic: points (x, x^3 / 50), x uniform on [-50, 50)."""

import torch

from ganbench.planar import curve_task, uniform_power


def cubic(x: torch.Tensor) -> torch.Tensor:
    """y at x."""
    return x**3 / 50


TASK = curve_task(
    "cubic",
    cubic,
    mean_y=0.0,
    mean_y2=uniform_power(6) / 50**2,
    mean_xy=uniform_power(4) / 50,
)
