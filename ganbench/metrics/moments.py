"""Errors of the first two moments against the exact ones."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.metrics._inputs import checked

QUANTITIES = {
    "mean_error": ("lower", "distance of the mean to the true one, in true standard deviations"),
    "covariance_error": ("lower", "Frobenius distance to the true covariance, relative"),
    "covariance_error_axis1": ("lower", "relative error of the variance, widest principal axis"),
    "covariance_error_axis2": ("lower", "the same along the narrowest principal axis"),
}


def mean_error(real: Tensor, fake: Tensor, *, mean: Tensor, covariance: Tensor) -> float:
    """|mean(fake) - mean| / sqrt(trace(covariance)); `mean` (d,), `covariance` (d, d), exact.

    `real` is not looked at: the exact moments are known.
    """
    _, fake = checked(real, fake)
    gap = fake.double().mean(0) - mean.to(fake.device)
    return float(gap.norm() / covariance.trace().sqrt())


def covariance_error(
    real: Tensor, fake: Tensor, *, mean: Tensor, covariance: Tensor
) -> dict[str, float]:
    """|cov(fake) - covariance|_F / |covariance|_F, and along the widest and narrowest axis.

    The axes are the true covariance's first and last eigenvectors of non-zero variance; along
    axis v the error is |v'Cv - s| / s with s the true variance. A weak discriminator misses what
    lies along the narrow axis. `mean` and `covariance` are exact; `real` is not looked at.
    """
    _, fake = checked(real, fake)
    truth = covariance.to(fake.device)
    estimate = torch.cov(fake.double().T)
    variances, axes = torch.linalg.eigh(truth)
    along = torch.einsum("di,de,ei->i", axes, estimate, axes)
    relative = ((along - variances) / variances).abs()
    visible = torch.nonzero(variances > 1e-6 * variances[-1]).flatten()
    return {
        "covariance_error": float((estimate - truth).norm() / truth.norm()),
        "covariance_error_axis1": float(relative[-1]),
        "covariance_error_axis2": float(relative[visible[0]]),
    }
