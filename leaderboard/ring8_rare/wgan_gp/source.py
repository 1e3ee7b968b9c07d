"""WGAN-GP: a critic held to slopes of 1 by a penalty (Gulrajani et al. 2017, algorithm 1)."""

from dataclasses import replace
from functools import partial

import mlp_gan
from _parts import units
from torch import Tensor

from ganbench.core import Game, Task
from ganbench.nn import Adam
from ganbench.penalties import Discriminator, Scale, gradient_penalty


def d_loss(
    D: Discriminator, real: Tensor, fake: Tensor, *, weight: float, scale: Scale = 1
) -> Tensor:
    """D(fake) - D(real) + weight (|grad D| - 1)^2 between them."""
    slope = gradient_penalty(D, real, fake, scale)
    return D(fake).mean() - D(real).mean() + weight * slope


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-D(fake)."""
    return -D(fake).mean()


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", lr: float = 5e-4, weight: float = 1.0, d_updates: int = 5
) -> Game:
    """The task's `mlp_gan` without dropout; the paper has a weight of 10, its toy data 0.1."""
    adam = partial(Adam, lr=lr, betas=(0.5, 0.9))
    return replace(
        mlp_gan.GAN(task, device=device, dropout=0.0),
        d_loss=partial(d_loss, weight=weight, scale=units(task, device)),
        g_loss=g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
        d_updates=d_updates,
        decision=None,
    )
