"""A cosine: points (x, 1000 cos(x / 8)), x uniform on [-50, 50)."""

import math

import torch

from ganbench.planar import curve_task

HEIGHT, PERIOD = 1000.0, 8.0


def cosine(x: torch.Tensor) -> torch.Tensor:
    """y at x."""
    return HEIGHT * torch.cos(x / PERIOD)


def mean_cosine(k: float) -> float:
    """E cos(k x) for x uniform on [-50, 50]."""
    return math.sin(50 * k) / (50 * k)


TASK = curve_task(
    "cosine",
    cosine,
    mean_y=HEIGHT * mean_cosine(1 / PERIOD),
    mean_y2=HEIGHT**2 * (1 + mean_cosine(2 / PERIOD)) / 2,
    mean_xy=0.0,
)
