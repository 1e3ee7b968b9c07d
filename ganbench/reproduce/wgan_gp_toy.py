"""WGAN-GP's toy data: two critics on eight Gaussians (Gulrajani et al. 2017, section 4.1).

As in the published code (github.com/igul222/improved_wgan_training, gan_toy.py), in TensorFlow 1:

- G and D: 3 x 512 ReLU; hidden weights He-uniform, the last Glorot-uniform. z (2) from N(0, I).
- Fresh batches of 256; 5 updates of D for one of G, 100,000 of G.
- WGAN-GP: Adam at 1e-4 (0.5, 0.9), epsilon 1e-8 where Keras has it; a penalty of weight 0.1.
- WGAN: RMSProp at 5e-5, whose mean squares start at 1; D's weights clipped at 0.01.

Pictures were published, no figures: what is judged here, 2,500 samples with a mode counted as in
PacGAN, is ours. So is the order of a cycle, 5 of D and then G, where the source begins with D too
but at later cycles has G first: the same updates, but for the last of G.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch import nn as torch_nn

from ganbench.core import Game, MakeOptimizer, Task
from ganbench.dirac.methods import against_critic, critic
from ganbench.nn import Adam, RMSprop, mlp
from ganbench.penalties import Discriminator, gradient_penalty
from ganbench.reproduce.training import Row, Training

CRITIC_UPDATES, GENERATOR_UPDATES = 5, 100_000
LIMIT, WEIGHT = 0.01, 0.1
RING = "ring8_wide"


def d_loss_gp(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """D(fake) - D(real) + weight (|grad D| - 1)^2 between them."""
    return critic(D, real, fake) + WEIGHT * gradient_penalty(D, real, fake)


@torch.no_grad()
def clip(D: torch_nn.Module) -> None:
    """Every weight and bias into [-0.01, 0.01]."""
    for weight in D.parameters():
        weight.clamp_(-LIMIT, LIMIT)


def network(out: int) -> torch_nn.Sequential:
    """2 -> 3 x 512 ReLU -> out."""
    made = mlp([2, 512, 512, 512, out], activation="relu")
    for layer in list(made)[:-1]:
        if isinstance(layer, torch_nn.Linear):
            torch_nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return made


def latent(n: int, rng: torch.Generator) -> Tensor:
    """z (n, 2) from N(0, I)."""
    return torch.randn(n, 2, generator=rng, device=rng.device)


def GAN(task: Task, *, device: str = "cpu", penalty: bool = True) -> Game:  # noqa: N802
    """The Game of a row: WGAN-GP, or without a `penalty` WGAN."""
    optimizer: MakeOptimizer = partial(RMSprop, lr=5e-5, epsilon=1e-10, initial=1.0)
    after: Callable[[torch_nn.Module], object] | None = clip
    if penalty:
        optimizer, after = partial(Adam, lr=1e-4, betas=(0.5, 0.9), epsilon=1e-8), None
    return Game(
        generator=network(2),
        discriminator=network(1),
        latent=latent,
        d_loss=d_loss_gp if penalty else critic,
        g_loss=against_critic,
        d_optimizer=optimizer,
        g_optimizer=optimizer,
        d_updates=CRITIC_UPDATES,
        after_d=after,
        decision=None,
    )


PROTOCOL = Training(
    name="wgan-gp-toy",
    source="Gulrajani et al. 2017 (WGAN-GP), section 4.1, and its code gan_toy.py",
    summary="WGAN-GP and WGAN with clipping on ring8_wide; published as pictures only",
    file=__file__,
    rows=[
        Row(name="wgan-gp", task=RING, hparams={"penalty": True}),
        Row(name="wgan", task=RING, hparams={"penalty": False}),
    ],
    runs=1,
    steps=CRITIC_UPDATES * GENERATOR_UPDATES,
    batch=256,
    judged=2_500,
    evaluations=200,
    counts="a mode with a sample within 3 sigma",
    hours=5.0,
)
