"""Points z A + b with standard normal z: a correlated Gaussian, 1,000 training points.

The published tutorial GAN on this target ends at a discriminator accuracy of 0.50.
"""

import torch

from ganbench.core import Budget
from ganbench.planar import planar_task

A = torch.tensor([[1.0, 2.0], [-0.1, 0.5]])
B = torch.tensor([1.0, 2.0])


def sample(n: int, rng: torch.Generator) -> torch.Tensor:
    """n points, shape (n, 2)."""
    return torch.randn(n, 2, generator=rng, device=rng.device) @ A.to(rng.device) + B.to(rng.device)


def log_density(points: torch.Tensor) -> torch.Tensor:
    """Exact log-density of points (n, 2), shape (n,)."""
    normal = torch.distributions.MultivariateNormal(B.double(), COVARIANCE)
    log_prob: torch.Tensor = normal.log_prob(points.double().cpu())
    return log_prob


COVARIANCE = (A.T @ A).double()  # A'A = [[1.01, 1.95], [1.95, 4.25]]

TASK = planar_task(
    "gaussian",
    sample,
    mean=B.double(),
    covariance=COVARIANCE,
    log_density=log_density,
    budget=Budget(steps=2_500, batch_size=4, evaluations=10, evaluation_size=4096, log_every=250),
    pool=1_000,
    shuffle=True,
    naive=("uniform",),  # the Gaussian of its moments is exact
)
