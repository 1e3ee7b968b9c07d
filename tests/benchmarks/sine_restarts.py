"""Is the sine fit ever worse than the best of many restarts of SciPy's?

    python tests/benchmarks/sine_restarts.py [--curves 10000] [--restarts 20]

A third of the curves are clean sines of the task's family, a third such ones with noise of a
deviation up to 1, a sixth white noise, a sixth random walks. For each kind it prints on how many
`fit_sines` leaves a sum of squares that is more than 1e-6 above SciPy's best, by how much at worst,
and on how many SciPy's is that much above ours. 10,000 curves take SciPy most of an hour.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from scipy.optimize import curve_fit
from torch import Tensor

from ganbench.metrics import fit_sines

X = torch.linspace(-5, 5, 64).double()
B_RANGE, C_RANGE = (0.5, 2.0), (0.0, math.pi)
LIMITS = tuple(zip(B_RANGE, C_RANGE, strict=True))  # the lower ones, then the upper ones
SLACK = 1e-6

Jacobian = Callable[..., np.ndarray]


def curves(n: int) -> dict[str, Tensor]:
    """Curves (k, 64) by kind, n in all."""
    rng = torch.Generator().manual_seed(77)
    third, sixth = n // 3, n // 6
    u, v = torch.rand(2, n, 1, generator=rng, dtype=torch.float64)
    noise = torch.randn(n, 64, generator=rng, dtype=torch.float64)
    level = torch.rand(n, 1, generator=rng, dtype=torch.float64)
    sines = torch.sin((0.5 + 1.5 * u) * X + math.pi * v)
    return {
        "clean": sines[:third],
        "noisy": (sines + level * noise)[third : 2 * third],
        "white": noise[2 * third : 2 * third + sixth],
        "walk": noise[2 * third + sixth :].cumsum(1) / 4,
    }


def sine(x: np.ndarray, b: float, c: float) -> np.ndarray:
    return np.sin(b * x + c)


def slopes(x: np.ndarray, b: float, c: float) -> np.ndarray:
    cosine = np.cos(b * x + c)
    return np.stack([cosine * x, cosine], 1)


def best_of_restarts(
    y: np.ndarray, starts: Iterable[Sequence[float]], *, jac: Jacobian | None = slopes
) -> float:
    """The least sum of squares that `curve_fit` comes to; infinite where it always gives up."""
    x, least = X.numpy(), math.inf
    for start in starts:
        try:
            found, _ = curve_fit(sine, x, y, start, bounds=LIMITS, jac=jac)
        except RuntimeError:
            continue
        least = min(least, float(np.square(sine(x, *found) - y).sum()))
    return least


def main() -> None:
    """Fit all, print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=10_000)
    parser.add_argument("--restarts", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(5)
    print(f"{'kind':8}{'curves':>8}{'worse':>7}{'at worst':>11}{'better':>8}{'s':>9}{'SciPy s':>9}")
    for kind, rows in curves(options.curves).items():
        begin = time.perf_counter()
        ours = fit_sines(rows, x=X, b_range=B_RANGE, c_range=C_RANGE).sse.numpy()
        between = time.perf_counter()
        starts = rng.uniform(*LIMITS, (len(rows), options.restarts, 2))
        theirs = [best_of_restarts(y, s) for y, s in zip(rows.numpy(), starts, strict=True)]
        end = time.perf_counter()
        gaps = ours - np.array(theirs)
        print(
            f"{kind:8}{len(rows):8}{(gaps > SLACK).sum():7}{gaps.max():11.2g}"
            f"{(gaps < -SLACK).sum():8}{between - begin:9.3f}{end - between:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
