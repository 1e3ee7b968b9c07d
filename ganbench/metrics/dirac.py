"""How far samples are from the only point of a law."""

from __future__ import annotations

from torch import Tensor

from ganbench.metrics._inputs import checked

QUANTITIES = {
    "dirac_distance": ("lower", "mean distance of samples from 0, the only point of the data"),
}
SOURCES = {
    "dirac_distance": "Mescheder et al. 2018",
}
PROMISES = {
    "dirac_distance": ("shift", "noise", "order"),
}


def dirac_distance(real: Tensor, fake: Tensor) -> float:
    """Mean Euclidean norm of `fake` (n, d); raises InputError for what `checked` refuses."""
    _, fake = checked(real, fake)
    return float(fake.double().norm(dim=1).mean())
