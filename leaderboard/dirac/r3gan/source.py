"""R3GAN: real and fake are compared in pairs, with R1 and R2 (Huang et al. 2024).

Its learning rates and gamma fall along a cosine over the run and samples come from an average of G,
as there; Adam's betas are (0, 0.99) throughout, where there the second rises from 0.9.
"""

from dataclasses import replace
from functools import partial
from math import cos, pi

import mlp_gan
from _parts import units
from torch import Tensor
from torch.nn.functional import softplus

from ganbench.core import Game, Task
from ganbench.nn import Adam
from ganbench.penalties import Discriminator, Scale, r1, r2


def d_loss(
    D: Discriminator, real: Tensor, fake: Tensor, *, gamma: float, scale: Scale = 1
) -> Tensor:
    """-log s(D(real) - D(fake)) + gamma/2 (|grad D(real)|^2 + |grad D(fake)|^2), s the sigmoid."""
    slopes = r1(D, real, scale) + r2(D, fake, scale)
    return softplus(D(fake) - D(real)).mean() + gamma / 2 * slopes


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(fake) - D(real))."""
    return softplus(D(real) - D(fake)).mean()


def falling(share: float, *, start: float = 1.0, end: float) -> float:
    """From `start` to `end` along a cosine over the share of the run that is done."""
    return end + (start - end) * (1 + cos(pi * share)) / 2


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", lr: float = 1e-3, gamma: float = 1.0, average: float = 0.999
) -> Game:
    """The task's `mlp_gan` without dropout; as in the paper, rates end at a quarter."""
    adam = partial(Adam, lr=lr, betas=(0.0, 0.99))
    rate = partial(falling, end=0.25)
    gammas = partial(falling, start=gamma, end=gamma / 10)
    return replace(
        mlp_gan.GAN(task, device=device, dropout=0.0),
        d_loss=partial(d_loss, scale=units(task, device)),
        g_loss=g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
        schedule={"gamma": gammas, "d_lr": rate, "g_lr": rate},
        average=average,
        decision=None,
    )
