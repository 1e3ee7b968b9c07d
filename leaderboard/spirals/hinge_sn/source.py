"""Hinge losses and spectral normalisation: the GAN of Miyato et al. 2018 (SNGAN)."""

from dataclasses import replace

import mlp_gan
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import spectral_norm

from ganbench.core import Game, Task
from ganbench.penalties import Discriminator

resolve = mlp_gan.resolve_rates


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - D(real)) + max(0, 1 + D(fake)): equation 16."""
    return relu(1 - D(real)).mean() + relu(1 + D(fake)).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-D(fake): equation 17."""
    return -D(fake).mean()


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", g_lr: float | None = None, d_lr: float | None = None
) -> Game:
    """The task's `mlp_gan` without dropout, each layer of D divided by its largest singular value.

    Rates of None are the preset's.
    """
    game = mlp_gan.GAN(task, device=device, g_lr=g_lr, d_lr=d_lr, dropout=0.0)
    assert game.discriminator is not None
    for layer in game.discriminator.modules():
        if isinstance(layer, nn.Linear):
            spectral_norm(layer)
    return replace(game, d_loss=d_loss, g_loss=g_loss)
