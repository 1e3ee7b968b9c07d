"""Training data seen, drawn again with replacement: what copying without learning scores.

A reference entry: it looks real, and it covers as much as there are different data to copy.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ganbench.core import Task

REFERENCE = True  # to be compared with: takes no rank
MOST_NUMBERS = 2**22  # that are kept, 16 MiB: of a task with larger samples the last batches


class GAN:
    """Keeps the batches that it is given."""

    def __init__(self, task: Task, *, device: str = "cpu") -> None:
        self.most = max(1, MOST_NUMBERS // (task.budget.batch_size * task.width))
        self.batches: list[Tensor] = []

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """Keep a batch."""
        self.batches.append(real)
        del self.batches[: -self.most]
        return {}

    def sample(self, n: int) -> Tensor:
        """n of the rows kept, each drawn by itself."""
        rows = torch.cat(self.batches)
        return rows[torch.randint(len(rows), (n,)).to(rows.device)]
