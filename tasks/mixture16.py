"""Twenty-five Gaussians in 16 dimensions, standard deviation 0.3, centres drawn from N(0, I).

The centres are fixed: seed 16 of NumPy's `RandomState`, whose draws never change. A
definition of ganbench's own: modes as in `grid25`, but in more dimensions than a picture has.
"""

import numpy as np
import torch

from ganbench.planar import mixture_task

CENTERS = torch.from_numpy(np.random.RandomState(16).randn(25, 16)).float()

TASK = mixture_task("mixture16", CENTERS, sigma=0.3)
