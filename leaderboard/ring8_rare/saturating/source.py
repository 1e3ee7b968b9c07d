"""The first GAN: G lowers D's chance of being right, which saturates where D is sure.

Goodfellow et al. 2014, equation 1; `mlp_gan` has the loss that its section 3 proposes instead.
"""

from dataclasses import replace

import mlp_gan
from torch import Tensor
from torch.nn.functional import softplus

from ganbench.core import Game, Task
from ganbench.penalties import Discriminator

resolve = mlp_gan.resolve_rates


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(real)) - log(1 - s(D(fake))), s the sigmoid."""
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """log(1 - s(D(fake)))."""
    return -softplus(D(fake)).mean()


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", g_lr: float | None = None, d_lr: float | None = None
) -> Game:
    """The task's `mlp_gan` with these losses; rates of None are the preset's."""
    game = mlp_gan.GAN(task, device=device, g_lr=g_lr, d_lr=d_lr)
    return replace(game, d_loss=d_loss, g_loss=g_loss)
