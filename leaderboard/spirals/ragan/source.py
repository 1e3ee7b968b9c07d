"""RaGAN: is a sample more real than fakes are on average? (Jolicoeur-Martineau 2019, RaSGAN)."""

from dataclasses import replace

import mlp_gan
from torch import Tensor
from torch.nn.functional import softplus

from ganbench.core import Game, Task
from ganbench.penalties import Discriminator

resolve = mlp_gan.resolve_rates


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(real) - E D(fake)) - log(1 - s(D(fake) - E D(real))), s the sigmoid."""
    on_real, on_fake = D(real), D(fake)
    return softplus(on_fake.mean() - on_real).mean() + softplus(on_fake - on_real.mean()).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """The same with real and fake exchanged."""
    return d_loss(D, fake, real)


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", g_lr: float | None = None, d_lr: float | None = None
) -> Game:
    """The task's `mlp_gan` with these losses; rates of None are the preset's."""
    game = mlp_gan.GAN(task, device=device, g_lr=g_lr, d_lr=d_lr)
    return replace(game, d_loss=d_loss, g_loss=g_loss, decision=None)
