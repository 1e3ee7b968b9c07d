"""Mode coverage and quality on mixtures of well-separated Gaussians."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganbench.metrics._inputs import checked

QUANTITIES = {
    "modes": ("higher", "modes with at least one sample within 3 sigma"),
    "modes_10pct": ("higher", "modes with at least a tenth of their due share within 3 sigma"),
    "high_quality": ("higher", "share of samples within 3 sigma of a mode; 0.98889 if perfect"),
    "reverse_kl": (
        "lower",
        "KL divergence of the counts over modes from their due shares, in nats",
    ),
    "modes_2500": ("higher", "modes with at least one of the first 2,500 samples within 3 sigma"),
    "high_quality_2500": ("higher", "share of the first 2,500 samples within 3 sigma of a mode"),
    "reverse_kl_2500": (
        "lower",
        "KL divergence of their counts from the due shares of modes, in nats",
    ),
}
SOURCES = {
    "modes": "Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN)",
    "modes_10pct": "Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN)",
    "high_quality": "Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN)",
    "reverse_kl": "Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN)",
}
PROMISES = {
    "modes": ("drop", "coverage", "order"),
    "modes_10pct": ("shift", "noise", "drop", "coverage", "order"),
    "high_quality": ("shift", "noise", "fidelity", "order", "unbiased"),
    "reverse_kl": ("drop", "coverage", "order", "consistent"),
    "modes_2500": (),
    "high_quality_2500": (),
    "reverse_kl_2500": (),
}
WITHIN = -math.expm1(-4.5)  # share of a mode's samples that are within 3 sigma in the plane
PUBLISHED = 2_500  # samples behind the figures of VEEGAN and PacGAN: all three depend on it


def mixture_modes(
    real: Tensor,
    fake: Tensor,
    *,
    centers: Tensor,
    sigma: float,
    weights: Tensor | None = None,
    extent: int | None = None,
) -> dict[str, float]:
    """Counts over the modes of a mixture with `centers` (K, d), of equal `weights` if None.

    A sample is of high quality if its nearest centre is within 3 `sigma`. A perfect sampler in
    the plane has 1 - exp(-9/2) = 98.889 % of them; more is under-dispersion, not quality. In other
    dimensions the distance is that within which a perfect sampler has as many (`reach`), of modes
    that extend in `extent` dimensions alone, if not in all d.
    `reverse_kl` is sum p log(p / w) over the high-quality counts (log K if there are none).
    Those of the first 2,500 samples, as published, are named so and left out where there are fewer.
    Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN), for equal weights in the plane.
    `real` is not looked at.
    """
    _, fake = checked(real, fake)
    modes, n = len(centers), len(fake)
    rarity = modes if weights is None else 1 / weights.to(fake.device).double()
    distance, nearest = torch.cdist(fake.double(), centers.to(fake).double()).min(dim=1)
    good = distance <= reach(extent or centers.shape[1]) * sigma
    counts = torch.bincount(nearest[good], minlength=modes).double()
    enough = counts >= 0.1 * n / rarity
    found = {**_shares(counts, good, rarity), "modes_10pct": float(enough.sum())}
    if n >= PUBLISHED:
        few = good[:PUBLISHED]
        counts = torch.bincount(nearest[:PUBLISHED][few], minlength=modes).double()
        published = _shares(counts, few, rarity)
        found |= {f"{name}_{PUBLISHED}": value for name, value in published.items()}
    return found


def reach(dimensions: int) -> float:
    """How far from its centre, in sigma, a sample belongs to a mode: 3 in the plane."""
    if dimensions == 2:
        return 3.0
    from scipy.special import gammaincinv  # slow to import

    return math.sqrt(2 * gammaincinv(dimensions / 2, WITHIN))


def _shares(counts: Tensor, good: Tensor, rarity: Tensor | int) -> dict[str, float]:
    """What the counts of modes (K,) say, of samples that are `good` or not.

    The `rarity` of a mode is one over its due share.
    """
    share = counts / counts.sum().clamp(min=1)
    most = math.log(torch.as_tensor(rarity).max())  # that of samples which are all of the rarest
    kl = float(torch.xlogy(share, share * rarity).sum()) if good.any() else most
    return {
        "modes": float((counts > 0).sum()),
        "high_quality": float(good.double().mean()),
        "reverse_kl": kl,
    }
