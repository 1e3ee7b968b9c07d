"""Whether fakes are copies of training samples: distances to the nearest of them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from ganbench.metrics._inputs import checked, thinned
from ganbench.metrics._near import common_center, nearest

QUANTITIES = {
    "memorisation": (
        "lower",
        "chance that a fake is nearer to the training set than held-out data; 0.5 is ideal",
    ),
}
SOURCES = {
    "memorisation": "Meehan et al. 2020, A non-parametric test to detect data-copying",
}
PROMISES = {"memorisation": ("copies",)}

LIMIT = 1000  # samples of each side; the standard error of equal laws is then 0.013

Training = Callable[[], Tensor]


def memorisation(real: Tensor, fake: Tensor, *, training: Training) -> float:
    """P(d(fake) < d(real)), ties counting half, of distances d to the nearest training sample.

    0.5 is ideal: fakes lie as near to the training set as held-out `real` does; 1 means copies of
    it, 0 that all fakes lie farther away than any real sample. It is the Mann-Whitney statistic
    U / (n m) of 1,000 of each side, in the Euclidean distance of the samples as given,
    flattened. `training` returns the samples (N, ...) that the GAN may learn from, the same on
    every call; none of `real` may be among them. Pass one object, not a new lambda each time: the
    distances of `real` are kept for it. The statistic is that of Meehan et al. 2020, "A
    non-parametric test to detect data-copying in generative models", in one cell.
    """
    real, fake = (thinned(side, LIMIT).double() for side in checked(real, fake, fewest=1))
    held_out = _held_out_distances(real.cpu().numpy().tobytes(), real.shape[1], training)
    gaps = held_out[:, None] - nearest_distances(fake, training()).cpu()
    return float((1 + gaps.sign().mean()) / 2)


@functools.lru_cache(maxsize=2)
def _held_out_distances(content: bytes, width: int, training: Training) -> Tensor:
    """Distances of the float64 rows in `content`: the reference is the same in every evaluation.

    The key is the content itself (6 MB), so another or a changed tensor is never taken for it.
    """
    real = torch.frombuffer(bytearray(content), dtype=torch.float64).reshape(-1, width)
    return nearest_distances(real, training())


def nearest_distances(samples: Tensor, training: Tensor) -> Tensor:
    """Euclidean distance of each of `samples` (n, ...) to the nearest of `training` (N, ...).

    Float64, shape (n,), and exact in it: 0 for a copy alone. Memory does not grow with n x N.
    """
    x, y = samples.flatten(1), training.flatten(1)
    return nearest(x, y, common_center(y, x)).sqrt()
