"""Unrolled GAN's ring: G against a D that looks some steps ahead (Metz et al. 2017).

As in the authors' notebook (github.com/poolio/unrolled_gan), in TensorFlow 1:

- G and D: 2 x 128 tanh, orthogonal weights of gain 1.4. z (256) from N(0, I). Batches of 512.
- Adam: D at 1e-4, G at 1e-3, beta1 0.5, epsilon 1e-8 where Keras has it; 25,000 steps.
- Both losses are one, cross-entropy, which G raises (it saturates). D's update and G's are of the
  same batch and the same fakes. G's gradient goes through D's next 5 updates, on that batch.
- The ring's centres are at linspace(0, 2 pi, 8), the first of which comes twice: 7 distinct ones.

Pictures were published, no figures: the 2,500 samples judged here, of a mode counted as in PacGAN,
are ours. Whether D was updated before G's gradient was taken is left open by the source, which
runs both at once; here it is after. Epsilon is under the root where G's gradient goes through it,
which keeps it finite: the difference is of order 1e-8.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.func import functional_call
from torch.nn.functional import softplus

from ganbench import metrics
from ganbench.core import Modes, Task
from ganbench.nn import Adam, mlp
from ganbench.reproduce.training import Row, Training

LATENT, SIGMA = 256, 0.01
RATE, BETAS, EPSILON = 1e-4, (0.5, 0.999), 1e-8
ANGLES = torch.linspace(0, 2 * math.pi, 8)
CENTERS = torch.stack([ANGLES.sin(), ANGLES.cos()], 1)
Learnt = tuple[list[Tensor], list[Tensor], list[Tensor], int]  # D's weights, and Adam's memory


def network(sizes: list[int]) -> nn.Sequential:
    """Dense layers with tanh between them."""
    return mlp(sizes, activation="tanh", init=partial(nn.init.orthogonal_, gain=1.4))


class GAN:
    """A GAN, whose G sees D `unrolled` updates ahead; not at all with 0."""

    def __init__(self, task: Task, *, device: str = "cpu", unrolled: int = 5) -> None:
        self.G = network([LATENT, 128, 128, 2]).to(device)
        self.D = network([2, 128, 128, 1]).to(device)
        self.unrolled = unrolled
        weights = [w.detach().clone() for w in self.D.parameters()]
        means, squares = ([torch.zeros_like(w) for w in weights] for _ in range(2))
        self.learnt: Learnt = weights, means, squares, 0
        self.adam = Adam(self.G.parameters(), 1e-3, BETAS, EPSILON)
        self.rng = torch.Generator(device).manual_seed(torch.initial_seed())

    def loss(self, weights: list[Tensor], real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of D with those weights."""
        names = [name for name, _ in self.D.named_parameters()]
        named = dict(zip(names, weights, strict=True))
        on_real, on_fake = (functional_call(self.D, named, (x,)) for x in (real, fake))
        return softplus(-on_real).mean() + softplus(on_fake).mean()

    def learn(self, learnt: Learnt, real: Tensor, fake: Tensor) -> tuple[Learnt, Tensor]:
        """D after an update by Adam, as a function of the fakes, and the loss before it."""
        weights, means, squares, count = learnt
        weights = [w if w.requires_grad else w.detach().requires_grad_() for w in weights]
        loss = self.loss(weights, real, fake)
        slopes = grad(loss, weights, create_graph=True)
        beta1, beta2 = BETAS
        means = [beta1 * m + (1 - beta1) * g for m, g in zip(means, slopes, strict=True)]
        squares = [beta2 * s + (1 - beta2) * g**2 for s, g in zip(squares, slopes, strict=True)]
        rate = RATE * (1 - beta2 ** (count + 1)) ** 0.5 / (1 - beta1 ** (count + 1))
        steps = [m / (s + EPSILON**2).sqrt() for m, s in zip(means, squares, strict=True)]
        weights = [w - rate * step for w, step in zip(weights, steps, strict=True)]
        return (weights, means, squares, count + 1), loss

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """An update of both from where they stand, on one batch of fakes."""
        fake = self.G(torch.randn(len(real), LATENT, generator=self.rng, device=real.device))
        learnt, d_loss = self.learn(self.learnt, real, fake.detach())
        ahead = self.learnt
        for _ in range(self.unrolled):
            ahead, _ = self.learn(ahead, real, fake)
        g_loss = -self.loss(ahead[0], real, fake)
        weights, means, squares = ([each.detach() for each in part] for part in learnt[:3])
        self.learnt = weights, means, squares, learnt[3]
        self.adam.zero_grad()
        g_loss.backward(inputs=list(self.G.parameters()))
        self.adam.step()
        return {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n samples."""
        latent = torch.randn(n, LATENT, generator=self.rng, device=self.rng.device)
        fake: Tensor = self.G(latent)
        return fake


def sample(n: int, rng: torch.Generator) -> Tensor:
    """n points (n, 2) of the ring, two in eight of which are of its first centre."""
    which = torch.randint(len(CENTERS), (n,), generator=rng)
    return CENTERS[which] + SIGMA * torch.randn(n, 2, generator=rng)


def ring7(task: Task) -> Task:
    """`ring8` with the published centres."""
    distinct = CENTERS[:-1]
    counts = partial(metrics.mixture_modes, centers=distinct, sigma=SIGMA)
    return replace(
        task,
        sample=sample,
        modes=Modes(centers=distinct, sigma=SIGMA),
        metrics={"modes": counts},
        label=None,
        log_density=None,
        mean=None,
        covariance=None,
        exact_moments=None,
    )


PROTOCOL = Training(
    name="unrolled-ring",
    source="Metz et al. 2017 (Unrolled GAN), figure 2, and the authors' notebook",
    summary="modes of a ring found without and with 5 unrolled steps; published as pictures only",
    file=__file__,
    rows=[
        Row(name="gan", task="ring8", hparams={"unrolled": 0}),
        Row(name="unrolled5", task="ring8", hparams={"unrolled": 5}),
    ],
    runs=1,
    steps=25_000,
    batch=512,
    judged=2_500,
    evaluations=50,
    quantities=("modes", "high_quality"),
    counts="a mode with a sample within 3 sigma, of 7",
    changes=ring7,
    floors={"modes": 7.0},
    hours=0.3,
)
