"""The GAN of the tutorials: two multilayer perceptrons and cross-entropy, preset by task.

`sine`, `quadratic` and `gaussian` are published tutorial systems, kept to the letter; other tasks
get plain networks that work in the task's own units. None for a hyper-parameter means the preset's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus

from ganbench import nn
from ganbench.core import Game, MakeOptimizer, Sampler, Task


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One system: sizes of the hidden layers, optimisers, latent law."""

    latent_dim: int
    g_hidden: Sequence[int]
    d_hidden: Sequence[int]
    g_lr: float
    d_lr: float
    g_activation: str = "leaky_relu"
    d_activation: str = "leaky_relu"
    dropout: float = 0.0


SINE = Preset(
    latent_dim=64,
    g_hidden=(64, 512),
    d_hidden=(64, 64),
    g_lr=1e-3,
    d_lr=1e-3,
    d_activation="relu",
    dropout=0.4,
)
# The discriminator's last hidden layer, of width 2 and linear, is its feature layer.
QUADRATIC = Preset(latent_dim=2, g_hidden=(16, 16), d_hidden=(16, 16), g_lr=1e-3, d_lr=1e-3)
GAUSSIAN = Preset(
    latent_dim=2, g_hidden=(), d_hidden=(5, 3), g_lr=0.01, d_lr=0.05, d_activation="tanh"
)
DEFAULT = Preset(
    latent_dim=8, g_hidden=(128, 128, 128), d_hidden=(128, 128, 128), g_lr=5e-4, d_lr=5e-4
)


def GAN(  # noqa: N802 - the name that a baseline file must define
    task: Task,
    *,
    device: str = "cpu",
    lr: float | None = None,
    g_lr: float | None = None,
    d_lr: float | None = None,
    g_hidden: Sequence[int] | None = None,
    d_hidden: Sequence[int] | None = None,
    latent_dim: int | None = None,
    activation: str | None = None,
    dropout: float | None = None,
) -> Game:
    """The Game of the task's preset; `lr` and `activation` set those of both networks."""
    build, preset = SYSTEMS.get(task.name, (plain, DEFAULT))
    changes = {
        "g_lr": g_lr if g_lr is not None else lr,
        "d_lr": d_lr if d_lr is not None else lr,
        "g_hidden": g_hidden,
        "d_hidden": d_hidden,
        "latent_dim": latent_dim,
        "g_activation": activation,
        "d_activation": activation,
        "dropout": dropout,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if activation is not None and activation not in nn.ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is none of {', '.join(nn.ACTIVATIONS)}")
    return build(task, replace(preset, **given), device)  # type: ignore[arg-type]


def sine(task: Task, preset: Preset, device: str) -> Game:
    """Tutorial: dropout in D, a fixed pool of 32,768 noise vectors, reused within a step."""
    pool = (10 * torch.rand(32_768, preset.latent_dim) - 5).to(device)

    def latent(n: int, rng: torch.Generator) -> Tensor:
        return pool[torch.randint(len(pool), (n,), generator=rng, device=rng.device)]

    width = task.shape[0]
    body = nn.mlp(
        [width, *preset.d_hidden, 1],
        activation=preset.d_activation,
        dropout=preset.dropout,
    )
    g_body = nn.mlp([preset.latent_dim, *preset.g_hidden, width], activation=preset.g_activation)
    # Keras on TensorFlow, as in the source, takes the cross-entropy from the sigmoid's
    # logits. Clipped probabilities would leave G without a gradient once D is sure: it then
    # stays at a loss of 16 for good, which the published run does not.
    return logit_game(
        generator=torch_nn.Sequential(g_body, torch_nn.Tanh()),
        discriminator=body,
        latent=latent,
        d_optimizer=partial(nn.Adam, lr=preset.d_lr),
        g_optimizer=partial(nn.Adam, lr=preset.g_lr),
        one_batch=True,
    )


def quadratic(task: Task, preset: Preset, device: str) -> Game:
    """Tutorial: logits, RMSProp, raw coordinates; D ends in a feature layer of width 2."""
    d_body = nn.mlp(
        [2, *preset.d_hidden, 2], activation=preset.d_activation, dropout=preset.dropout
    )
    rmsprop = partial(torch.optim.RMSprop, alpha=0.9, eps=1e-10)
    return logit_game(
        generator=nn.mlp([preset.latent_dim, *preset.g_hidden, 2], activation=preset.g_activation),
        discriminator=torch_nn.Sequential(d_body, nn.dense(2, 1)),
        latent=uniform_latent(preset.latent_dim),
        d_optimizer=partial(rmsprop, lr=preset.d_lr),
        g_optimizer=partial(rmsprop, lr=preset.g_lr),
    )


def gaussian(task: Task, preset: Preset, device: str) -> Game:
    """Tutorial: a linear generator, a tiny tanh discriminator with two class logits."""
    small = nn.normal(0.02)
    d_body = nn.mlp([2, *preset.d_hidden, 2], activation=preset.d_activation, init=small)
    return logit_game(
        generator=nn.mlp(
            [preset.latent_dim, *preset.g_hidden, 2], activation=preset.g_activation, init=small
        ),
        discriminator=torch_nn.Sequential(d_body, nn.Margin()),
        latent=normal_latent(preset.latent_dim),
        d_optimizer=partial(nn.Adam, lr=preset.d_lr, epsilon=1e-8),
        g_optimizer=partial(nn.Adam, lr=preset.g_lr, epsilon=1e-8),
    )


def plain(task: Task, preset: Preset, device: str) -> Game:
    """Any other task: networks that see and make data of mean 0 and deviation 1."""
    width = int(torch.Size(task.shape).numel())
    mean, scale = task.mean.float(), task.scale
    g_body = nn.mlp([preset.latent_dim, *preset.g_hidden, width], activation=preset.g_activation)
    d_body = nn.mlp(
        [width, *preset.d_hidden, 1], activation=preset.d_activation, dropout=preset.dropout
    )
    return logit_game(
        generator=torch_nn.Sequential(g_body, nn.Affine(scale, mean)),
        discriminator=torch_nn.Sequential(nn.Affine(1 / scale, -mean / scale), d_body),
        latent=normal_latent(preset.latent_dim),
        d_optimizer=partial(nn.Adam, lr=preset.d_lr, betas=(0.5, 0.999)),
        g_optimizer=partial(nn.Adam, lr=preset.g_lr, betas=(0.5, 0.999)),
    )


def logit_game(
    *,
    generator: torch_nn.Module,
    discriminator: torch_nn.Module,
    latent: Sampler,
    d_optimizer: MakeOptimizer,
    g_optimizer: MakeOptimizer,
    one_batch: bool = False,
) -> Game:
    """Cross-entropy on logits: D's loss is the mean on real plus the mean on fake.

    With `one_batch` it is half that, the mean over real and fake together.

    -log sigmoid(l) = softplus(-l). G's update sees the fakes of D's update again, under the new
    D, and raises their chance of passing for real (Goodfellow et al. 2014, section 3).
    """
    weight = 0.5 if one_batch else 1.0
    return Game(
        generator=generator,
        discriminator=discriminator,
        latent=latent,
        d_loss=lambda D, real, fake: (
            weight * (softplus(-D(real)).mean() + softplus(D(fake)).mean())
        ),
        g_loss=lambda D, real, fake: softplus(-D(fake)).mean(),
        d_optimizer=d_optimizer,
        g_optimizer=g_optimizer,
        reuse_latent=True,
    )


def uniform_latent(dim: int) -> Sampler:
    """Noise (n, dim) from U(-1, 1)."""
    return lambda n, rng: 2 * torch.rand(n, dim, generator=rng, device=rng.device) - 1


def normal_latent(dim: int) -> Sampler:
    """Noise (n, dim) from N(0, 1)."""
    return lambda n, rng: torch.randn(n, dim, generator=rng, device=rng.device)


SYSTEMS: dict[str, tuple[Callable[[Task, Preset, str], Game], Preset]] = {
    "sine": (sine, SINE),
    "quadratic": (quadratic, QUADRATIC),
    "gaussian": (gaussian, GAUSSIAN),
}
