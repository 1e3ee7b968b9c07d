"""DCGAN: convolutions and batch normalisation, for images (Radford et al. 2016).

Two layers up and down, for 28 x 28, where the paper has four, for 64 x 64. For images only.
"""

from functools import partial

import mlp_gan
import torch
from torch import nn

from ganbench.core import Game, Task
from ganbench.errors import InputError


def begin(layer: nn.Module) -> None:
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
    small, large, colours = width, 2 * width, task.shape[0]
    G = nn.Sequential(
        *(nn.Linear(latent_dim, large * 49), nn.Unflatten(1, (large, 7, 7))),
        *(nn.BatchNorm2d(large), nn.ReLU(), up(large, small)),
        *(nn.BatchNorm2d(small), nn.ReLU(), up(small, colours), nn.Tanh()),
    )
    D = nn.Sequential(
        *(down(colours, small), nn.LeakyReLU(0.2), down(small, large)),
        *(nn.BatchNorm2d(large), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(large * 49, 1)),
    )
    adam = partial(torch.optim.Adam, lr=lr, betas=(0.5, 0.999))
    return Game(
        generator=G.apply(begin),
        discriminator=D.apply(begin),
        latent=lambda n, rng: 2 * torch.rand(n, latent_dim, generator=rng, device=rng.device) - 1,
        d_loss=mlp_gan.d_loss,
        g_loss=mlp_gan.g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
    )
