"""The GAN of the tutorials: two multilayer perceptrons and cross-entropy, preset by task.

`sine`, `quadratic`, `gaussian` and `mnist` are published tutorial systems, kept to the letter;
other image tasks get that of `mnist`, the rest plain networks that work in the task's own units.
None for a hyper-parameter means the preset's.

The sources in Keras take cross-entropy of the sigmoid's output, which Keras on TensorFlow computes
from its logits, as here (`_get_logits` in Keras's TensorFlow backend). Probabilities clipped at
1e-7, as Keras has them on its other backends, leave G without a gradient once D is sure: on `sine`
its loss then stays at 16 for good, which the published run's does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus

from ganbench import nn
from ganbench.core import Game, Recording, Sampler, Task

Discriminator = Callable[[Tensor], Tensor]


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
    norm: str | None = None
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
IMAGES = Preset(
    latent_dim=100,
    g_hidden=(256, 512, 1024),
    d_hidden=(1024, 512, 256),
    g_lr=2e-4,
    d_lr=2e-4,
    dropout=0.3,
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
    g_activation: str | None = None,
    d_activation: str | None = None,
    norm: str | None = None,
    dropout: float | None = None,
    average: float = 0.0,
    optimistic: bool = False,
) -> Game:
    """The Game of the task's preset; `lr`, `activation` and `norm` set those of both networks.

    `dropout` is the discriminator's alone. With an `average`, say 0.999, samples come from a moving
    one of G's weights (Yazici et al. 2019); `optimistic` are updates of Daskalakis et al. 2018.
    """
    used = resolve(
        task,
        lr=lr,
        g_lr=g_lr,
        d_lr=d_lr,
        g_hidden=g_hidden,
        d_hidden=d_hidden,
        latent_dim=latent_dim,
        activation=activation,
        g_activation=g_activation,
        d_activation=d_activation,
        norm=norm,
        dropout=dropout,
    )
    build, _ = system_of(task)
    game = replace(build(task, Preset(**used), device), average=average or None)
    if not optimistic:
        return game
    d_adam, g_adam = (partial(nn.OptimisticAdam, lr=used[name]) for name in ("d_lr", "g_lr"))
    return replace(game, d_optimizer=d_adam, g_optimizer=g_adam)


def resolve(task: Task, **hparams: Any) -> dict[str, Any]:
    """The fields of a Preset: what is given, else by `lr` or `activation`, else the task's."""
    lr, activation = hparams.pop("lr", None), hparams.pop("activation", None)
    both = {"g_lr": lr, "d_lr": lr, "g_activation": activation, "d_activation": activation}
    _, preset = system_of(task)
    used = vars(preset) | given(both) | given(hparams)
    for name, known in (
        ("g_activation", nn.ACTIVATIONS),
        ("d_activation", nn.ACTIVATIONS),
        ("norm", (None, *nn.NORMS)),
    ):
        if used[name] not in known:
            raise ValueError(f"{name} {used[name]!r} is none of {', '.join(filter(None, known))}")
    return used


def resolve_rates(task: Task, **hparams: Any) -> dict[str, Any]:
    """The hyper-parameters of a variant of this GAN: a `g_lr` or `d_lr` of None is the preset's."""
    _, preset = system_of(task)
    rates = [name for name in ("g_lr", "d_lr") if name in hparams]
    return hparams | {name: hparams[name] or getattr(preset, name) for name in rates}


def given(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters without those that are None."""
    return {name: value for name, value in hparams.items() if value is not None}


def system_of(task: Task) -> tuple[Callable[[Task, Preset, str], Game], Preset]:
    """How the networks of a task are built, and its preset."""
    return SYSTEMS.get(task.name, (images, IMAGES) if task.is_images else (plain, DEFAULT))


def sine(task: Task, preset: Preset, device: str) -> Game:
    """Tutorial: dropout in D, a fixed pool of 32,768 noise vectors, reused within a step."""
    pool = (10 * torch.rand(32_768, preset.latent_dim) - 5).to(device)

    def latent(n: int, rng: torch.Generator) -> Tensor:
        return pool[torch.randint(len(pool), (n,), generator=rng, device=rng.device)]

    return Game(
        generator=torch_nn.Sequential(g_body(preset, task.width), torch_nn.Tanh()),
        discriminator=d_body(preset, task.width, 1),
        latent=latent,
        d_loss=one_batch_loss,
        g_loss=g_loss,
        d_optimizer=partial(nn.Adam, lr=preset.d_lr),
        g_optimizer=partial(nn.Adam, lr=preset.g_lr),
        reuse_latent=True,
        # A line an epoch; curves at its epochs 3, 13, ..., 63, counted from 0.
        recording=Recording(log_every=256, sample_steps=range(1024, 16_385, 2560), epoch=256),
    )


def quadratic(task: Task, preset: Preset, device: str) -> Game:
    """Tutorial: logits, RMSProp, raw coordinates; D ends in a feature layer of width 2."""
    # TensorFlow 1's optimizer: its mean squares start at 1.
    rmsprop = partial(nn.RMSprop, decay=0.9, epsilon=1e-10, initial=1.0)
    return Game(
        generator=g_body(preset, task.width),
        discriminator=torch_nn.Sequential(d_body(preset, task.width, 2), nn.dense(2, 1)),
        latent=uniform_latent(preset.latent_dim),
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=partial(rmsprop, lr=preset.d_lr),
        g_optimizer=partial(rmsprop, lr=preset.g_lr),
        reuse_latent=True,
        features=lambda D, batch: D[0](batch),  # type: ignore[index]
        recording=Recording(
            log_every=10, sample_steps=range(1000, task.budget.steps + 1, 1000), sample_size=256
        ),
    )


def gaussian(task: Task, preset: Preset, device: str) -> Game:
    """Tutorial: a linear generator, a tiny tanh discriminator with two class logits."""
    small = nn.normal(0.02)
    # Epsilon is that of the source's framework, 1e-8, in the place where Keras has it too.
    adam = partial(nn.Adam, epsilon=1e-8)
    return Game(
        generator=g_body(preset, task.width, init=small),
        discriminator=torch_nn.Sequential(d_body(preset, task.width, 2, init=small), nn.Margin()),
        latent=normal_latent(preset.latent_dim),
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=partial(adam, lr=preset.d_lr),
        g_optimizer=partial(adam, lr=preset.g_lr),
        reuse_latent=True,
        recording=Recording(
            log_every=250, sample_steps=range(250, 2501, 250), sample_size=100, epoch=250
        ),
    )


def images(task: Task, preset: Preset, device: str) -> Game:
    """Tutorial on MNIST: one-sided label smoothing, dropout in D, small first weights."""
    small = nn.normal(0.02)
    adam = partial(nn.Adam, betas=(0.5, 0.999))
    epoch, steps = 468, task.budget.steps
    return Game(
        generator=torch_nn.Sequential(
            g_body(preset, task.width, first_init=small),
            torch_nn.Tanh(),
            torch_nn.Unflatten(1, task.shape),
        ),
        discriminator=torch_nn.Sequential(
            torch_nn.Flatten(), d_body(preset, task.width, 1, first_init=small)
        ),
        latent=normal_latent(preset.latent_dim),
        d_loss=partial(one_batch_loss, label=0.9),
        g_loss=g_loss,
        d_optimizer=partial(adam, lr=preset.d_lr),
        g_optimizer=partial(adam, lr=preset.g_lr),
        recording=Recording(
            log_every=epoch,
            sample_steps=(epoch, *range(20 * epoch, steps + 1, 20 * epoch)),
            sample_size=100,
            epoch=epoch,
        ),
    )


def plain(task: Task, preset: Preset, device: str) -> Game:
    """Any other task: networks that see and make data of mean 0 and deviation 1."""
    adam = partial(nn.Adam, betas=(0.5, 0.999))
    center, scale = task.center, task.scale
    return Game(
        generator=torch_nn.Sequential(g_body(preset, task.width), nn.Affine(scale, center)),
        discriminator=torch_nn.Sequential(
            nn.Affine(1 / scale, -center / scale), d_body(preset, task.width, 1)
        ),
        latent=normal_latent(preset.latent_dim),
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=partial(adam, lr=preset.d_lr),
        g_optimizer=partial(adam, lr=preset.g_lr),
        reuse_latent=True,
    )


def g_body(preset: Preset, width: int, **inits: Any) -> torch_nn.Sequential:
    """The generator's dense layers, from the latent to `width` numbers."""
    sizes = [preset.latent_dim, *preset.g_hidden, width]
    return nn.mlp(sizes, activation=preset.g_activation, norm=preset.norm, **inits)


def d_body(preset: Preset, width: int, out: int, **inits: Any) -> torch_nn.Sequential:
    """The discriminator's dense layers, from `width` numbers to `out`."""
    return nn.mlp(
        [width, *preset.d_hidden, out],
        activation=preset.d_activation,
        norm=preset.norm,
        dropout=preset.dropout,
        **inits,
    )


# Cross-entropy on logits: -log sigmoid(l) = softplus(-l) (Goodfellow et al. 2014, section 3).


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """The mean on real plus the mean on fake."""
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def one_batch_loss(D: Discriminator, real: Tensor, fake: Tensor, *, label: float = 1.0) -> Tensor:
    """The mean over real and fake in one batch; a `label` of real below 1 smooths one-sidedly."""
    logit = D(real)
    on_real = softplus(-logit) + (1 - label) * logit
    return (on_real.mean() + softplus(D(fake)).mean()) / 2


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """The fakes' chance of passing for real, to be raised."""
    return softplus(-D(fake)).mean()


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
