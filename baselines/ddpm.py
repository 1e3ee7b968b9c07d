"""DDPM, small: noise that is taken away in 100 steps (Ho et al. 2020).

No GAN: what one must be measured against. The paper's 1,000 levels of noise are thinned to
`levels`, the last as noisy as there.
"""

from collections.abc import Mapping

import torch
from flow_matching import GAN as FlowMatching
from flow_matching import features
from torch import Tensor

from ganbench.core import Task


class GAN(FlowMatching):
    """The network of `flow_matching`, which here foretells the noise."""

    def __init__(
        self, task: Task, *, device: str = "cpu", lr: float = 2e-3, levels: int = 100
    ) -> None:
        super().__init__(task, device=device, lr=lr, evaluations=levels)
        thinned = 1000 / levels
        self.betas = torch.linspace(1e-4 * thinned, min(0.02 * thinned, 0.999), levels, device=device)
        self.kept = (1 - self.betas).cumprod(0)  # of the data's variance, alpha bar in the paper

    def noise_in(self, x: Tensor, level: Tensor) -> Tensor:
        """The noise that the network sees in x (n, d) at a level (n,)."""
        t = level[:, None] / len(self.betas)
        found: Tensor = self.net(torch.cat([x, features(t)], 1))
        return found

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """|noise - net(sqrt(kept) x + sqrt(1 - kept) noise)|^2 at a random level."""
        data = self.units(real.flatten(1))
        level = torch.randint(len(self.betas), (len(data),), device=self.device)
        noise, kept = torch.randn_like(data), self.kept[level, None]
        seen = kept.sqrt() * data + (1 - kept).sqrt() * noise
        return self.learn((noise - self.noise_in(seen, level)).square().mean())

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n samples: algorithm 2, whose variance is beta."""
        x = torch.randn(n, self.width, device=self.device)
        for i in reversed(range(len(self.betas))):
            noise = self.noise_in(x, torch.full((n,), i, device=self.device))
            beta, kept = self.betas[i], self.kept[i]
            x = (x - beta / (1 - kept).sqrt() * noise) / (1 - beta).sqrt()
            if i:
                x = x + beta.sqrt() * torch.randn_like(x)
        return self.back(x).view(n, *self.shape)
