"""Cross-entropy and R1: the squared slope on real data is a cost (Mescheder et al. 2018)."""

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
    D: Discriminator, real: Tensor, fake: Tensor, *, gamma: float, scale: Scale = 1
) -> Tensor:
    """Cross-entropy + gamma/2 |grad D(real)|^2: equation 9."""
    slope = penalties.r1(D, real, scale)
    return softplus(-D(real)).mean() + softplus(D(fake)).mean() + gamma / 2 * slope


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(fake)), s the sigmoid."""
    return softplus(-D(fake)).mean()


def GAN(  # noqa: N802
    task: Task,
    *,
    device: str = "cpu",
    g_lr: float | None = None,
    d_lr: float | None = None,
    gamma: float = 0.1,
) -> Game:
    """The task's `mlp_gan` without dropout; rates of None are the preset's."""
    return replace(
        mlp_gan.GAN(task, device=device, g_lr=g_lr, d_lr=d_lr, dropout=0.0),
        d_loss=partial(d_loss, gamma=gamma, scale=units(task, device)),
        g_loss=g_loss,
    )
