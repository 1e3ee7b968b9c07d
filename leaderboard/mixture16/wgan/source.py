"""WGAN: a critic whose weights are clipped, for Wasserstein's distance (Arjovsky et al. 2017)."""

from dataclasses import replace
from functools import partial

import mlp_gan
import torch
from torch import Tensor, nn

from ganbench.core import Game, Task
from ganbench.nn import RMSprop
from ganbench.penalties import Discriminator


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """D(fake) - D(real)."""
    return D(fake).mean() - D(real).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-D(fake)."""
    return -D(fake).mean()


@torch.no_grad()
def clip(D: nn.Module, *, limit: float) -> None:
    """Every weight into [-limit, limit]."""
    for weight in D.parameters():
        weight.clamp_(-limit, limit)


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", lr: float = 5e-4, limit: float = 0.1, d_updates: int = 5
) -> Game:
    """The task's `mlp_gan` without dropout; the paper has a rate of 5e-5 and a limit of 0.01."""
    optimizer = partial(RMSprop, lr=lr)
    return replace(
        mlp_gan.GAN(task, device=device, dropout=0.0),
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=optimizer,
        g_optimizer=optimizer,
        d_updates=d_updates,
        after_d=partial(clip, limit=limit),
        decision=None,
    )
