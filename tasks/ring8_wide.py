"""Eight Gaussians, radius 2 and deviation 0.02, all divided by 1.414 (WGAN-GP's toy data)."""

import math

import torch

from ganbench.planar import mixture_task

ANGLES = 2 * math.pi * torch.arange(8) / 8
CENTERS = 2 * torch.stack([ANGLES.cos(), ANGLES.sin()], 1)

TASK = mixture_task("ring8_wide", CENTERS / 1.414, sigma=0.02 / 1.414)
