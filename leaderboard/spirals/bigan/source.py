"""BiGAN: D judges pairs of a sample and its latent, an encoder makes those of real data.

Donahue et al. 2017 and, as ALI, Dumoulin et al. 2017. G and the encoder learn together.
"""

from dataclasses import replace

import mlp_gan
import torch
from _parts import standardised
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench.core import Game, Task
from ganbench.nn import Affine
from ganbench.penalties import Discriminator

resolve = mlp_gan.resolve_rates


def pair(x: Tensor, z: Tensor) -> Tensor:
    """What D is given."""
    return torch.cat([x.flatten(1), z], 1)


def d_loss(D: Discriminator, real: Tensor, fake: Tensor, *, E: nn.Module, latent: Tensor) -> Tensor:
    """-log s(D(x, E(x))) - log(1 - s(D(G(z), z))), s the sigmoid; only D learns from it."""
    on_real, on_fake = D(pair(real, E(real).detach())), D(pair(fake, latent))
    return softplus(-on_real).mean() + softplus(on_fake).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor, *, E: nn.Module, latent: Tensor) -> Tensor:
    """-log(1 - s(D(x, E(x)))) - log s(D(G(z), z))."""
    return softplus(D(pair(real, E(real)))).mean() + softplus(-D(pair(fake, latent))).mean()


def beside(task: Task, count: int) -> Affine:
    """Standardises a sample that has `count` numbers beside it, which stay as they are."""
    inside, one = standardised(task), torch.ones(count)
    return Affine(torch.cat([inside.scale, one]), torch.cat([inside.shift, 0 * one]))


def GAN(  # noqa: N802
    task: Task, *, device: str = "cpu", g_lr: float | None = None, d_lr: float | None = None
) -> Game:
    """The task's `mlp_gan`; D and the encoder have D's hidden layers, and see standardised data."""
    game = mlp_gan.GAN(task, device=device, g_lr=g_lr, d_lr=d_lr)
    preset = mlp_gan.Preset(**mlp_gan.resolve(task, g_lr=g_lr, d_lr=d_lr))
    width, latent = task.width, preset.latent_dim
    encoder = mlp_gan.d_body(replace(preset, dropout=0.0), width, latent)
    return replace(
        game,
        discriminator=nn.Sequential(
            beside(task, latent), mlp_gan.d_body(preset, width + latent, 1)
        ),
        more={"E": nn.Sequential(nn.Flatten(), standardised(task), encoder)},
        d_loss=d_loss,
        g_loss=g_loss,
        features=None,
    )
