"""VEEGAN, table 1: VEEGAN and a GAN on eight and on 25 Gaussians (Srivastava et al. 2017).

Published: 2,500 samples, of high quality within 3 sigma of a mode, the mean of 5 runs, without
standard errors. The loss is the paper's: D judges pairs of noise and sample; F, the reconstructor,
makes noise of real samples, and G and F together minimise what D says of fakes and half the
squared distance of F(G(z)) to z.

Second hand, from a public adaptation of the authors' notebook (in Keras), and so **assumed**:

- z of 254 numbers, one more number of noise for G; hidden layers of 128 ReLU: two in G and in F,
  one in D. F is Gaussian with deviation 1. Fresh batches of 500.
- Adam at 1e-3, beta1 0.5, Glorot-uniform weights, alternating updates; 100,000 steps.
- GAN: the same without F, D of samples alone.

The rows of ALI and Unrolled GAN and the 1,200-dimensional mixture are left out.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench.core import Game, Task
from ganbench.dirac.methods import cross_entropy, non_saturating
from ganbench.nn import Adam, mlp
from ganbench.penalties import Discriminator
from ganbench.reproduce.comparison import Figure
from ganbench.reproduce.training import Row, Training

RUNS = 5
NOISE = 254


def latent(n: int, rng: torch.Generator) -> Tensor:
    """z and one more number, (n, 255) from N(0, I)."""
    return torch.randn(n, NOISE + 1, generator=rng, device=rng.device)


def d_loss(D: Discriminator, real: Tensor, fake: Tensor, *, F: nn.Module, latent: Tensor) -> Tensor:
    """-log s(D(F(x), x)) - log(1 - s(D(z, G(z)))); only D learns from it."""
    found = F(real).detach()
    on_real = D(torch.cat([found + torch.randn_like(found), real], 1))
    on_fake = D(torch.cat([latent[:, :NOISE], fake], 1))
    return softplus(-on_real).mean() + softplus(on_fake).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor, *, F: nn.Module, latent: Tensor) -> Tensor:
    """-D(z, G(z)) + |z - F(G(z))|^2 / 2, for G and F."""
    z = latent[:, :NOISE]
    distance: Tensor = (z - F(fake)).square().sum(1) / 2
    return (distance - D(torch.cat([z, fake], 1)).squeeze(1)).mean()


def GAN(task: Task, *, device: str = "cpu", reconstructs: bool = True) -> Game:  # noqa: N802
    """The Game of a row: VEEGAN, or without a reconstructor a GAN."""
    adam = partial(Adam, lr=1e-3, betas=(0.5, 0.999))
    network = partial(mlp, activation="relu")
    return Game(
        generator=network([NOISE + 1, 128, 128, 2]),
        discriminator=network([NOISE + 2 if reconstructs else 2, 128, 1]),
        latent=latent,
        d_loss=d_loss if reconstructs else cross_entropy,
        g_loss=g_loss if reconstructs else non_saturating,
        d_optimizer=adam,
        g_optimizer=adam,
        more={"F": network([2, 128, 128, NOISE])} if reconstructs else {},
    )


def row(variant: str, task: str, modes: float, percent: float) -> Row:
    """A row with its means."""
    share = Figure(mean=percent / 100, runs=RUNS)
    return Row(
        name=f"{variant}-{task}",
        task=task,
        hparams={"reconstructs": variant == "veegan"},
        published={"modes": Figure(mean=modes, runs=RUNS), "high_quality": share},
    )


PROTOCOL = Training(
    name="veegan-table1",
    source="Srivastava et al. 2017 (VEEGAN), table 1; networks and steps assumed",
    summary="modes and high quality of a GAN and VEEGAN on ring8 and grid25",
    file=__file__,
    rows=[
        row("gan", "ring8", 1.0, 99.3),
        row("veegan", "ring8", 8.0, 52.9),
        row("gan", "grid25", 3.3, 0.5),
        row("veegan", "grid25", 24.6, 40.0),
    ],
    runs=RUNS,
    steps=100_000,
    batch=500,
    judged=2_500,
    evaluations=100,
    quantities=("modes", "high_quality"),
    counts="a mode with a sample within 3 sigma",
    hours=0.3,
)
