"""Flow matching: a velocity that carries noise to data, learnt on straight lines.

Lipman et al. 2023, with the lines of Liu et al. 2023 (rectified flow). No GAN: what one must be
measured against. A sample takes `evaluations` passes through the network, where a GAN takes one.
"""

from collections.abc import Mapping, Sequence

import torch
from mlp_gan import Preset
from mlp_gan import resolve as settings
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from ganbench.core import Task
from ganbench.nn import Affine, mlp


def features(t: Tensor) -> Tensor:
    """A time (n, 1) as the network sees it (n, 9): itself, and waves of four frequencies."""
    waves = [wave(2**k * torch.pi * t) for k in range(4) for wave in (torch.sin, torch.cos)]
    return torch.cat([t, *waves], 1)


class GAN:
    """Hidden layers as those of the generator of the task's `mlp_gan`, with SiLU."""

    def __init__(
        self, task: Task, *, device: str = "cpu", lr: float = 2e-3, evaluations: int = 100
    ) -> None:
        hidden: Sequence[int] = Preset(**settings(task)).g_hidden or (128, 128, 128)
        self.shape, self.width, self.device = task.shape, task.width, device
        self.evaluations = evaluations
        self.units = Affine(1 / task.scale, -task.center / task.scale).to(device)
        self.back = Affine(task.scale, task.center).to(device)
        self.net = mlp([task.width + 9, *hidden, task.width], activation="silu").to(device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr)
        self.rate = CosineAnnealingLR(self.adam, task.budget.steps)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """Of x (n, d) at the times t (n, 1)."""
        found: Tensor = self.net(torch.cat([x, features(t)], 1))
        return found

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """|v(x_t, t) - (x_1 - x_0)|^2 at a random time, x_t = (1 - t) x_0 + t x_1, x_0 noise."""
        data = self.units(real.flatten(1))
        noise, t = torch.randn_like(data), torch.rand(len(data), 1, device=self.device)
        aim = data - noise
        return self.learn((self.velocity(torch.lerp(noise, data, t), t) - aim).square().mean())

    def learn(self, loss: Tensor) -> Mapping[str, Tensor]:
        """A step down the loss, at a rate that falls along a cosine."""
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.rate.step()
        return {"loss": loss.detach()}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n samples, by the midpoint rule from time 0 to 1."""
        steps = max(1, self.evaluations // 2)
        x = torch.randn(n, self.width, device=self.device)
        for i in range(steps):
            t = torch.full((n, 1), i / steps, device=self.device)
            half = x + self.velocity(x, t) / (2 * steps)
            x = x + self.velocity(half, t + 1 / (2 * steps)) / steps
        fake: Tensor = self.back(x)
        return fake.view(n, *self.shape)
