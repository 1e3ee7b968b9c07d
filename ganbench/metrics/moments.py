"""Errors of the first two moments against the exact ones."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.metrics._inputs import checked

QUANTITIES = {
    "mean_error": ("lower", "distance of the mean to the true one, in true standard deviations"),
    "mean_error_axis1": ("lower", "the same along the widest principal axis, in its deviations"),
    "mean_error_axis2": ("lower", "the same along the narrowest principal axis"),
    "covariance_error": ("lower", "Frobenius distance to the true covariance, relative"),
    "covariance_error_axis1": ("lower", "relative error of the variance, widest principal axis"),
    "covariance_error_axis2": ("lower", "the same along the narrowest principal axis"),
}
PROMISES = {
    "mean_error": ("shift", "collapse", "order", "consistent"),
    "mean_error_axis1": ("order", "consistent"),
    "mean_error_axis2": ("order", "consistent"),
    "covariance_error": ("noise", "collapse", "dispersal", "order", "consistent"),
    "covariance_error_axis1": ("noise", "dispersal", "order", "consistent"),
    "covariance_error_axis2": ("noise", "dispersal", "order", "consistent"),
}

BLOCK = 4096  # rows
ALIKE = 1e-9  # relative difference of two variances, below which it is rounding


def mean_error(real: Tensor, fake: Tensor, *, mean: Tensor, covariance: Tensor) -> dict[str, float]:
    """|m - mean| / sqrt(trace(covariance)) of the mean m of `fake` (n, d), and along two axes.

    Along the widest and the narrowest principal axis v, of true variance s, the error is
    |v'(m - mean)| / sqrt(s). `mean` (d,) and `covariance` (d, d) are exact; `real` is not looked
    at.
    """
    _, fake = checked(real, fake)
    gap = mean_of(fake) - mean.to(fake.device)
    variances, axes = principal_axes(covariance.to(fake.device))
    along = (axes.T @ gap).abs() / variances.sqrt()
    return {
        "mean_error": float(gap.norm() / covariance.trace().sqrt()),
        "mean_error_axis1": float(along[1]),
        "mean_error_axis2": float(along[0]),
    }


def covariance_error(
    real: Tensor, fake: Tensor, *, mean: Tensor, covariance: Tensor
) -> dict[str, float]:
    """|C - covariance|_F / |covariance|_F of the covariance C of `fake` (n, d), and along two axes.

    Along the widest and the narrowest principal axis v, of true variance s, the error is
    |v'Cv - s| / s: a weak discriminator misses what lies along the narrow one. `mean` and
    `covariance` are exact; `real` is not looked at.
    """
    _, fake = checked(real, fake)
    truth = covariance.to(fake.device)
    excess = mean_and_covariance(fake)[1] - truth
    variances, axes = principal_axes(truth)
    along = torch.einsum("di,de,ei->i", axes, excess, axes).abs() / variances
    return {
        "covariance_error": float(excess.norm() / truth.norm()),
        "covariance_error_axis1": float(along[1]),
        "covariance_error_axis2": float(along[0]),
    }


def principal_axes(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The narrowest and the widest axis of a `covariance` (d, d): variances (2,), axes (d, 2).

    Axes without variance, which rounding makes look like 1e-16, do not count as the narrowest.
    Of several that are equally narrow or wide, it is one that no rounding chooses (`_settled`).
    """
    variances, axes = torch.linalg.eigh(covariance)
    narrowest = int(torch.nonzero(variances > 1e-6 * variances[-1])[0])
    ends = [_settled(variances, axes, narrowest, first=True), _settled(variances, axes, -1)]
    return variances[[narrowest, -1]], torch.stack(ends, 1)


def _settled(variances: Tensor, axes: Tensor, which: int, *, first: bool = False) -> Tensor:
    """Axis (d,) `which`, or of all with its variance one that does not depend on the machine.

    Any turn of them is as good to an eigensolver. It is the one nearest to the first coordinate's
    axis that lies near their space, or to the last one's.
    """
    alike = axes[:, (variances / variances[which] - 1).abs() < ALIKE]
    if alike.shape[1] == 1:
        return axes[:, which]
    shadow = alike @ alike.T  # of the coordinates' axes on that space
    # Some coordinate has as much of it as the mean one.
    near = torch.nonzero(shadow.diagonal() > 0.5 * alike.shape[1] / len(axes))[:, 0]
    axis = shadow[:, near[0 if first else -1]]
    settled: Tensor = axis / axis.norm()
    return settled


def mean_of(samples: Tensor) -> Tensor:
    """Mean (d,) of `samples` (n, d) in float64, into which no more than a block is copied."""
    sums = [rows.sum(0, dtype=torch.float64) for rows in samples.split(BLOCK)]
    return torch.stack(sums).sum(0) / len(samples)


def mean_and_covariance(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and unbiased covariance (d, d) of `samples` (n, d), n > 1, in float64.

    Two passes in blocks of rows: exact for a mean far from 0, and without a copy in float64.
    """
    mean = mean_of(samples)
    total = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=samples.device)
    for rows in samples.split(BLOCK):
        centered = rows - mean
        total.addmm_(centered.T, centered)
    return mean, total / (len(samples) - 1)
