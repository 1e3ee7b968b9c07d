"""DCGAN: convolutions and batch normalisation, for images (Radford et al. 2016).

Its generator for 28 x 28 has two transposed convolutions instead of four for 64 x 64; all else,
with weights from N(0, 0.02) and Adam at 2e-4 and 0.5, is the paper's. For images only.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench.core import Game, Task
from ganbench.errors import InputError
from ganbench.penalties import Discriminator


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(real)) - log(1 - s(D(fake))), s the sigmoid."""
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(fake))."""
    return softplus(-D(fake)).mean()


def small(layer: nn.Module) -> None:
    """First weights from N(0, 0.02), those of a normalisation from N(1, 0.02)."""
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, 0.0, 0.02)


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", lr: float = 2e-4, latent_dim: int = 100, width: int = 64
) -> Game:
    """7 x 7 to 14 x 14 to 28 x 28 in G, and back in D; `width` is that of the 14 x 14 layers."""
    if not task.is_images or task.shape[1:] != (28, 28):
        raise InputError(f"for images of 28 x 28, which {task.name!r} has not")
    up = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
    down = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
    first = [nn.Linear(latent_dim, 2 * width * 49), nn.Unflatten(1, (2 * width, 7, 7))]
    middle = [up(2 * width, width), nn.BatchNorm2d(width), nn.ReLU()]
    G = nn.Sequential(*first, nn.BatchNorm2d(2 * width), nn.ReLU(), *middle, up(width, task.shape[0]), nn.Tanh())
    D = nn.Sequential(
        *[down(task.shape[0], width), nn.LeakyReLU(0.2)],
        *[down(width, 2 * width), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2)],
        *[nn.Flatten(), nn.Linear(2 * width * 49, 1)],
    )
    adam = partial(torch.optim.Adam, lr=lr, betas=(0.5, 0.999))
    return Game(
        generator=G.apply(small),
        discriminator=D.apply(small),
        latent=lambda n, rng: 2 * torch.rand(n, latent_dim, generator=rng, device=rng.device) - 1,
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
    )
