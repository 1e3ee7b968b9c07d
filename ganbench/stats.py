"""Statistics over seeds: interquartile mean, bootstrap interval, the summary of an entry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ganbench.results import SeedResult, Summary

REPLICATES = 2_000


def iqm(values: Sequence[float] | NDArray[np.float64], axis: int | None = None) -> float:
    """Interquartile mean: the mean after a quarter is cut off at each end (Agarwal et al. 2021)."""
    return float(stats.trim_mean(np.asarray(values, dtype=float), 0.25, axis=axis))


def bootstrap_interval(
    values: Sequence[float], *, rng: np.random.Generator
) -> tuple[float, float] | None:
    """95 % percentile interval of the IQM over resampled seeds; None for fewer than two."""
    if len(values) < 2:
        return None
    data = np.asarray(values, dtype=float)
    index = rng.integers(len(data), size=(REPLICATES, len(data)))
    means = stats.trim_mean(data[index], 0.25, axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def summarise_values(values: Sequence[float]) -> Summary:
    """Mean, standard deviation over seeds, IQM and its interval (all None for no values)."""
    if not values:
        return Summary(mean=None, std=None, iqm=None, ci95=None)
    return Summary(
        mean=float(np.mean(values)),
        std=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        iqm=iqm(values),
        ci95=bootstrap_interval(values, rng=np.random.default_rng(0)),
    )


def summarise(seeds: Sequence[SeedResult], metrics: Sequence[str]) -> dict[str, Summary]:
    """The summary of an entry: each metric over its finished seeds, and the score over all.

    A diverged or failed seed counts as score 0; an interrupted one is not counted yet.
    """
    finished = [seed for seed in seeds if seed.status == "ok"]
    table = {}
    for name in metrics:
        values = [seed.metrics.get(name) for seed in finished]
        table[name] = summarise_values([value for value in values if value is not None])
    scores = [seed.score for seed in seeds if seed.score is not None]
    return {**table, "score": summarise_values(scores)}
