"""Twenty-five Gaussians on {-4, -2, 0, 2, 4}^2, standard deviation 0.05 (PacGAN, 2018)."""

import torch

from ganbench.planar import mixture_task

AXIS = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0])

TASK = mixture_task("grid25", torch.cartesian_prod(AXIS, AXIS), sigma=0.05)
