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
    "reverse_kl": ("lower", "KL divergence of the counts over modes from uniform, in nats"),
    "modes_2500": ("higher", "modes with at least one of the first 2,500 samples within 3 sigma"),
    "high_quality_2500": ("higher", "share of the first 2,500 samples within 3 sigma of a mode"),
    "reverse_kl_2500": ("lower", "KL divergence of their counts over modes from uniform, in nats"),
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
PUBLISHED = 2_500  # samples behind the figures of VEEGAN and PacGAN: all three depend on it


def mixture_modes(real: Tensor, fake: Tensor, *, centers: Tensor, sigma: float) -> dict[str, float]:
    """Counts over the modes of a mixture with `centers` (K, d) and equal weights.

    A sample is of high quality if its nearest centre is within 3 `sigma`. A perfect sampler in
    the plane has 1 - exp(-9/2) = 98.889 % of them; more is under-dispersion, not quality.
    `reverse_kl` is sum p log(K p) over the high-quality counts (log K if there are none).
    Those of the first 2,500 samples, as published, are named so and left out where there are fewer.
    Srivastava et al. 2017 (VEEGAN); Lin et al. 2018 (PacGAN). `real` is not looked at.
    """
    _, fake = checked(real, fake)
    modes, n = len(centers), len(fake)
    distance, nearest = torch.cdist(fake.double(), centers.to(fake).double()).min(dim=1)
    good = distance <= 3 * sigma
    counts = torch.bincount(nearest[good], minlength=modes).double()
    found = {**_shares(counts, good), "modes_10pct": float((counts >= 0.1 * n / modes).sum())}
    if n >= PUBLISHED:
        few = good[:PUBLISHED]
        counts = torch.bincount(nearest[:PUBLISHED][few], minlength=modes).double()
        found |= {f"{name}_{PUBLISHED}": value for name, value in _shares(counts, few).items()}
    return found


def _shares(counts: Tensor, good: Tensor) -> dict[str, float]:
    """What the counts of modes (K,) say, of samples that are `good` or not."""
    modes = len(counts)
    share = counts / counts.sum().clamp(min=1)
    kl = float(torch.xlogy(share, share * modes).sum()) if good.any() else math.log(modes)
    return {
        "modes": float((counts > 0).sum()),
        "high_quality": float(good.double().mean()),
        "reverse_kl": kl,
    }
