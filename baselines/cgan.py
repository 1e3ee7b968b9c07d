"""Conditional GAN: both networks are told the class of a sample (Mirza and Osindero 2014)."""

from dataclasses import replace
from functools import partial

import mlp_gan
import torch
from bigan import beside
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from ganbench.core import Game, Task
from ganbench.errors import InputError
from ganbench.penalties import Discriminator

resolve = mlp_gan.resolve_rates


def told(x: Tensor, classes: Tensor) -> Tensor:
    """What D is given: samples, and their classes (n, k) of ones and zeros."""
    return torch.cat([x.flatten(1), classes], 1)


def d_loss(
    D: Discriminator, real: Tensor, fake: Tensor, *, labels: Tensor, latent: Tensor, classes: int
) -> Tensor:
    """-log s(D(real, its class)) - log(1 - s(D(fake, its class))), s the sigmoid."""
    on_real = D(told(real, one_hot(labels, classes).to(real.dtype)))
    return softplus(-on_real).mean() + softplus(D(told(fake, latent[:, -classes:]))).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor, *, latent: Tensor, classes: int) -> Tensor:
    """-log s(D(fake, its class))."""
    return softplus(-D(told(fake, latent[:, -classes:]))).mean()


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", g_lr: float | None = None, d_lr: float | None = None
) -> Game:
    """The task's `mlp_gan`, with an input for each class; all classes are asked for alike."""
    if task.label is None or task.classes is None:
        raise InputError(f"for tasks with classes, which {task.name!r} has not")
    preset = mlp_gan.Preset(**mlp_gan.resolve(task, g_lr=g_lr, d_lr=d_lr))
    noise, k = mlp_gan.GAN(task, device=device).latent, task.classes

    def latent(n: int, rng: torch.Generator) -> Tensor:
        classes = torch.randint(k, (n,), generator=rng, device=rng.device)
        return torch.cat([noise(n, rng), one_hot(classes, k)], 1)

    return replace(
        mlp_gan.GAN(task, device=device, latent_dim=preset.latent_dim + k, g_lr=g_lr, d_lr=d_lr),
        discriminator=nn.Sequential(beside(task, k), mlp_gan.d_body(preset, task.width + k, 1)),
        latent=latent,
        labels=task.label,
        d_loss=partial(d_loss, classes=k),
        g_loss=partial(g_loss, classes=k),
        features=None,
    )
