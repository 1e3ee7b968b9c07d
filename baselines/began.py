"""BEGAN: D reconstructs samples, a control keeps both losses in proportion (Berthelot et al. 2017)."""

from collections.abc import Mapping

import torch
from mlp_gan import GAN as mlp_gan
from mlp_gan import Preset
from mlp_gan import resolve as settings
from mlp_gan import resolve_rates as resolve
from torch import Tensor
from torch.optim import Optimizer

from ganbench.core import Task
from ganbench.nn import Adam, Affine, mlp

__all__ = ["GAN", "resolve"]


class GAN:
    """G is that of the task's `mlp_gan`; D has its hidden layers, there and back.

    `diversity` is the share of the loss on real samples that the one on fakes should be (gamma in
    the paper), `control_rate` the rate of the control k (lambda).
    """

    def __init__(
        self,
        task: Task,
        *,
        device: str = "cpu",
        g_lr: float | None = None,
        d_lr: float | None = None,
        diversity: float = 0.5,
        control_rate: float = 1e-3,
    ) -> None:
        preset = Preset(**settings(task, g_lr=g_lr, d_lr=d_lr))
        game = mlp_gan(task, device=device)
        self.G, self.latent = game.generator.to(device), game.latent
        self.units = Affine(1 / task.scale, -task.center / task.scale).to(device)
        there = [task.width, *preset.d_hidden, preset.latent_dim]
        self.D = mlp([*there, *there[-2::-1]], activation=preset.d_activation).to(device)
        self.d_adam = Adam(self.D.parameters(), preset.d_lr)
        self.g_adam = Adam(self.G.parameters(), preset.g_lr)
        self.diversity, self.control_rate = diversity, control_rate
        self.k = torch.zeros((), device=device)
        self.rng = torch.Generator(device).manual_seed(torch.initial_seed())

    def error(self, batch: Tensor) -> Tensor:
        """L, how far D's reconstruction of standardised samples is off."""
        x = self.units(batch.flatten(1))
        return torch.as_tensor(x - self.D(x)).abs().mean()

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """D: L(real) - k L(fake); G: L(fake); k follows diversity L(real) - L(fake)."""
        fake = self.G(self.latent(len(real), self.rng))
        on_real, on_fake = self.error(real), self.error(fake.detach())
        update(self.d_adam, on_real - self.k * on_fake)
        update(self.g_adam, g_loss := self.error(fake))
        balance = self.diversity * on_real.detach() - on_fake.detach()
        self.k = (self.k + self.control_rate * balance).clamp(0, 1)
        return {"d_loss": on_real.detach(), "g_loss": g_loss.detach(), "k": self.k}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n samples."""
        fake: Tensor = self.G(self.latent(n, self.rng))
        return fake


def update(optimizer: Optimizer, loss: Tensor) -> None:
    """One step down a loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
