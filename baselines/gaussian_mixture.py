"""A mixture of Gaussians, fitted by expectation and maximisation (Dempster et al. 1977).

A reference entry: no network, and the right model where data are such a mixture. Means begin far
from each other, at data (k-means++: Arthur and Vassilvitskii 2007).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ganbench.core import Task

REFERENCE = True  # to be compared with: takes no rank
ITERATIONS, RIDGE = 200, 1e-7  # of EM in a run; added to variances of standardised data


class GAN:
    """`components` Gaussians, fewer of wide data, fitted to the first rows of the training data."""

    def __init__(self, task: Task, *, device: str = "cpu", components: int = 50) -> None:
        self.components = max(1, min(components, 2**22 // task.width**2))
        self.most, self.shape = min(2**14, 2**22 // task.width), task.shape
        self.count, self.steps = 0, task.budget.steps
        self.center, self.scale = task.center.double().to(device), task.scale.double().to(device)
        self.rows = torch.empty(0, task.width, dtype=torch.float64, device=device)

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """Keep a batch; begin again when data have doubled, after an eighth of the run improve."""
        new = (real.flatten(1) - self.center) / self.scale
        self.rows, self.count = torch.cat([self.rows, new])[: self.most], self.count + 1
        if self.count <= max(1, self.steps // 8):
            if self.count & (self.count - 1) == 0:
                self.begin()
        elif self.count % max(1, self.steps // ITERATIONS) == 0:
            self.improve()
        return {}

    def begin(self) -> None:
        """Equal weights, means apart, and round components as wide as data are off their means."""
        means = self.rows[:1]
        for _ in range(self.components):
            squared = torch.cdist(self.rows, means).amin(1).square() + RIDGE
            means = torch.cat([means, self.rows[torch.multinomial(squared, 1)]])
        eye = torch.eye(len(self.center)).to(means)
        self.spreads = squared.mean() / len(eye) * eye.repeat(self.components, 1, 1)
        self.means, self.weights = means[1:], torch.ones_like(means[1:, 0]) / self.components

    def improve(self) -> None:
        """Whose is each row, and then what are the moments of each one's rows?"""
        laws = [MultivariateNormal(*each) for each in zip(self.means, self.spreads, strict=True)]
        fits = torch.stack([law.log_prob(self.rows) for law in laws], 1) + self.weights.log()
        shares = fits.softmax(1) + 1e-12
        self.weights, totals = shares.mean(0), shares.sum(0)
        self.means = shares.T @ self.rows / totals[:, None]
        for k, mean in enumerate(self.means):
            off = shares[:, k, None].sqrt() * (self.rows - mean)
            self.spreads[k] = off.T @ off / totals[k] + RIDGE * torch.eye(len(mean)).to(mean)

    def sample(self, n: int) -> Tensor:
        """n samples."""
        which = torch.multinomial(self.weights, n, replacement=True)
        fake, noise = self.means[which], torch.randn(n, len(self.center)).to(self.rows)
        for k, root in enumerate(torch.linalg.cholesky(self.spreads)):
            fake[which == k] += noise[which == k] @ root.T
        return (fake * self.scale + self.center).float().view(n, *self.shape)
