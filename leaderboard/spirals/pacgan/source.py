"""PacGAN: D judges several samples as one, and sees when they are too alike (Lin et al. 2018)."""

from dataclasses import replace

import mlp_gan
import torch

from ganbench.core import Game, Task

resolve = mlp_gan.resolve_rates


def packed(task: Task, pack: int) -> Task:
    """The task of `pack` samples of another one at once, as its networks must know it."""
    first, *rest = task.shape
    shaped = replace(task, shape=(pack * first, *rest))
    if task.mean is None or task.covariance is None:
        return shaped
    blocks = torch.block_diag(*[task.covariance] * pack)
    return replace(shaped, mean=task.mean.repeat(pack), covariance=blocks)


def GAN(  # noqa: N802
    task: Task,
    *,
    device: str = "cpu",
    g_lr: float | None = None,
    d_lr: float | None = None,
    pack: int = 2,
) -> Game:
    """The task's `mlp_gan`, losses and all, whose D takes `pack` samples (2 to 4 in the paper)."""
    game = mlp_gan.GAN(task, device=device, g_lr=g_lr, d_lr=d_lr)
    judge = mlp_gan.GAN(packed(task, pack), device=device).discriminator
    return replace(game, discriminator=judge, pack=pack)
