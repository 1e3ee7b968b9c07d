"""DRAGAN: a discriminator held to slopes of 1 around real data (Kodali et al. 2017)."""

from dataclasses import replace
from functools import partial

import mlp_gan
from _parts import units
from torch import Tensor
from torch.nn.functional import softplus

from ganbench import penalties
from ganbench.core import Game, Task
from ganbench.penalties import Discriminator, Scale

resolve = mlp_gan.resolve_rates


def d_loss(
    D: Discriminator, real: Tensor, fake: Tensor, *, weight: float, scale: Scale = 1
) -> Tensor:
    """Cross-entropy + weight (|grad D| - 1)^2 around the real ones."""
    slope = penalties.dragan(D, real, scale)
    return softplus(-D(real)).mean() + softplus(D(fake)).mean() + weight * slope


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(fake)), s the sigmoid."""
    return softplus(-D(fake)).mean()


def GAN(  # noqa: N802
    task: Task,
    *,
    device: str = "cpu",
    g_lr: float | None = None,
    d_lr: float | None = None,
    weight: float = 10.0,
) -> Game:
    """The task's `mlp_gan` without dropout; rates of None are the preset's."""
    return replace(
        mlp_gan.GAN(task, device=device, g_lr=g_lr, d_lr=d_lr, dropout=0.0),
        d_loss=partial(d_loss, weight=weight, scale=units(task, device)),
        g_loss=g_loss,
    )
