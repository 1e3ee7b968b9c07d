"""LSGAN: least squares instead of cross-entropy (Mao et al. 2017, equation 9: a=0, b=c=1)."""

from dataclasses import replace

from mlp_gan import GAN as mlp_gan
from mlp_gan import resolve_rates as resolve
from torch import Tensor

from ganbench.core import Game, Task
from ganbench.penalties import Discriminator

__all__ = ["GAN", "resolve"]


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """1/2 (D(real) - 1)^2 + 1/2 D(fake)^2."""
    return (D(real) - 1).square().mean() / 2 + D(fake).square().mean() / 2


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """1/2 (D(fake) - 1)^2."""
    return (D(fake) - 1).square().mean() / 2


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", g_lr: float | None = None, d_lr: float | None = None
) -> Game:
    """The task's `mlp_gan` with these losses; rates of None are the preset's."""
    game = mlp_gan(task, device=device, g_lr=g_lr, d_lr=d_lr)
    return replace(game, d_loss=d_loss, g_loss=g_loss, decision=0.5)
