"""Drifting: no discriminator; samples drift to real ones and away from each other.

Deng, Li, Li, Du and He 2026, "Generative modeling via drifting": one step from latent to sample.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import gmmn
import mlp_gan
import torch
from _parts import units
from torch import Tensor

from ganbench.core import Game, Task
from ganbench.penalties import Discriminator, Scale

resolve = gmmn.resolve


def drift(x: Tensor, real: Tensor, temperature: float) -> Tensor:
    """Where the field moves x (n, d): to real samples, by kernels over both, and off its own."""
    itself = torch.eye(len(x), device=x.device) * 1e6
    apart = [gmmn.squared_distances(x, real) + 1e-12, gmmn.squared_distances(x, x) + itself + 1e-12]
    closeness = -torch.cat(apart, 1).sqrt() / temperature
    weights = (closeness.softmax(1) * closeness.softmax(0)).sqrt()
    to_real, to_own = weights.split([len(real), len(x)], 1)
    return (to_real * to_own.sum(1, keepdim=True)) @ real - (
        to_own * to_real.sum(1, keepdim=True)
    ) @ x


def g_loss(
    D: Discriminator, real: Tensor, fake: Tensor, *, temperatures: Sequence[float], scale: Scale = 1
) -> Tensor:
    """|x - sg(x + V(x))|^2 of standardised fakes x, where sg stops the gradient."""
    x, y = ((each / scale).flatten(1) for each in (fake, real))
    fixed, unit = x.detach(), x.shape[1] ** 0.5
    field = sum(drift(fixed, y, temperature * unit) for temperature in temperatures)
    return (x - (fixed + field)).square().sum(1).mean()


def GAN(  # noqa: N802
    task: Task,
    *,
    device: str = "cpu",
    g_lr: float | None = None,
    temperatures: Sequence[float] = (0.02, 0.05, 0.2),
) -> Game:
    """The task's `mlp_gan` without D; temperatures as in the paper, for one dimension."""
    return replace(
        mlp_gan.GAN(task, device=device, g_lr=g_lr),
        discriminator=None,
        d_loss=None,
        d_optimizer=None,
        g_loss=partial(g_loss, temperatures=tuple(temperatures), scale=units(task, device)),
        features=None,
    )
