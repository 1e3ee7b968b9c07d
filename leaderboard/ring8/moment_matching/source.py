"""A Gaussian with the mean and covariance of the training data seen: no network at all.

A reference entry. On `gaussian` it is the right model, and beats the tutorial GAN there, as that
tutorial's author says.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ganbench.core import Task
from ganbench.naive import matched_gaussian

REFERENCE = True  # to be compared with: takes no rank


class GAN:
    """Keeps running sums of the first two moments, in float64."""

    def __init__(self, task: Task, *, device: str = "cpu") -> None:
        width = task.width
        self.shape, self.device = task.shape, device
        self.count = 0
        self.sum = torch.zeros(width, dtype=torch.float64, device=device)
        self.square = torch.zeros(width, width, dtype=torch.float64, device=device)

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """Add a batch to the sums."""
        flat = real.flatten(1).double()
        self.count += len(flat)
        self.sum += flat.sum(0)
        self.square.addmm_(flat.T, flat)
        return {}

    def sample(self, n: int) -> Tensor:
        """n draws from the fitted Gaussian."""
        mean = (self.sum / self.count).cpu()
        covariance = (self.square / self.count).cpu() - torch.outer(mean, mean)
        fake = matched_gaussian(mean, covariance, n, torch.default_generator)
        return fake.view(n, *self.shape).to(self.device)
