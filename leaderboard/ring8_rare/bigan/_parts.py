"""What several baselines share: standardised data, and GANs that play their steps themselves."""

from typing import Any

import mlp_gan
import torch
from torch import Tensor
from torch.optim import Optimizer

from ganbench.core import Task
from ganbench.nn import Affine


def units(task: Task, device: str) -> Tensor:
    """The deviation of each number of a sample (*task.shape), in which slopes are measured."""
    return task.scale.view(task.shape).to(device)


def standardised(task: Task) -> Affine:
    """Out of the task's units (n, d) into numbers of mean 0 and deviation 1."""
    return Affine(1 / task.scale, -task.center / task.scale)


class OwnSteps:
    """The networks and the latent of the task's `mlp_gan`, for a GAN with a `train_step`."""

    def __init__(self, task: Task, device: str, **hparams: Any) -> None:
        game = mlp_gan.GAN(task, device=device, **hparams)
        assert game.discriminator is not None
        self.G, self.D = game.generator.to(device), game.discriminator.to(device)
        self.latent, self.rng = game.latent, torch.Generator(device)
        self.rng.manual_seed(torch.initial_seed())

    def fakes(self, n: int) -> Tensor:
        """n samples, with their gradient."""
        made: Tensor = self.G(self.latent(n, self.rng))
        return made

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n samples."""
        return self.fakes(n)


def descend(optimizer: Optimizer, loss: Tensor) -> None:
    """One step down a loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
