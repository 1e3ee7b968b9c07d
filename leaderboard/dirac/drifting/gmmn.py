"""GMMN: no discriminator, a kernel's distance between batches (Li et al. 2015)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import mlp_gan
import torch
from _parts import units
from torch import Tensor

from ganbench.core import Game, Task
from ganbench.penalties import Discriminator, Scale

resolve = mlp_gan.resolve_rates


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Of each row of x (n, d) to each of y (m, d), shape (n, m)."""
    squares = x.square().sum(1, keepdim=True) + y.square().sum(1)[None]
    return (squares - 2 * x @ y.T).clamp(min=0)


def mmd2(x: Tensor, y: Tensor, kernel: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The squared distance of two samples, unbiased, by a kernel that is 1 at no distance."""
    n = len(x)
    same = (kernel(x, x).sum() + kernel(y, y).sum() - 2 * n) / (n * (n - 1))
    return same - 2 * kernel(x, y).mean()


def gaussians(x: Tensor, y: Tensor, *, widths: Sequence[float]) -> Tensor:
    """Gaussian kernels of several widths, their mean."""
    squared = squared_distances(x, y)
    return torch.stack([(squared / (-2 * width**2)).exp() for width in widths]).mean(0)


def g_loss(
    D: Discriminator, real: Tensor, fake: Tensor, *, widths: Sequence[float], scale: Scale = 1
) -> Tensor:
    """MMD^2(real, fake), of standardised data."""
    x, y = ((each / scale).flatten(1) for each in (real, fake))
    return mmd2(x, y, partial(gaussians, widths=[width * x.shape[1] ** 0.5 for width in widths]))


def GAN(  # noqa: N802
    task: Task,
    *,
    device: str = "cpu",
    g_lr: float | None = None,
    widths: Sequence[float] = (0.02, 0.1, 0.5, 2.0),
) -> Game:
    """The task's `mlp_gan` without D; widths are in deviations, for data of one dimension."""
    return replace(
        mlp_gan.GAN(task, device=device, g_lr=g_lr),
        discriminator=None,
        d_loss=None,
        d_optimizer=None,
        g_loss=partial(g_loss, widths=tuple(widths), scale=units(task, device)),
        features=None,
    )
