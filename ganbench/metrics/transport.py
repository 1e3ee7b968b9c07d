"""Optimal transport: the exact 2-Wasserstein distance, and its sliced form at any size."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench.metrics._inputs import checked, thinned
from ganbench.metrics._kept import part
from ganbench.metrics._pairs import squared_distances

QUANTITIES = {
    "wasserstein": ("lower", "exact 2-Wasserstein distance of 1,024 samples of each side"),
    "sliced_wasserstein": ("lower", "2-Wasserstein distance, root mean square over directions"),
}
SOURCES = {
    "wasserstein": "Peyre and Cuturi 2019, Computational optimal transport",
    "sliced_wasserstein": "Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters",
}
PROMISES = {
    "wasserstein": (
        "shift",
        "noise",
        "drop",
        "collapse",
        "dispersal",
        "symmetry",
        "translation",
        "rotation",
        "consistent",
    ),
    "sliced_wasserstein": (
        "shift",
        "noise",
        "drop",
        "collapse",
        "dispersal",
        "order",
        "symmetry",
        "translation",
        "consistent",
    ),
}

POINTS = 1024
MOST_PIVOTS = 10_000_000


def wasserstein(real: Tensor, fake: Tensor, *, points: int = POINTS) -> float:
    """Exact 2-Wasserstein distance of `real` (m, d) and `fake` (n, d), in the units of the data.

    The cost of exactness is cubic and the value for equal laws falls with n, so of each side a
    fixed random choice of `points` rows counts (of fewer, all): values at other sizes do not
    compare. Solved on the CPU by the network simplex of POT. Peyre and Cuturi 2019,
    "Computational optimal transport", eq. 2.11 and chapter 3.
    """
    real, fake = (thinned(side, points).double() for side in checked(real, fake, fewest=1))
    cost = squared_distances(real, fake).cpu().numpy()
    a, b = (np.full(size, 1 / size) for size in cost.shape)
    simplex = _network_simplex()
    _, squared, _, _, code = simplex.emd_c(a, b * (a.sum() / b.sum()), cost, MOST_PIVOTS, 1)
    simplex.check_result(code)  # warns where it has not come to the end
    return float(max(squared, 0.0) ** 0.5)


def _network_simplex() -> ModuleType:
    """POT's solver without the rest of POT, which imports half of SciPy and networkx: seconds.

    Empty packages stand for its parents while it is imported, and are gone then: who imports POT
    itself finds all that it exports. An author's own file may be called `ot` too.
    """
    name, parents = "ot.lp.emd_wrap", ("ot", "ot.lp", "ot.utils")
    if name in sys.modules:
        return sys.modules[name]
    hidden = {parent: sys.modules[parent] for parent in parents if parent in sys.modules}
    folder = Path(str(metadata.distribution("POT").locate_file("")))
    try:
        for parent in parents:
            sys.modules[parent] = package = ModuleType(parent)
            package.__path__ = [str(folder.joinpath(*parent.split(".")))]
        vars(package)["dist"] = _dist
        return importlib.import_module(name)
    finally:
        for parent in parents:
            del sys.modules[parent]
        sys.modules.update(hidden)


def _dist(*args: Any, **options: Any) -> Any:
    """POT's `dist`, for those who call what it is used by."""
    return importlib.import_module("ot.utils").dist(*args, **options)


def sliced_wasserstein(
    real: Tensor, fake: Tensor, *, directions: int = 128, seed: int = 0
) -> float:
    """Sliced 2-Wasserstein distance of `real` (m, d) and `fake` (n, d), in the units of the data.

    The directions are the same for everybody: drawn from `seed`. With m != n both quantile
    functions are read at the larger sample's levels. Not zero for two samples of one law: see
    the floor. Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters", JMIV 51.
    """
    real, fake = checked(real, fake, fewest=1)
    rng = torch.Generator().manual_seed(seed)
    axes = torch.randn(real.shape[1], directions, generator=rng).to(real)
    axes /= axes.norm(dim=0)
    n = max(len(real), len(fake))
    levels = part(real, ("quantiles", directions, seed, n), lambda: _quantiles(real @ axes, n))
    gap = levels - _quantiles(fake @ axes.to(fake), n)
    return float(gap.double().square().mean().sqrt())


def _quantiles(projected: Tensor, n: int) -> Tensor:
    """The sorted columns, stretched to n rows as an empirical quantile function is.

    Sorted by NumPy on the CPU, where torch, which also finds the order, takes five times as long.
    """
    ordered = torch.from_numpy(np.sort(projected.cpu().numpy(), axis=0))
    if len(ordered) == n:
        return ordered
    levels = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return ordered[(levels * len(ordered)).long().clamp_(max=len(ordered) - 1)]
