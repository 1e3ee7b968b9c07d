"""Eight Gaussians on a circle of radius 1, standard deviation 0.01 (PacGAN, Lin et al. 2018).

Angles are 2 pi i / 8: `linspace(0, 2 pi, 8)` counts one centre twice and leaves seven.
"""

import math

import torch

from ganbench.planar import mixture_task

ANGLES = 2 * math.pi * torch.arange(8) / 8

TASK = mixture_task("ring8", torch.stack([ANGLES.cos(), ANGLES.sin()], 1), sigma=0.01)
