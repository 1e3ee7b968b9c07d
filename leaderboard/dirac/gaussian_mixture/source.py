"""A mixture of Gaussians, fitted by EM (Dempster et al. 1977): a reference, without a network."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ganbench.core import Task

REFERENCE = True  # to be compared with: takes no rank


class GAN:
    """`components` Gaussians, fewer of wide data, fitted to the first rows of the training data."""

    def __init__(self, task: Task, *, device: str = "cpu", components: int = 50) -> None:
        self.components = max(1, min(components, 2**22 // task.width**2))
        self.most, self.shape = min(2**14, 2**22 // task.width), task.shape
        self.center, self.scale = task.center.double().to(device), task.scale.double().to(device)
        self.eye = torch.eye(task.width, dtype=torch.float64, device=device)
        self.rows, self.count, self.steps = self.eye[:0], 0, task.budget.steps

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """Keep a batch; begin again when data have doubled, after an eighth of the run improve."""
        new = (real.flatten(1) - self.center) / self.scale
        self.rows, self.count = torch.cat([self.rows, new])[: self.most], self.count + 1
        early = self.count <= max(1, self.steps // 8)
        if early and self.count.bit_count() == 1:
            self.begin()
        elif not early and self.count % max(1, self.steps // 200) == 0:
            self.improve()
        return {}

    def begin(self) -> None:
        """Means apart (k-means++: Arthur and Vassilvitskii 2007), all as wide as data are off."""
        means = self.rows[:1]
        for _ in range(self.components):
            squared = torch.cdist(self.rows, means).amin(1).square() + 1e-7
            means = torch.cat([means, self.rows[torch.multinomial(squared, 1)]])
        self.spreads = squared.mean() / len(self.center) * self.eye.repeat(self.components, 1, 1)
        self.means, self.weights = means[1:], torch.ones_like(means[1:, 0]) / self.components

    def improve(self) -> None:
        """Whose is each row, and then what are the moments of each one's rows?"""
        laws = map(MultivariateNormal, self.means, self.spreads)
        fits = torch.stack([law.log_prob(self.rows) for law in laws], 1) + self.weights.log()
        shares = fits.softmax(1) + 1e-12
        self.weights, self.means = shares.mean(0), (shares / shares.sum(0)).T @ self.rows
        for k, mean in enumerate(self.means):
            off = (shares[:, k, None] / shares[:, k].sum()).sqrt() * (self.rows - mean)
            self.spreads[k] = off.T @ off + 1e-7 * self.eye

    def sample(self, n: int) -> Tensor:
        """n samples."""
        which = torch.multinomial(self.weights, n, replacement=True)
        fake, noise = self.means[which], torch.randn(n, len(self.center)).to(self.rows)
        for k, root in enumerate(torch.linalg.cholesky(self.spreads)):
            fake[which == k] += noise[which == k] @ root.T
        return (fake * self.scale + self.center).float().view(n, *self.shape)
