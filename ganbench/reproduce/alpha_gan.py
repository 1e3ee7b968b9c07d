"""The alpha-GAN study's baselines: two losses of G on eight Gaussians, over many seeds.

Welfert, Otstot, Kurri and Sankar 2023-24, the only public figures of single runs:

- PacGAN's ring, 50,000 points, batches of 128 and 400 epochs, about 156,000 steps; 25,000 samples.
- G: 2 -> 4 x 400 ReLU -> 2. D: 2 -> 4 x 200 leaky ReLU (0.2) -> 1. z from N(0, I). Adam at 1e-4.
- Non-saturating loss in 150 runs, saturating in 200.

Assumed, as they are not known here: first weights (Glorot-uniform) and Adam's other settings
(Keras's), alternating updates with fakes of their own, z from a normal law. Published means have
no standard errors; those of shares of runs are sqrt(p (1 - p) / n). The figures by depth are left
out, as with which loss is not known.
"""

from functools import partial

import torch
from torch import Tensor

from ganbench.core import Game, Task
from ganbench.dirac.methods import cross_entropy, non_saturating, saturating
from ganbench.nn import Adam, mlp
from ganbench.reproduce.comparison import Figure
from ganbench.reproduce.training import Row, Training

MODES, DEPTH = 8, 4


def latent(n: int, rng: torch.Generator) -> Tensor:
    """z (n, 2) from N(0, I)."""
    return torch.randn(n, 2, generator=rng, device=rng.device)


def GAN(task: Task, *, device: str = "cpu", saturates: bool = False) -> Game:  # noqa: N802
    """The Game of a row."""
    return Game(
        generator=mlp([2, *[400] * DEPTH, 2], activation="relu"),
        discriminator=mlp([2, *[200] * DEPTH, 1]),
        latent=latent,
        d_loss=cross_entropy,
        g_loss=saturating if saturates else non_saturating,
        d_optimizer=partial(Adam, lr=1e-4),
        g_optimizer=partial(Adam, lr=1e-4),
    )


def share(p: float, runs: int) -> Figure:
    """A share of runs, with the standard error of a binomial one."""
    return Figure(mean=p, error=(p * (1 - p) / runs) ** 0.5, runs=runs)


PROTOCOL = Training(
    name="alpha-gan",
    source="Welfert et al. 2023-24 (the alpha-GAN study), the GANs it compares with",
    summary="modes of the non-saturating and the saturating GAN on ring8, and who finds all",
    file=__file__,
    rows=[
        Row(
            name="non-saturating",
            task="ring8",
            hparams={"saturates": False},
            published={
                "modes": Figure(mean=5.93, runs=150),
                "high_quality": Figure(mean=0.945, runs=150),
                "reverse_kl": Figure(mean=0.913, runs=150),
                "all_modes": share(0.207, 150),
            },
        ),
        Row(
            name="saturating",
            task="ring8",
            hparams={"saturates": True},
            published={
                "modes": Figure(mean=4.70, runs=200),
                "all_modes": share(0.465, 200),
                "no_modes": share(0.295, 200),
            },
        ),
    ],
    runs=150,
    steps=156_000,
    batch=128,
    pool=50_000,
    shuffle=True,
    judged=25_000,
    evaluations=52,
    derived={
        "all_modes": lambda run: float(run["modes"] == MODES),
        "no_modes": lambda run: float(run["modes"] == 0),
    },
    counts="a mode with a sample within 3 sigma",
    hours=0.5,
)
