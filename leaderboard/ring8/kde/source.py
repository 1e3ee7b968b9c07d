"""Kernel density estimation: training data, each with Gaussian noise added to it.

A reference entry: no network. Of several widths of the noise it has the one under which data that
were left out are most likely (Duin 1976), tried whenever the number of data has doubled.
"""

from collections.abc import Mapping
from math import log

import torch
from torch import Tensor

from ganbench.core import Task

REFERENCE = True  # to be compared with: takes no rank
WIDTHS = tuple(2.0**-k for k in range(13))  # of the data's deviations


class GAN:
    """Keeps 2^17 samples or, of wide data, 2^22 numbers, in standardised coordinates."""

    def __init__(self, task: Task, *, device: str = "cpu") -> None:
        self.shape = task.shape
        self.center, self.scale = task.center.to(device), task.scale.to(device)
        self.rows = torch.zeros(min(2**17, 2**22 // task.width), task.width, device=device)
        self.count, self.tried, self.width = 0, 1, WIDTHS[-1]

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """Keep a batch while there is room, and try the widths if there are enough."""
        new = ((real.flatten(1) - self.center) / self.scale)[: len(self.rows) - self.count]
        self.rows[self.count : self.count + len(new)] = new
        self.count += len(new)
        if self.count >= 2 * self.tried:
            self.tried, likely = self.count, self.likelihoods()
            self.width = WIDTHS[likely.index(max(likely))]
        return {"width": torch.tensor(self.width)}

    def likelihoods(self) -> list[float]:
        """The mean log-likelihood of some data, by densities of each width that others make."""
        some, width = min(1024, self.count // 2), self.rows.shape[1]
        others = self.rows[some : min(self.count, 4 * 1024)]
        exact = "donot_use_mm_for_euclid_dist"  # 0 between copies, as of data that are dealt again
        squared = torch.cdist(self.rows[:some], others, compute_mode=exact).double().square()
        squared[squared == 0] = torch.inf  # under which any narrow width would be likely
        fits = [(squared / (-2 * w**2)).logsumexp(1).mean() for w in WIDTHS]
        return [float(fit) - width * log(w) for fit, w in zip(fits, WIDTHS, strict=True)]

    def sample(self, n: int) -> Tensor:
        """n of the samples kept, each drawn by itself, with noise."""
        chosen = self.rows[torch.randint(self.count, (n,)).to(self.rows.device)]
        fake = chosen + self.width * torch.randn_like(chosen)
        return (fake * self.scale + self.center).view(n, *self.shape)
