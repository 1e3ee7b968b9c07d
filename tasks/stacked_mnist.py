"""Three random digits as the channels of an image: 1,000 modes, values in [-1, 1].

Each channel is drawn by itself, evenly from all 70,000 images of MNIST: Srivastava et al. 2017
(VEEGAN); Lin et al. 2018 (PacGAN), whose public code trains on 128,000 such images where here
every batch is a fresh one, and judges 26,000. MNIST is fetched at first use (`ganbench data fetch
mnist`).
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ganbench import metrics
from ganbench.classifier import scaled
from ganbench.core import Task
from ganbench.images import BUDGET, all_images, classes, two_sample

SHAPE = (3, 28, 28)


def sample(n: int, rng: torch.Generator) -> Tensor:
    """n images, (n, 3, 28, 28)."""
    digits = all_images("mnist")
    which = torch.randint(len(digits), (n * SHAPE[0],), generator=rng)
    return scaled(digits[which.numpy()]).view(n, *SHAPE)


def exact_moments() -> tuple[Tensor, Tensor]:
    """Those of the 70,000 images in each channel, and nothing between channels."""
    digits = scaled(all_images("mnist")).flatten(1).double()
    covariance = torch.cov(digits.T, correction=0)
    return digits.mean(0).repeat(SHAPE[0]), torch.block_diag(*[covariance] * SHAPE[0])


TASK = Task(
    name="stacked_mnist",
    version=1,
    shape=SHAPE,
    sample=sample,
    metrics={"frechet": metrics.stacked_images, "discriminator_accuracy": two_sample},
    # A round of 390 batches is 470 MB of memory, an evaluation some ten seconds.
    budget=replace(BUDGET, steps=15_600, evaluations=40, evaluation_size=26_000),
    # Of what it is measured by, the nearest to precision, coverage and proportions.
    views={
        "fidelity": "frechet",
        "diversity": "stacked_modes",
        "distribution": "stacked_kl",
        "test": "discriminator_accuracy",
    },
    exact_moments=exact_moments,
    label=partial(classes, "mnist"),
)
