"""Fidelity and diversity apart, by balls around samples: precision, recall, density, coverage."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.errors import InputError
from ganbench.metrics._inputs import checked
from ganbench.metrics._kept import part
from ganbench.metrics._near import common_center, near_pairs, reach

QUANTITIES = {
    "precision": ("higher", "share of fakes within the k-nearest-neighbour ball of a real sample"),
    "recall": ("higher", "share of real samples within the k-nearest-neighbour ball of a fake"),
    "density": ("higher", "real balls that hold a fake, over k, on average; about 1 if perfect"),
    "coverage": ("higher", "share of real balls that hold a fake; about 1 - 2^-k if perfect"),
}
SOURCES = {
    "precision": "Kynkaanniemi et al. 2019, Improved precision and recall metric",
    "recall": "Kynkaanniemi et al. 2019, Improved precision and recall metric",
    "density": "Naeem et al. 2020, Reliable fidelity and diversity metrics",
    "coverage": "Naeem et al. 2020, Reliable fidelity and diversity metrics",
}
PROMISES = {
    "precision": ("shift", "noise", "fidelity", "order", "translation", "rotation"),
    "recall": ("drop", "coverage", "order", "translation", "rotation"),
    "density": ("shift", "noise", "fidelity", "order", "translation", "rotation", "unbiased"),
    "coverage": ("shift", "noise", "drop", "coverage", "order", "translation", "rotation"),
}


def precision_recall(real: Tensor, fake: Tensor, *, k: int = 5) -> dict[str, float]:
    """The four quantities of this file for `real` (m, d) and `fake` (n, d), in float64.

    A ball is closed and reaches from its sample to the k-th nearest other one of the same side;
    a copy is another one. Only values at equal sizes and equal `k` compare. Raises InputError
    unless both sides have more than `k` rows. Memory does not grow with m x n.
    Kynkaanniemi et al. 2019, "Improved precision and recall metric for assessing generative
    models", eq. 1-3; Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative
    models", section 3, whose code has open balls: only ties, so copies, tell the difference.
    """
    real, fake = checked(real, fake)
    most = min(len(real), len(fake)) - 1
    if not 1 <= k <= most:
        raise InputError(f"k must be from 1 to {most}, below the rows of either sample, got {k}")
    center = common_center(real, fake)
    real_reach = part(real, ("reach", k, center is None), lambda: reach(real, center, k))
    fake_reach = reach(fake, center, k)
    precise = torch.zeros_like(fake_reach, dtype=torch.bool)
    recalled, covered = (torch.zeros_like(real_reach, dtype=torch.bool) for _ in range(2))
    held = 0
    for i, j, squared in near_pairs(real, fake, center, real_reach, fake_reach):
        by_real, by_fake = squared <= real_reach[i], squared <= fake_reach[j]
        precise[j[by_real]] = True
        covered[i[by_real]] = True
        recalled[i[by_fake]] = True
        held += int(by_real.sum())
    return {
        "precision": float(precise.double().mean()),
        "recall": float(recalled.double().mean()),
        "density": held / (k * len(fake)),
        "coverage": float(covered.double().mean()),
    }
