"""LSGAN: least squares instead of cross-entropy (Mao et al. 2017, equation 9: a=0, b=c=1)."""

from dataclasses import replace

import mlp_gan
from torch import Tensor

from ganbench.core import Game, Task
from ganbench.penalties import Discriminator

resolve = mlp_gan.resolve_rates


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """1/2 (D(real) - 1)^2 + 1/2 D(fake)^2."""
    return (D(real) - 1).square().mean() / 2 + D(fake).square().mean() / 2


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """1/2 (D(fake) - 1)^2."""
    return (D(fake) - 1).square().mean() / 2


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", g_lr: float | None = None, d_lr: float | None = None
) -> Game:
    """The task's `mlp_gan` with these losses; rates of None are the preset's."""
    game = mlp_gan.GAN(task, device=device, g_lr=g_lr, d_lr=d_lr)
    return replace(game, d_loss=d_loss, g_loss=g_loss, decision=0.5)
