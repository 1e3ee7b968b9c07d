"""What the image tasks share: a data set as a Task, its splits, its metrics."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganbench import data, metrics
from ganbench.classifier import features_and_probabilities, scaled
from ganbench.core import AtOnce, Budget, Metric, Task
from ganbench.randomness import REFERENCE_SEED

# 50 epochs of 468 batches: 60,000 images in batches of 128, the rest of an epoch left out.
BUDGET = Budget(steps=23_400, batch_size=128, evaluations=50, evaluation_size=4096, log_every=78)


VIEWS = {
    "fidelity": "precision",
    "diversity": "coverage",
    "distribution": "frechet",
    "test": "discriminator_accuracy",
}


def image_task(name: str, *, views: Mapping[str, str] | None = None) -> Task:
    """Version 2 of the task of that data set, each round measured by the Frechet distance.

    Images are (1, 28, 28) in [-1, 1]. Training is on all 60,000 training images. Of the 10,000
    test images 4,096, drawn once, are the reference; `sample` draws from the others without
    replacement, so that a perfect entry is one that cannot be told from them.
    """

    def sample(n: int, rng: torch.Generator) -> Tensor:
        others = test_images(name)[BUDGET.evaluation_size :]
        count = math.ceil(n / len(others))
        orders = [torch.randperm(len(others), generator=rng) for _ in range(count)]
        return others[torch.cat(orders)[:n]]

    def held_out() -> Tensor:
        return test_images(name)[: BUDGET.evaluation_size]

    return Task(
        name=name,
        version=2,
        shape=(1, 28, 28),
        sample=sample,
        metrics=image_metrics(name),
        budget=BUDGET,
        views={**VIEWS, **(views or {})},
        label=functools.partial(classes, name),
        classes=10,
        training_set=functools.partial(training_images, name),
        held_out=held_out,
    )


def classes(name: str, images: Tensor) -> Tensor:
    """The class (n,) of images (n, channels, 28, 28), of several channels that of the first.

    Of an image of the data set it is the one that the data set says; of others the likeliest one.
    """
    first = images[:, 0].flatten(1)
    pixels = (first.detach().cpu().float() * 127.5 + 127.5).round().clamp(0, 255)
    rows = pixels.nan_to_num().to(torch.uint8).numpy()
    known = [labels(name).get(_key(row), -1) for row in rows]
    found = torch.tensor(known, dtype=torch.long, device=images.device)
    others = found < 0
    if bool(others.any()):
        found[others] = features_and_probabilities(first[others], name)[1].argmax(1)
    return found


@functools.cache
def labels(name: str) -> Mapping[bytes, int]:
    """The labels of all 70,000 images of a data set, by a hash of their pixels.

    No two of them are the same.
    """
    images = data.load(name)
    every = np.concatenate([images.train_labels, images.test_labels])
    return {_key(x): int(y) for x, y in zip(all_images(name), every, strict=True)}


def _key(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()


def image_metrics(name: str) -> dict[str, Metric]:
    """Metrics in a classifier's features, and in pixels."""
    training = functools.partial(training_images, name)  # one object: its distances are cached

    def features(real: Tensor, fake: Tensor) -> Mapping[str, float]:
        return metrics.image_features(real, fake, name=name)

    def memorisation(real: Tensor, fake: Tensor) -> float:
        return metrics.memorisation(real, fake, training=training)

    def mmd(real: Tensor, fake: Tensor) -> float:
        return metrics.mmd(real.flatten(1), fake.flatten(1), widths=kernel_widths(name))

    return {
        "frechet": features,
        "memorisation": memorisation,
        "mmd": mmd,
        "discriminator_accuracy": two_sample,
    }


def _tested(real: Tensor, fake: Tensor) -> Mapping[str, float]:
    return metrics.discriminator_test(real.flatten(1), fake.flatten(1))


def _all_tested(real: Tensor, fakes: Tensor) -> Sequence[Mapping[str, float]]:
    return metrics.discriminator_tests(real.flatten(1), fakes.flatten(2))


two_sample = AtOnce(_tested, _all_tested)
"""The classifier two-sample test on the pixels of images (n, channels, 28, 28)."""


@functools.cache
def training_images(name: str) -> Tensor:
    """All training images of a data set, (60000, 1, 28, 28)."""
    return scaled(data.load(name).train_images)


@functools.cache
def test_images(name: str) -> Tensor:
    """All test images, (10000, 1, 28, 28), shuffled: their first half is easier than the second."""
    order = torch.randperm(10_000, generator=torch.Generator().manual_seed(REFERENCE_SEED))
    return scaled(data.load(name).test_images)[order]


@functools.cache
def all_images(name: str) -> NDArray[np.uint8]:
    """Training and test images together, (70000, 28, 28), as bytes."""
    images = data.load(name)
    return np.concatenate([images.train_images, images.test_images])


@functools.cache
def kernel_widths(name: str) -> tuple[float, ...]:
    """Widths of the pixel kernel, from the training images."""
    return metrics.kernel_widths(training_images(name)[:1024].flatten(1))
