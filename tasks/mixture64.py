"""Twenty-five Gaussians in 64 dimensions, standard deviation 0.3, centres drawn from N(0, I).

The centres are fixed: seed 64 of NumPy's `RandomState`, whose draws never change. A
definition of ganbench's own, as `mixture16`.
"""

import numpy as np
import torch

from ganbench.planar import mixture_task

CENTERS = torch.from_numpy(np.random.RandomState(64).randn(25, 64)).float()

TASK = mixture_task("mixture64", CENTERS, sigma=0.3)
