"""Mode coverage of stacked digits: three grey images of digits as the channels of one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganbench.classifier import CLASSES, SIDE, features_and_probabilities
from ganbench.errors import InputError
from ganbench.metrics._inputs import checked
from ganbench.metrics.features import classified_once, frechet

QUANTITIES = {
    "stacked_modes": ("higher", "triples of digits, of 1,000, with at least one fake"),
    "stacked_kl": ("lower", "KL divergence of the fakes' triples of digits from uniform, in nats"),
}
SOURCES = {
    "stacked_modes": "Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN)",
    "stacked_kl": "Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN)",
}
PROMISES = {
    "stacked_modes": ("drop", "collapse", "order"),
    "stacked_kl": ("drop", "collapse", "order", "consistent"),
}

CHANNELS = 3
MODES = CLASSES**CHANNELS


def stacked_images(real: Tensor, fake: Tensor, *, name: str = "mnist") -> dict[str, float]:
    """`frechet`, and the two quantities of this file, for images (n, 3, 28, 28) or (n, 2352).

    Values are in [-1, 1]; `name` is the data set of the classifier that is shown each channel by
    itself. The Frechet distance is that of its features of all three channels together, (n, 192).
    Of `real` the counts know nothing; a tensor that comes again as `real` is not classified anew.
    """
    checked(real, fake)
    real_features, _ = classified_once(features_and_classes, real, name)
    fake_features, classes = features_and_classes(fake, name)
    return {"frechet": frechet(real_features, fake_features), **stacked_counts(classes)}


def features_and_classes(images: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Features (n, 192) and likeliest classes (n, 3) of images (n, 3, 28, 28) or (n, 2352)."""
    if math.prod(images.shape[1:]) != CHANNELS * SIDE * SIDE:
        shape = tuple(images.shape)
        raise InputError(f"stacked images have 3 x 28 x 28 = 2352 values, got shape {shape}")
    channels = images.reshape(-1, SIDE * SIDE)
    features, probabilities = features_and_probabilities(channels, name)
    n = len(images)
    return features.reshape(n, -1), probabilities.argmax(1).reshape(n, CHANNELS)


def stacked_counts(classes: Tensor) -> dict[str, float]:
    """Distinct triples, and sum q log(1000 q) of their shares q, of `classes` (n, 3) from 0 to 9.

    A perfect sampler has all 1,000 and, because q are shares of a finite sample that are not
    smoothed, a divergence of about 999 / 2n: 0.019 at n = 26,000, to which the digits of MNIST,
    being not quite equally frequent, add 0.004. Srivastava et al. 2017 (VEEGAN); Lin et al. 2018
    (PacGAN); both at n = 26,000.
    """
    places = CLASSES ** torch.arange(CHANNELS, device=classes.device)
    counts = torch.bincount((classes * places).sum(1), minlength=MODES).double()
    share = counts / counts.sum()
    return {
        "stacked_modes": float((counts > 0).sum()),
        "stacked_kl": float(torch.xlogy(share, share * MODES).sum()),
    }
