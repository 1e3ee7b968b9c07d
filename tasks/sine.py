"""Sine curves sin(bx + c) at 64 points, b ~ U(0.5, 2), c ~ U(0, pi): a tutorial GAN's target.

32,768 training curves on x = linspace(-5, 5, 64), batches drawn with replacement.
"""

import math
from functools import partial

import torch

from ganbench import metrics
from ganbench.core import Budget, Task
from ganbench.planar import VIEWS, covariance_metrics, distance_metrics

X = torch.linspace(-5, 5, 64)
B_RANGE = (0.5, 2.0)
C_RANGE = (0.0, math.pi)


def sample(n: int, rng: torch.Generator) -> torch.Tensor:
    """n curves, shape (n, 64)."""
    b, c = torch.rand(2, n, 1, generator=rng, device=rng.device)
    b = B_RANGE[0] + (B_RANGE[1] - B_RANGE[0]) * b
    return torch.sin(b * X.to(rng.device) + C_RANGE[1] * c)


def mean_cosine(t: torch.Tensor) -> torch.Tensor:
    """E cos(b t) over the law of b, exact: a difference of two sinc functions."""
    low, high = B_RANGE
    scaled = high * torch.sinc(high * t / math.pi) - low * torch.sinc(low * t / math.pi)
    return scaled / (high - low)


# Over c: E sin(u + c) = (2 / pi) cos u, and E cos(u + 2c) = 0.
POINTS = X.double()
MEAN = 2 / math.pi * mean_cosine(POINTS)
COVARIANCE = mean_cosine(POINTS[:, None] - POINTS) / 2 - MEAN[:, None] * MEAN

TASK = Task(
    name="sine",
    version=2,
    shape=(64,),
    sample=sample,
    metrics={
        **distance_metrics(sample, COVARIANCE),
        **covariance_metrics(MEAN, COVARIANCE),
        "sine_fit": partial(metrics.sine_fit, x=X, b_range=B_RANGE, c_range=C_RANGE),
    },
    budget=Budget(
        steps=16_384, batch_size=128, evaluations=16, evaluation_size=4096, log_every=256
    ),
    views=VIEWS,
    mean=MEAN,
    covariance=COVARIANCE,
    pool=32_768,
    grid=X,
)
