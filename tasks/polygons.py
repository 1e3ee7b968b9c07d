"""Triangles of 28 x 28 pixels, an image whose manifold is known: after Lucic et al. 2018.

Their "Are GANs Created Equal?" has 80,000 of them and judges precision and recall by distances to
the manifold. How theirs lie is not said: here corners are uniform, of triangles that are at least 5
pixels high. The budget is theirs, 20 epochs of batches of 64.
"""

import functools

import torch
from torch import Tensor

from ganbench import metrics
from ganbench.core import Budget, Task
from ganbench.images import two_sample
from ganbench.metrics import triangles
from ganbench.randomness import REFERENCE_SEED

COUNT = 80_000


def corners(n: int, rng: torch.Generator) -> Tensor:
    """Those (n, 3, 2) of n triangles, in pixels."""
    low, high = triangles.CORNERS
    found: list[Tensor] = []
    while sum(map(len, found)) < n:
        tried = low + (high - low) * torch.rand(n, 3, 2, generator=rng, device=rng.device)
        turned = triangles.height(tried) < 0
        tried = torch.where(turned[:, None, None], tried.flip(1), tried)
        found.append(tried[triangles.height(tried) >= triangles.HEIGHT])
    return torch.cat(found)[:n]


def sample(n: int, rng: torch.Generator) -> Tensor:
    """n triangles, (n, 1, 28, 28), white on black."""
    parts = [triangles.draw(part) for part in corners(n, rng).split(triangles.ROWS)]
    return 2 * torch.cat(parts).view(n, 1, triangles.SIDE, triangles.SIDE) - 1


@functools.cache
def training_set() -> Tensor:
    """The 80,000 of every run."""
    return sample(COUNT, torch.Generator().manual_seed(REFERENCE_SEED + 1))


@functools.cache
def widths() -> tuple[float, ...]:
    """Of the pixels' kernel."""
    return metrics.kernel_widths(training_set()[:1024].flatten(1))


def mmd(real: Tensor, fake: Tensor) -> float:
    """Of pixels."""
    return metrics.mmd(real.flatten(1), fake.flatten(1), widths=widths())


def memorisation(real: Tensor, fake: Tensor) -> float:
    """Of the training set."""
    return metrics.memorisation(real, fake, training=training_set)


TASK = Task(
    name="polygons",
    version=1,
    shape=(1, triangles.SIDE, triangles.SIDE),
    sample=sample,
    metrics={
        "mmd": mmd,
        "triangle_fit": metrics.triangle_fit,
        "discriminator_accuracy": two_sample,
        "memorisation": memorisation,
    },
    budget=Budget(steps=25_000, batch_size=64, evaluations=20, evaluation_size=4096, log_every=250),
    views={
        "fidelity": "triangle_precision",
        "diversity": "triangle_recall",
        "distribution": "mmd",
        "test": "discriminator_accuracy",
    },
    training_set=training_set,
)
