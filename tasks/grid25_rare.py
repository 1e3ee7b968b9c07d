"""The twenty-five modes of `grid25`, the rarest a hundred times rarer than the commonest.

Weights fall by the same factor, 100^(1/24), from one mode to the seventh after it in the grid's
order, and so on: rare modes lie among common ones on all sides. A definition of ganbench's own.
"""

import torch

from ganbench.planar import mixture_task

AXIS = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0])
ORDER = 7 * torch.arange(25) % 25
WEIGHTS = torch.empty(25, dtype=torch.float64)
WEIGHTS[ORDER] = 100.0 ** -(torch.arange(25, dtype=torch.float64) / 24)

TASK = mixture_task(
    "grid25_rare", torch.cartesian_prod(AXIS, AXIS), sigma=0.05, weights=WEIGHTS / WEIGHTS.sum()
)
