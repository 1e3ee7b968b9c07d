"""DDPM, small: noise that is taken off in 100 steps (Ho et al. 2020).

No GAN, but what one is to be measured against. The paper's 1,000 levels of noise are thinned out.
"""

from collections.abc import Mapping

import flow_matching
import torch
from torch import Tensor

from ganbench.core import Task


class GAN(flow_matching.GAN):
    """The network of `flow_matching`, which here sees the noise."""

    def __init__(
        self, task: Task, *, device: str = "cpu", lr: float = 2e-3, levels: int = 100
    ) -> None:
        super().__init__(task, device=device, lr=lr)
        first, last = (min(rate * 1000 / levels, 0.999) for rate in (1e-4, 0.02))
        self.betas = torch.linspace(first, last, levels, device=device)
        self.kept = (1 - self.betas).cumprod(0)  # of the data's variance: alpha bar in the paper

    def noise_in(self, x: Tensor, level: Tensor) -> Tensor:
        """The noise that the network sees in x (n, d) at the levels (n,)."""
        return self.see(x, level[:, None] / len(self.betas))

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """|noise - noise_in(sqrt(kept) x + sqrt(1 - kept) noise)|^2 at a random level."""
        data = self.inside(real.flatten(1))
        level = torch.randint(len(self.betas), (len(data),), device=self.device)
        noise, kept = torch.randn_like(data), self.kept[level, None]
        seen = kept.sqrt() * data + (1 - kept).sqrt() * noise
        return self.learn((noise - self.noise_in(seen, level)).square().mean())

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n samples: algorithm 2, with the variance beta."""
        x = torch.randn(n, self.width, device=self.device)
        for i in reversed(range(len(self.betas))):
            noise = self.noise_in(x, torch.full((n,), i, device=self.device))
            x = (x - self.betas[i] / (1 - self.kept[i]).sqrt() * noise) / (1 - self.betas[i]).sqrt()
            x = x + self.betas[i].sqrt() * torch.randn_like(x) if i else x
        return self.back(x).view(n, *self.shape)
