"""Metrics beside other people's code for the same quantity: they agree, and what each costs.

    python -m pytest --benchmark-enable --benchmark-only tests/benchmarks/test_metrics.py

prints the ratios: seconds of the other side by ours, in alternation, medians of ROUNDS, on one
thread and on two; where the other side does a part of the work, its seconds are those of all.
Without `--benchmark-enable` the same runs on a few samples, as a test.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor

from ganbench import metrics
from ganbench.registry import load

from .. import peers
from .sine_restarts import B_RANGE, C_RANGE, LIMITS, X, best_of_restarts

ROUNDS = 5
LONG = 20  # seconds, after which no further round begins
RESTARTS = 20

Side = Callable[[], object]


@dataclass(frozen=True)
class Duel:
    """Our side, the other one, and how many times the other's work ours is."""

    ours: Side
    theirs: Side
    agree: Callable[[object, object], bool]
    share: float = 1.0


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def pair(n: int, d: int) -> tuple[Tensor, Tensor]:
    return normal(n, d, 0), 1.1 * normal(n, d, 1) + 0.2


def close(relative: float) -> Callable[[object, object], bool]:
    return lambda ours, theirs: ours == pytest.approx(theirs, rel=relative, abs=1e-9)


def unbiased(within: np.ndarray) -> float:
    return float((within.sum() - np.trace(within)) / (len(within) * (len(within) - 1)))


def by_kernels(real: Tensor, fake: Tensor, kernel: Callable[..., np.ndarray]) -> float:
    """Unbiased MMD^2 from scikit-learn's whole kernel matrices."""
    x, y = real.double().numpy(), fake.double().numpy()
    return unbiased(kernel(x, x)) + unbiased(kernel(y, y)) - 2 * float(kernel(x, y).mean())


def mmd(n: int, d: int) -> Duel:
    """All widths of a task, against a sum of scikit-learn's `rbf_kernel`."""
    real, fake = pair(n, d)
    widths = metrics.kernel_widths(real, finest=0.01)

    def theirs() -> float:
        return sum(
            by_kernels(real, fake, lambda x, y, w=w: rbf_kernel(x, y, 1 / (2 * w**2)))
            for w in widths
        )

    return Duel(lambda: metrics.mmd(real, fake, widths=widths), theirs, close(1e-4))


def kid_sklearn(n: int, d: int) -> Duel:
    real, fake = pair(n, d)

    def theirs() -> float:
        return by_kernels(real, fake, lambda x, y: polynomial_kernel(x, y, 3, 1 / d, 1))

    return Duel(lambda: metrics.kid(real, fake), theirs, close(1e-6))


def kid_fidelity(n: int, d: int) -> Duel:
    real, fake = pair(n, d)
    peers.torch_fidelity()
    from torch_fidelity.metric_kid import kid_features_to_metric

    def theirs() -> float:
        options = {"kid_subsets": 1, "kid_subset_size": n, "verbose": False}
        found = kid_features_to_metric(real.double(), fake.double(), **options)
        return found["kernel_inception_distance_mean"]

    return Duel(lambda: metrics.kid(real, fake), theirs, close(1e-6))


def precision_recall(n: int, d: int) -> Duel:
    real, fake = pair(n, d)

    def theirs() -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            return compute_prdc(real.double().numpy(), fake.double().numpy(), 5)

    return Duel(lambda: metrics.precision_recall(real, fake), theirs, close(1e-9))


def two_sample(n: int, d: int) -> Duel:
    """Five folds of scikit-learn's network of two layers of 10 d, as sbibm's c2st has them."""
    real, fake = pair(n, d)
    data = torch.cat([real, fake]).numpy()
    data = (data - real.numpy().mean(0)) / real.numpy().std(0)
    label = np.repeat([0, 1], n)
    network = MLPClassifier((10 * d, 10 * d), max_iter=1000, random_state=0)

    def theirs() -> float:
        return float(cross_val_score(network, data, label, cv=shuffled(len(data))).mean())

    def agree(ours: object, other: object) -> bool:
        return abs(ours["discriminator_accuracy"] - other) < 0.05 + 1 / n**0.5

    return Duel(lambda: metrics.discriminator_test(real, fake), theirs, agree)


def shuffled(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    folds = np.array_split(np.random.default_rng(0).permutation(n), 5)
    return [(np.concatenate(folds[:i] + folds[i + 1 :]), folds[i]) for i in range(5)]


def sine_fit(n: int, restarts: int) -> Duel:
    """n noisy curves, against the best of some starts of `curve_fit` for n / 64 of them."""
    task = load("tasks", "sine")
    curves = task.sample(n, torch.Generator().manual_seed(0)) + 0.1 * normal(n, 64, 1)
    some = curves[: max(2, n // 64)].double().numpy()
    starts = np.random.default_rng(0).uniform(*LIMITS, (restarts, 2))

    def ours() -> np.ndarray:
        found = metrics.fit_sines(curves, x=X, b_range=B_RANGE, c_range=C_RANGE)
        return found.sse.numpy()

    return Duel(
        ours,
        lambda: np.array([best_of_restarts(y, starts, jac=None) for y in some]),
        lambda mine, other: bool((mine[: len(other)] <= other + 1e-6).all()),
        share=n / len(some),
    )


# Name, duel, and its size and second number: as a test, and as a measurement.
DUELS = {
    "mmd, d = 2, by scikit-learn": (mmd, (300, 2), (10_000, 2)),
    "mmd, d = 64, by scikit-learn": (mmd, (300, 64), (10_000, 64)),
    "kid, d = 64, by scikit-learn": (kid_sklearn, (300, 64), (10_000, 64)),
    "kid, d = 64, by torch-fidelity": (kid_fidelity, (300, 64), (10_000, 64)),
    "precision_recall, d = 64, by prdc": (precision_recall, (300, 64), (10_000, 64)),
    "two-sample, d = 2, by scikit-learn": (two_sample, (300, 2), (4096, 2)),
    "two-sample, d = 64, by scikit-learn": (two_sample, (200, 8), (1000, 64)),
    "sine fit, best of 20 curve_fit": (sine_fit, (64, RESTARTS), (4096, RESTARTS)),
    "sine fit, one curve_fit": (sine_fit, (64, 1), (4096, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DUELS)
def test_duel(name, benchmark, capsys):
    make, small, large = DUELS[name]
    duel = make(*(small if benchmark.disabled else large))
    with threadpool_limits(1):
        ours, theirs = benchmark.pedantic(duel.ours, rounds=1, warmup_rounds=1), duel.theirs()
    assert duel.agree(ours, theirs)
    if benchmark.disabled:
        return
    for threads in (1, 2):
        line = measured(duel, threads)
        with capsys.disabled():
            print(f"\n{name:38}{threads} threads  {line}")


def measured(duel: Duel, threads: int) -> str:
    """The seconds of both sides on so many threads, and their ratio."""
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        while len(pairs) < ROUNDS and (not pairs or time.perf_counter() - start < LONG):
            pairs.append((seconds(duel.ours), duel.share * seconds(duel.theirs)))
        torch.set_num_threads(1)
    ratios = sorted(other / mine for mine, other in pairs)
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    spread = f"{ratios[0]:.1f} to {ratios[-1]:.1f}"
    return f"{mine:9.4f} s {other:9.3f} s  ratio {statistics.median(ratios):.1f} ({spread})"


def seconds(side: Side) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start
