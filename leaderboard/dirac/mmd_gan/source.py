"""MMD GAN: a kernel's distance of features (Li et al. 2017; here as Binkowski et al. 2018)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import gmmn
import mlp_gan
import torch
from _parts import standardised, units
from torch import Tensor, nn

from ganbench.core import Game, Task
from ganbench.nn import Adam
from ganbench.penalties import Discriminator, Scale, gradient_penalty


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """Rational quadratic kernels of several shapes, their mean."""
    squared = gmmn.squared_distances(x, y)
    return torch.stack([(1 + squared / (2 * a)) ** -a for a in (0.2, 0.5, 1.0, 2.0, 5.0)]).mean(0)


def witness(D: Discriminator, real: Tensor, fake: Tensor) -> Callable[[Tensor], Tensor]:
    """How much nearer to the real features than to the fake ones a sample's are."""
    on_real, on_fake = D(real), D(fake)
    return lambda x: kernel(D(x), on_real).mean(1) - kernel(D(x), on_fake).mean(1)


def d_loss(
    D: Discriminator, real: Tensor, fake: Tensor, *, weight: float, scale: Scale = 1
) -> Tensor:
    """-MMD^2(D(real), D(fake)) + weight (|grad witness| - 1)^2."""
    slope = gradient_penalty(witness(D, real, fake), real, fake, scale)
    return weight * slope - gmmn.mmd2(D(real), D(fake), kernel)


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """MMD^2(D(real), D(fake))."""
    return gmmn.mmd2(D(real), D(fake), kernel)


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", lr: float = 5e-4, weight: float = 1.0, features: int = 16
) -> Game:
    """The task's `mlp_gan`; D gives features of standardised data, without dropout."""
    preset = mlp_gan.Preset(**mlp_gan.resolve(task, dropout=0.0))
    adam = partial(Adam, lr=lr, betas=(0.5, 0.9))
    return replace(
        mlp_gan.GAN(task, device=device),
        discriminator=nn.Sequential(
            nn.Flatten(), standardised(task), mlp_gan.d_body(preset, task.width, features)
        ),
        d_loss=partial(d_loss, weight=weight, scale=units(task, device)),
        g_loss=g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
        decision=None,
        features=None,
    )
