"""A new GAN: change its two losses."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus

from ganbench import nn
from ganbench.core import Game, Task

Discriminator = Callable[[Tensor], Tensor]


# These two functions are the GAN. `real` and `fake` are batches (n, *task.shape), and `D` gives
# one logit a sample, shape (n, 1): high for what it takes for real. A loss is a scalar.


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of telling real from fake: -log sigmoid(D(real)) - log sigmoid(-D(fake))."""
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of passing for real: -log sigmoid(D(fake)) (Goodfellow et al. 2014)."""
    return softplus(-D(fake)).mean()


def GAN(  # noqa: N802 - the name that a baseline file must define
    task: Task,
    *,
    device: str = "cpu",
    lr: float = 5e-4,
    width: int = 128,
    latent_dim: int = 8,
) -> Game:
    """Two networks, two losses, two optimisers; the keyword-only arguments are for `--set`."""
    d, center, scale = task.width, task.center, task.scale
    adam = partial(nn.Adam, lr=lr, betas=(0.5, 0.999))
    return Game(
        # Both networks work on numbers of mean 0 and deviation 1, whatever the task's units.
        generator=torch_nn.Sequential(
            nn.mlp([latent_dim, width, width, d]),
            nn.Affine(scale, center),
            torch_nn.Unflatten(1, task.shape),
        ),
        discriminator=torch_nn.Sequential(
            torch_nn.Flatten(),
            nn.Affine(1 / scale, -center / scale),
            nn.mlp([d, width, width, 1]),
        ),
        latent=lambda n, rng: torch.randn(n, latent_dim, generator=rng, device=rng.device),
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
    )
