"""A tutorial GAN for MNIST whose generator has batch normalisation after each activation.

Kept to the letter on `mnist`: D is updated twice a step, on real images and then on fakes which G
makes in inference mode (moving averages); G then learns from fresh noise. Other tasks get the same
networks; where the samples are no images, they work in the task's own units instead of tanh.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus

from ganbench import nn
from ganbench.core import Game, Recording, Task

Discriminator = Callable[[Tensor], Tensor]


# Cross-entropy on the logits of the sigmoid, as Keras on TensorFlow computes it.


def d_loss_on_real(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """D's first update."""
    return softplus(-D(real)).mean()


def d_loss_on_fake(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """D's second update."""
    return softplus(D(fake)).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """The fakes' chance of passing for real, to be raised."""
    return softplus(-D(fake)).mean()


def GAN(  # noqa: N802 - the name that a baseline file must define
    task: Task,
    *,
    device: str = "cpu",
    lr: float = 2e-4,
    g_hidden: Sequence[int] = (256, 512, 1024),
    d_hidden: Sequence[int] = (512, 256),
    latent_dim: int = 100,
) -> Game:
    """Dense, LeakyReLU and BatchNorm in turn in G; no normalisation in D."""
    g_body = nn.mlp([latent_dim, *g_hidden, task.width], norm="batch")
    d_body = nn.mlp([task.width, *d_hidden, 1])
    out, into = (torch_nn.Tanh(), torch_nn.Identity()) if task.is_images else own_units(task)
    adam = partial(nn.Adam, lr=lr, betas=(0.5, 0.999))
    return Game(
        generator=torch_nn.Sequential(g_body, out, torch_nn.Unflatten(1, task.shape)),
        discriminator=torch_nn.Sequential(torch_nn.Flatten(), into, d_body),
        latent=lambda n, rng: torch.randn(n, latent_dim, generator=rng, device=rng.device),
        d_loss=(d_loss_on_real, d_loss_on_fake),
        g_loss=g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
        inference_fakes=True,
        recording=Recording(
            log_every=1, sample_steps=range(50, task.budget.steps + 1, 50), sample_size=25
        )
        if task.is_images
        else Recording(),
    )


def own_units(task: Task) -> tuple[torch_nn.Module, torch_nn.Module]:
    """Out of numbers of mean 0 and deviation 1 into the task's units, and back."""
    center, scale = task.center, task.scale
    return nn.Affine(scale, center), nn.Affine(1 / scale, -center / scale)
