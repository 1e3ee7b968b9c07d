"""BEGAN: D reconstructs, and a control keeps both losses in proportion (Berthelot et al. 2017)."""

from collections.abc import Mapping

import mlp_gan
import torch
from _parts import OwnSteps, descend, standardised
from torch import Tensor

from ganbench.core import Task
from ganbench.nn import Adam, mlp

resolve = mlp_gan.resolve_rates


class GAN(OwnSteps):
    """The G of the task's `mlp_gan`; D has the hidden layers of its D, there and back.

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
        super().__init__(task, device)
        preset = mlp_gan.Preset(**mlp_gan.resolve(task, g_lr=g_lr, d_lr=d_lr))
        there = [task.width, *preset.d_hidden, preset.latent_dim]
        self.D = mlp([*there, *there[-2::-1]], activation=preset.d_activation).to(device)
        self.units = standardised(task).to(device)
        self.d_adam = Adam(self.D.parameters(), preset.d_lr)
        self.g_adam = Adam(self.G.parameters(), preset.g_lr)
        self.diversity, self.control_rate = diversity, control_rate
        self.k = torch.zeros((), device=device)

    def error(self, batch: Tensor) -> Tensor:
        """L, how far D's reconstruction of standardised samples is off."""
        x: Tensor = self.units(batch.flatten(1))
        return (x - self.D(x)).abs().mean()

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """D: L(real) - k L(fake); G: L(fake); k follows diversity L(real) - L(fake)."""
        fake = self.fakes(len(real))
        on_real, on_fake = self.error(real), self.error(fake.detach())
        descend(self.d_adam, on_real - self.k * on_fake)
        descend(self.g_adam, g_loss := self.error(fake))
        balance = self.diversity * on_real.detach() - on_fake.detach()
        self.k = (self.k + self.control_rate * balance).clamp(0, 1)
        return {"d_loss": on_real.detach(), "g_loss": g_loss.detach(), "k": self.k}
