"""Real samples spoilt on purpose, by known amounts: what the audit of the metrics is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ganbench import naive
from ganbench.core import Task
from ganbench.randomness import generator

SHIFTS = (0.0, 0.1, 0.3, 1.0, 3.0)  # of each coordinate, in its true standard deviations
NOISES = (0.0, 0.1, 0.3, 1.0, 3.0)  # deviation of what is added, in the same unit
SHARES = (0.0, 0.25, 0.5, 0.75)  # of the modes, which are left out
COPIES = (0.0, 0.25, 0.5, 0.75, 1.0)  # share of training samples
SLICES = 8  # equal shares along the widest axis, of a distribution without modes

Graded = Iterator[tuple[float, Tensor]]
Pair = tuple[Tensor, Tensor]


def draw(task: Task, n: int, name: str, index: int = 0) -> Tensor:
    """n real samples from part `index` of the audit's stream `name`."""
    return task.sample(n, generator(index, f"audit-{name}"))


def shifted(task: Task, fake: Tensor) -> Graded:
    """All coordinates moved by growing shares of their standard deviation."""
    for strength in SHIFTS:
        yield strength, fake + strength * unit(task)


def noised(task: Task, fake: Tensor) -> Graded:
    """Gaussian noise, alike at growing sizes, in each coordinate's standard deviation."""
    noise = torch.randn(fake.shape, generator=generator(0, "audit-noise"))
    for strength in NOISES:
        yield strength, fake + strength * unit(task) * noise


def dropped(task: Task, fake: Tensor) -> Graded:
    """As many samples without a growing share of the modes."""
    _, count = parts(task)
    for share in SHARES:
        yield share, kept_parts(task, len(fake), range(round(share * count), count))


def copied(task: Task, fake: Tensor) -> Graded:
    """A growing share of samples replaced by ones of the training set."""
    assert task.training_set is not None
    rng = generator(0, "audit-copies")
    training = task.training_set()
    copies = training[torch.randperm(len(training), generator=rng)[: len(fake)]]
    for share in COPIES:
        count = round(share * len(fake))
        yield share, torch.cat([copies[:count], fake[count:]])


def collapsed(task: Task, n: int) -> Tensor:
    """n samples of one mode."""
    return kept_parts(task, n, range(1))


def dispersed(task: Task, n: int) -> Tensor:
    """n samples, every other one uniform noise over twice the bounding box of the data."""
    fake = draw(task, n, "dispersed")
    noise = naive.uniform_box(fake, n, generator(0, "audit-box"))
    middle = (fake.amin(0) + fake.amax(0)) / 2
    fake[::2] = (middle + 2 * (noise - middle))[::2]
    return fake


def reordered(task: Task, real: Tensor, fake: Tensor) -> Pair:
    """The rows of both in another order."""
    return real.flip(0), fake.flip(0)


def exchanged(task: Task, real: Tensor, fake: Tensor) -> Pair:
    """Real for fake."""
    return fake, real


def translated(task: Task, real: Tensor, fake: Tensor) -> Pair:
    """Both moved alike."""
    return real + 3 * unit(task), fake + 3 * unit(task)


def rotated(task: Task, real: Tensor, fake: Tensor) -> Pair:
    """Both turned by the same rotation, in units of each coordinate's standard deviation."""
    rng = generator(0, "audit-rotation")
    rotation, _ = torch.linalg.qr(torch.randn(task.width, task.width, generator=rng))

    def turn(samples: Tensor) -> Tensor:
        turned: Tensor = (samples / unit(task)).flatten(1) @ rotation
        return turned

    return turn(real).view_as(real) * unit(task), turn(fake).view_as(fake) * unit(task)


def kept_parts(task: Task, n: int, kept: range) -> Tensor:
    """n real samples of those parts of the distribution only."""
    label, count = parts(task)
    found: list[Tensor] = []
    for index in range(1000):
        samples = draw(task, 2 * n * count // len(kept), "parts", index)
        of = label(samples)
        found.append(samples[(of >= kept.start) & (of < kept.stop)])
        if sum(map(len, found)) >= n:
            break
    return torch.cat(found)[:n]


def parts(task: Task) -> tuple[Callable[[Tensor], Tensor], int]:
    """Which part each sample belongs to, (n, *shape) to (n,), and how many parts there are.

    Modes or classes where the task knows them, else slices across its widest axis.
    """
    if task.label is not None:
        return task.label, int(task.label(task.reference[:1024]).max()) + 1
    flat = (task.reference / unit(task)).flatten(1)
    axis = torch.linalg.eigh(torch.cov(flat.T)).eigenvectors[:, -1]
    edges = (flat @ axis).quantile(torch.arange(1, SLICES) / SLICES)

    def label(samples: Tensor) -> Tensor:
        place: Tensor = (samples / unit(task)).flatten(1) @ axis
        return torch.bucketize(place, edges)

    return label, SLICES


def unit(task: Task) -> Tensor:
    """Each coordinate's standard deviation, of the shape of a sample."""
    return task.scale.view(task.shape)
