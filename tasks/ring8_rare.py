"""The eight modes of `ring8`, the rarest a hundred times rarer than the commonest.

Weights fall from mode to mode around the circle by the same factor, 100^(1/7): a definition of
ganbench's own, for what recall is asked of rare modes.
"""

import math

import torch

from ganbench.planar import mixture_task

ANGLES = 2 * math.pi * torch.arange(8) / 8
WEIGHTS = 100.0 ** -(torch.arange(8, dtype=torch.float64) / 7)

TASK = mixture_task(
    "ring8_rare",
    torch.stack([ANGLES.cos(), ANGLES.sin()], 1),
    sigma=0.01,
    weights=WEIGHTS / WEIGHTS.sum(),
)
