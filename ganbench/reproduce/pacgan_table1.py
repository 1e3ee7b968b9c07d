"""PacGAN, table 1: a GAN and its packed variants on eight and on 25 Gaussians (Lin et al. 2018).

As in the published code (github.com/fjxmlzn/PacGAN, synthetic_data_experiments), which is written
in Blocks on Theano:

- G: 2 -> 4 x (linear without bias, batch norm, ReLU) of 400 -> linear with bias, 2.
  D: 2 x pack -> 3 x linear maxout of 200 units and 5 pieces -> 1.
- Weights from N(0, 0.02^2), biases 0, the scales and shifts of batch norm 1 and 0. z from N(0, I).
- Adam at 1e-4 with beta1 0.8 and beta2 0.999; Blocks adds its epsilon, 1e-8, where Keras does.
- One batch of fakes a step, from which D and G are updated together. The loss of G counts D's
  mistakes on real samples too, which are constant for G.
- 400 epochs of 100,000 fixed packs in batches of 100: 400,000 steps, whatever the pack.
- Batch norm: the members of a pack are made by calls of their own, each with the statistics of its
  100 fakes. Moving averages, of the mean and of the deviation, not of the variance, keep 0.95 at a
  step, and samples are made with these. Epsilon is 1e-4.
- 2,500 samples, and a mode counts with one of them within 3 sigma; 10 runs.

Three things are otherwise here. The published packs are drawn from the 100,000 points once, with
replacement, and come again each epoch; ours are made anew each epoch by a shuffle of the points,
each of which is seen as often. The published code refreshes the moving averages by 50 batches
before it samples; ours are those of the last steps. And it judges the same latents in all runs.
"""

import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus

from ganbench.core import Game, Task
from ganbench.nn import Adam, Maxout, dense, normal
from ganbench.penalties import Discriminator
from ganbench.reproduce.comparison import Figure
from ganbench.reproduce.training import Row, Training

RUNS = 10
BATCH = 100  # packs
WEIGHTS = normal(0.02)
KEPT, EPSILON = 0.95, 1e-4  # of batch norm


class BatchNorm(torch_nn.Module):
    """Batch normalisation as in Blocks, of the members of packs each by themselves."""

    def __init__(self, width: int, pack: int) -> None:
        super().__init__()
        self.pack = pack
        self.scale = torch_nn.Parameter(torch.ones(width))
        self.shift = torch_nn.Parameter(torch.zeros(width))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n * pack, width), a pack's members in a row, to the same."""
        if not self.training:
            return (x - self.mean) / self.deviation * self.scale + self.shift
        x = x.unflatten(0, (-1, self.pack))
        mean = x.mean(0)
        centered = x - mean
        deviation = (centered.square().mean(0) + EPSILON).sqrt()
        with torch.no_grad():
            for average, value in ((self.mean, mean), (self.deviation, deviation)):
                average.mul_(KEPT).add_(value.mean(0), alpha=1 - KEPT)
        return (centered * (self.scale / deviation) + self.shift).flatten(0, 1)


def generator(pack: int, hidden: int = 400) -> torch_nn.Sequential:
    """z (n * pack, 2) to points (n * pack, 2)."""
    layers: list[torch_nn.Module] = []
    for fan_in in (2, hidden, hidden, hidden):
        linear = torch_nn.Linear(fan_in, hidden, bias=False)
        WEIGHTS(linear.weight)
        layers += [linear, BatchNorm(hidden, pack), torch_nn.ReLU()]
    return torch_nn.Sequential(*layers, dense(hidden, 2, init=WEIGHTS))


def discriminator(pack: int, hidden: int = 200, pieces: int = 5) -> torch_nn.Sequential:
    """Packs (n, 2 * pack) to logits (n, 1)."""
    sizes = [(2 * pack, hidden), (hidden, hidden), (hidden, hidden)]
    layers = [Maxout(fan_in, fan_out, pieces, init=WEIGHTS) for fan_in, fan_out in sizes]
    return torch_nn.Sequential(*layers, dense(hidden, 1, init=WEIGHTS))


def latent(n: int, rng: torch.Generator) -> Tensor:
    """z (n, 2) from N(0, I)."""
    return torch.randn(n, 2, generator=rng, device=rng.device)


def d_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log s(D(real)) - log(1 - s(D(fake))), s the sigmoid."""
    return (softplus(-D(real)) + softplus(D(fake))).mean()


def g_loss(D: Discriminator, real: Tensor, fake: Tensor) -> Tensor:
    """-log(1 - s(D(real))) - log s(D(fake)), of which the first is constant for G."""
    return (softplus(D(real)) + softplus(-D(fake))).mean()


def GAN(task: Task, *, device: str = "cpu", pack: int = 1) -> Game:  # noqa: N802
    """The Game of a row: a GAN, or with a `pack` of 2 or more PacGAN."""

    def adam(params: object) -> Adam:
        return Adam(params, lr=1e-4, betas=(0.8, 0.999), epsilon=1e-8)  # type: ignore[arg-type]

    return Game(
        generator=generator(pack),
        discriminator=discriminator(pack),
        latent=latent,
        d_loss=d_loss,
        g_loss=g_loss,
        d_optimizer=adam,
        g_optimizer=adam,
        reuse_latent=True,
        simultaneous=True,
        pack=pack,
    )


def row(
    variant: str,
    pack: int,
    task: str,
    modes: tuple[float, float],
    percent: tuple[float, float],
    reverse_kl: tuple[float, float],
) -> Row:
    """A row with its means and standard errors; those of high quality are in percent."""
    share = percent[0] / 100, percent[1] / 100
    named = {"modes": modes, "high_quality": share, "reverse_kl": reverse_kl}
    return Row(
        name=f"{variant}-{task}",
        task=task,
        hparams={"pack": pack},
        published={
            name: Figure(mean=mean, error=error, runs=RUNS) for name, (mean, error) in named.items()
        },
    )


PROTOCOL = Training(
    name="pacgan-table1",
    source="Lin et al. 2018 (PacGAN), table 1",
    summary="modes, high quality and reverse KL of a GAN and PacGAN2 to 4 on ring8 and grid25",
    file=__file__,
    rows=[
        row("gan", 1, "ring8", (6.3, 0.5), (98.2, 0.2), (0.45, 0.09)),
        row("pacgan2", 2, "ring8", (7.9, 0.1), (95.6, 2.0), (0.07, 0.03)),
        row("pacgan3", 3, "ring8", (7.8, 0.1), (97.7, 0.3), (0.10, 0.02)),
        row("pacgan4", 4, "ring8", (7.8, 0.1), (95.9, 1.4), (0.07, 0.02)),
        row("gan", 1, "grid25", (17.3, 0.8), (94.8, 0.7), (0.70, 0.07)),
        row("pacgan2", 2, "grid25", (23.8, 0.7), (91.3, 0.8), (0.13, 0.04)),
        row("pacgan3", 3, "grid25", (24.6, 0.4), (94.2, 0.4), (0.06, 0.02)),
        row("pacgan4", 4, "grid25", (24.8, 0.2), (93.6, 0.6), (0.04, 0.01)),
    ],
    runs=RUNS,
    steps=400_000,
    batch=BATCH,
    pool=100_000,
    shuffle=True,
    judged=2_500,
    evaluations=400,
    counts="a mode with a sample within 3 sigma",
    hours=2.0,
)
