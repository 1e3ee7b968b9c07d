"""Fresh real data instead of a generator: what a perfect entry would score.

A reference entry: it shows the floor of every metric.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ganbench.core import Task

REFERENCE = True  # to be compared with: takes no rank


class GAN:
    """Learns nothing; samples from the task itself."""

    def __init__(self, task: Task, *, device: str = "cpu") -> None:
        self.task, self.device = task, device

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """Nothing to learn."""
        return {}

    def sample(self, n: int) -> Tensor:
        """n fresh real samples, independent of the reference."""
        return self.task.sample(n, torch.default_generator).to(self.device)
