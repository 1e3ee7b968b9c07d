"""Flow matching: a velocity that carries noise to data along straight lines (Lipman et al. 2023).

No GAN, but what one is to be measured against. A sample takes `passes` through the network.
"""

from collections.abc import Mapping

import mlp_gan
import torch
from _parts import descend, standardised
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from ganbench.core import Task
from ganbench.nn import Affine, mlp


class GAN:
    """A network with the hidden layers of the G of the task's `mlp_gan`, and SiLU."""

    def __init__(
        self, task: Task, *, device: str = "cpu", lr: float = 2e-3, passes: int = 100
    ) -> None:
        hidden = mlp_gan.resolve(task)["g_hidden"] or (128, 128)  # none on `gaussian`
        self.shape, self.width, self.passes, self.device = task.shape, task.width, passes, device
        self.inside = standardised(task).to(device)
        self.back = Affine(task.scale, task.center).to(device)
        self.net = mlp([task.width + 9, *hidden, task.width], activation="silu").to(device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr)
        self.rate = CosineAnnealingLR(self.adam, task.budget.steps)

    def see(self, x: Tensor, t: Tensor) -> Tensor:
        """What the network says of x (n, d) at the times t (n, 1)."""
        waves = torch.pi * t * 2.0 ** torch.arange(4, device=self.device)
        return self.net(torch.cat([x, t, waves.sin(), waves.cos()], 1))

    def learn(self, loss: Tensor) -> Mapping[str, Tensor]:
        """A step down the loss, at a rate that falls along a cosine."""
        descend(self.adam, loss)
        self.rate.step()
        return {"loss": loss.detach()}

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """|v(x_t, t) - (x_1 - x_0)|^2 at a random time, x_t = (1 - t) x_0 + t x_1, x_0 noise."""
        data = self.inside(real.flatten(1))
        noise, t = torch.randn_like(data), torch.rand(len(data), 1, device=self.device)
        aim = data - noise
        return self.learn((self.see(torch.lerp(noise, data, t), t) - aim).square().mean())

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n samples, by the midpoint rule from time 0 to 1."""
        step = 2 / self.passes
        x = torch.randn(n, self.width, device=self.device)
        for i in range(self.passes // 2):
            t = torch.full((n, 1), i * step, device=self.device)
            half = x + step / 2 * self.see(x, t)
            x = x + step * self.see(half, t + step / 2)
        return self.back(x).view(n, *self.shape)
