"""Uniform noise over the bounding box of the reference: what no entry should score below.

A reference entry: with `moment_matching` it shows the ceiling of every metric.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ganbench.core import Task
from ganbench.naive import uniform_box

REFERENCE = True  # to be compared with: takes no rank


class GAN:
    """Learns nothing; samples noise."""

    def __init__(self, task: Task, *, device: str = "cpu") -> None:
        self.reference, self.device = task.reference, device

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """Nothing to learn."""
        return {}

    def sample(self, n: int) -> Tensor:
        """n points of the box."""
        return uniform_box(self.reference, n, torch.default_generator).to(self.device)
