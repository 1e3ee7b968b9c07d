"""A single point, 0: the DiracGAN's data, on which it is known which methods converge.

Mescheder, Geiger and Nowozin 2018. `ganbench.dirac` plays their game of two parameters.
"""

import torch

from ganbench.core import Budget, Task
from ganbench.metrics import dirac_distance

START = 1.0  # the generator's, in the paper's pictures


def sample(n: int, rng: torch.Generator) -> torch.Tensor:
    """n times the point, shape (n, 1)."""
    return torch.zeros(n, 1, device=rng.device)


def start(n: int, rng: torch.Generator) -> torch.Tensor:
    """Where the game starts: what learns nothing stays there. Shape (n, 1)."""
    return torch.full((n, 1), START, device=rng.device)


def moments() -> tuple[torch.Tensor, torch.Tensor]:
    """Both are 0. They are no covariance of the task's, whose root would be its unit of length."""
    return torch.zeros(1).double(), torch.zeros(1, 1).double()


TASK = Task(
    name="dirac",
    version=1,
    shape=(1,),
    sample=sample,
    metrics={"dirac_distance": dirac_distance},
    budget=Budget(steps=500, batch_size=64, evaluations=10, evaluation_size=1024, log_every=10),
    exact_moments=moments,
    naive=(start,),  # those of the true box and moments are exact
)
