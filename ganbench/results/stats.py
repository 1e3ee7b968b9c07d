"""Statistics over seeds: what an entry scores, how sure that is, and what it can be told from.

Scores are higher where they are better. Those of an entry are an array of its seeds on a task, or
a list of such arrays, one for each task. The estimators are those of Agarwal et al. 2021, "Deep
reinforcement learning at the edge of the statistical precipice".
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganbench.results.schema import SeedResult, Summary

Floats = NDArray[np.float64]

REPLICATES = 2_000
TRIM = 0.25  # cut off at each end by the interquartile mean
ALPHA = 0.05
MOST_SEEDS = 10_000  # that a power analysis asks for
CERTAIN = 30  # standard errors, which even two seeds find with a chance above 0.8


def iqm(values: ArrayLike) -> float:
    """Interquartile mean: the mean after a quarter is cut off at each end."""
    ordered = np.sort(np.ravel(values))
    cut = int(TRIM * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())


def optimality_gap(scores: ArrayLike) -> float:
    """How far the scores are from 1 on average, where those above count as 1."""
    return float(1 - np.minimum(np.ravel(scores), 1).mean())


def probability_of_improvement(x: Sequence[ArrayLike], y: Sequence[ArrayLike]) -> float:
    """Chance that a seed of x scores higher than one of y, ties half; the mean over tasks.

    Mann-Whitney's U by the number of pairs.
    """
    shares = []
    for mine, theirs in zip(x, y, strict=True):
        difference = np.subtract.outer(np.asarray(mine), np.asarray(theirs))
        shares.append(((difference > 0) + 0.5 * (difference == 0)).mean())
    return float(np.mean(shares))


def performance_profile(scores: ArrayLike, levels: ArrayLike) -> Floats:
    """Share of the scores above each of the levels (n,)."""
    ordered = np.sort(np.ravel(scores))
    above = len(ordered) - np.searchsorted(ordered, np.asarray(levels), side="right")
    return np.asarray(above / len(ordered))


def resampled(
    seeds: Sequence[int], *, rng: np.random.Generator, replicates: int = REPLICATES
) -> NDArray[np.int16]:
    """How often each seed is drawn when each task's are resampled: (replicates, sum of `seeds`).

    `seeds` are their numbers on each task. Entries given the same table are compared in pairs.
    """
    each = [rng.multinomial(n, np.full(n, 1 / n), size=replicates) for n in seeds]
    return np.concatenate(each, axis=1).astype(np.int16)


def resampled_iqms(scores: ArrayLike, counts: NDArray[np.int16]) -> Floats:
    """The interquartile means (entries, replicates) of resampled scores (entries, n).

    `counts` (replicates, n) are those of `resampled`. A value that is drawn several times counts as
    often, as far as it lies between the cuts.
    """
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    n = values.shape[1]
    cut, drawn = int(TRIM * n), np.ascontiguousarray(counts.T)
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    found = np.empty((len(values), len(counts)))
    for mine, steps, row in zip(order, np.diff(ordered, axis=1), found, strict=True):
        # Summed by parts: the weight of all values up to one, times the step to the next.
        reached = np.cumsum(drawn[mine[:-1]], axis=0, dtype=np.int16)
        row[:] = steps @ np.clip(reached, cut, n - cut).astype(np.float64)
    ends = ordered[:, -1:] * (n - cut) - ordered[:, :1] * cut
    return np.asarray((ends - found) / (n - 2 * cut))


def resampled_means(scores: ArrayLike, counts: NDArray[np.int16]) -> Floats:
    """The means (entries, replicates) of resampled scores (entries, n), as `resampled_iqms`."""
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    return np.asarray(values @ counts.T.astype(np.float64) / values.shape[1])


def interval(replicates: Floats) -> tuple[float, float]:
    """95 % percentile interval."""
    low, high = np.percentile(replicates, [2.5, 97.5])
    return float(low), float(high)


def rank_intervals(replicates: ArrayLike) -> NDArray[np.int64]:
    """95 % intervals (entries, 2) of the ranks that entries have in replicates (entries, n).

    Equals have every rank that they share.
    """
    scores = np.asarray(replicates).T
    best, worst = np.empty(scores.shape, np.int32), np.empty(scores.shape, np.int32)
    places = np.arange(1, scores.shape[1] + 1, dtype=np.int32)
    for row, first, last in zip(scores, best, worst, strict=True):
        order = np.argsort(-row)
        new = np.append(True, np.diff(row[order]) != 0)
        if new.all():
            first[order] = last[order] = places
            continue
        run = np.cumsum(new) - 1
        starts = places[new]
        first[order] = starts[run]
        last[order] = np.append(starts[1:] - 1, places[-1])[run]
    low = np.percentile(best, 2.5, axis=0, method="inverted_cdf")
    high = np.percentile(worst, 97.5, axis=0, method="inverted_cdf")
    return np.stack([low, high], axis=1).astype(np.int64)


def p_values(
    differences: ArrayLike, deviations: ArrayLike, seeds: ArrayLike
) -> NDArray[np.float64]:
    """Two-sided p-values of differences (n,) of means over tasks of interquartile means.

    `deviations` (tasks, n) are those of the differences of resampled means of each task, of so many
    `seeds` (tasks, n). They are too small by sqrt((seeds - 1) / seeds) and themselves uncertain:
    hence Student's t, not the percentiles, that reject too often with ten seeds and cannot tell of
    the small levels of many comparisons. Without any deviation p is 1 for equals and else 0.

    Exchanging the scores of two entries seed by seed would be exact, but for the law of the scores,
    not for the interquartile means: see `test_exchanges_would_claim_too_much`.
    """
    from scipy import stats  # slow to import, as below

    apart = np.abs(np.asarray(differences, dtype=np.float64))
    each = _unbiased(deviations, seeds)
    spread = _of_mean(each)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(apart > 0, apart / spread, 0.0)
    return np.asarray(2 * stats.t.sf(t, freedom(each, seeds)))


def _unbiased(deviations: ArrayLike, seeds: ArrayLike) -> Floats:
    """Deviations of means of so many seeds, from those of resampled ones, which are too small."""
    n = np.asarray(seeds, dtype=np.float64)
    return np.asarray(np.asarray(deviations) * np.sqrt(n / np.maximum(1, n - 1)))


def _of_mean(each: Floats) -> Floats:
    """The deviation of a mean over tasks (tasks, n), from those of each."""
    return np.asarray(np.sqrt(np.square(each).sum(axis=0)) / len(each))


def freedom(deviations: Floats, seeds: ArrayLike) -> Floats:
    """The degrees of freedom of a mean over tasks: those of one task's seeds to those of all.

    `deviations` (tasks, n) of means of so many `seeds` (tasks, n). Welch 1947 and Satterthwaite
    1946: what varies most counts most.
    """
    squares, own = np.square(deviations), np.maximum(1, np.asarray(seeds) - 1)
    total, parts = squares.sum(axis=0) ** 2, (np.square(squares) / own).sum(axis=0)
    fewest = np.broadcast_to(own, squares.shape).min(axis=0).astype(np.float64)
    return np.asarray(np.divide(total, parts, out=fewest, where=parts > 0))


def holm(values: ArrayLike) -> Floats:
    """Holm's step-down adjustment of p-values (n,), against finding something by trying often."""
    p = np.asarray(values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty_like(p)
    result[order] = np.minimum(adjusted, 1)
    return result


def tie_groups(scores: ArrayLike, replicates: ArrayLike, *, seeds: ArrayLike) -> NDArray[np.int64]:
    """The group of each entry, 1 for the best: all that its leader cannot be told from.

    `scores` (entries,) are means over tasks of interquartile means, `replicates` (tasks, entries,
    n) resampled ones of each task, of so many `seeds` (tasks, entries). A pair has the fewer ones.
    The leader has the highest score of those that are left; the others are compared with it in
    pairs, at 5 % after Holm's adjustment, and those told apart form the next groups.
    """
    points, drawn = np.asarray(scores, dtype=np.float64), np.asarray(replicates)
    many = np.asarray(seeds)
    centred = drawn - drawn.mean(axis=2, keepdims=True)
    variances = np.einsum("tij,tij->ti", centred, centred)
    groups = np.zeros(len(points), dtype=np.int64)
    left, group = np.argsort(-points, kind="stable"), 0
    while len(left):
        group += 1
        leader, rest = left[0], left[1:]
        shared = np.matmul(centred, centred[:, leader, :, None])[:, rest, 0]
        leaders = variances[:, leader, None]
        spread = leaders + variances[:, rest] - 2 * shared
        spread[spread < 1e-12 * leaders] = 0  # what rounding leaves of equals
        deviations = np.sqrt(spread / centred.shape[2])
        apart = points[leader] - points[rest]
        fewer = np.minimum(many[:, leader, None], many[:, rest])
        tied = holm(p_values(apart, deviations, fewer)) >= ALPHA
        groups[leader] = group
        groups[rest[tied]] = group
        left = rest[~tied]
    return groups


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two entries by the seeds that both have: the first's score less the second's.

    `difference` is that of the means over tasks of interquartile means, as the board ranks by,
    `improvement` the chance that a seed of the first is better, `seeds_needed` how many a task
    would tell them apart in four of five trials; None if more than 10,000 would not.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    improvement: float
    seeds: int
    seeds_needed: int | None

    @property
    def told_apart(self) -> bool:
        """At 5 %."""
        return self.p_value < ALPHA

    def reversed(self) -> Comparison:
        """The second's score less the first's."""
        low, high = self.interval
        return replace(
            self,
            difference=-self.difference,
            interval=(-high, -low),
            improvement=1 - self.improvement,
        )


def compare(
    x: Sequence[ArrayLike],
    y: Sequence[ArrayLike],
    *,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> Comparison:
    """Compare two entries on tasks, in pairs: equally many seeds of both, in the same order."""
    pairs = [
        np.stack([np.asarray(side, float) for side in task]) for task in zip(x, y, strict=True)
    ]
    seeds = np.array([[pair.shape[1]] for pair in pairs])
    found = []
    for pair in pairs:
        first, second = resampled_iqms(
            pair, resampled([pair.shape[1]], rng=rng, replicates=replicates)
        )
        found.append(first - second)
    difference = float(np.mean([iqm(mine) - iqm(theirs) for mine, theirs in pairs]))
    again, deviations = np.stack(found), np.std(found, axis=1, keepdims=True)
    of_one = _unbiased(deviations, seeds) * np.sqrt(seeds)
    tasks = float(freedom(of_one, 2 * np.ones_like(seeds))[0])  # as many of one deviation
    return Comparison(
        difference=difference,
        interval=interval(again.mean(axis=0)),
        p_value=float(p_values([difference], deviations, seeds)[0]),
        improvement=probability_of_improvement(x, y),
        seeds=int(seeds.min()),
        seeds_needed=seeds_needed(difference, float(_of_mean(of_one)[0]), tasks),
    )


def seeds_needed(difference: float, deviation: float, tasks: float = 1.0) -> int | None:
    """Seeds a task with which a two-sided 5 % t-test finds the difference with a chance of 0.8.

    `deviation` is that of one seed's difference, so that of n seeds' is 1 / sqrt(n) of it, and
    `tasks` times n - 1 the degrees of freedom: see `freedom`.
    """
    if deviation == 0:
        return 2 if difference else None
    from scipy import optimize, stats

    def lacking(n: float) -> float:
        own, shift = tasks * (n - 1), abs(difference) / deviation * np.sqrt(n)
        if shift > CERTAIN:  # for SciPy it is too much
            return -0.2
        critical = stats.t.isf(ALPHA / 2, own)
        return 0.8 - float(stats.nct.sf(critical, own, shift))

    if lacking(MOST_SEEDS) > 0:
        return None
    return 2 if lacking(2) <= 0 else int(np.ceil(optimize.brentq(lacking, 2, MOST_SEEDS)))


@dataclass(frozen=True, kw_only=True)
class TimeToQuality:
    """How long several runs take to a quality; those that miss it are censored, not infinite.

    `restricted_mean` is the area under Kaplan and Meier's curve up to the horizon, `par2` the mean
    where a run that misses counts as twice the horizon, `reached` the share that does not.
    """

    restricted_mean: float
    par2: float
    reached: float


def time_to_quality(times: ArrayLike, reached: ArrayLike, *, horizon: float) -> TimeToQuality:
    """The time to quality of runs that reached it at `times`, or were last seen without it then.

    A run counts as censored at the horizon if it is later.
    """
    seen = np.minimum(np.asarray(times, dtype=np.float64), horizon)
    done = np.asarray(reached) & (np.asarray(times) <= horizon)
    order = np.lexsort((~done, seen))  # of the same moment those that get there come first
    alive = np.cumprod(1 - done[order] / np.arange(len(seen), 0, -1))
    steps = np.diff(seen[order], prepend=0, append=horizon)
    return TimeToQuality(
        restricted_mean=float(steps @ np.append(1, alive)),
        par2=float(np.where(done, seen, 2 * horizon).mean()),
        reached=float(done.mean()),
    )


@functools.lru_cache(maxsize=32)
def _table(n: int) -> NDArray[np.int16]:
    """The resampling of n seeds behind every interval of a summary."""
    return resampled([n], rng=np.random.default_rng(0))


def summarise_values(values: Sequence[float]) -> Summary:
    """Mean, standard deviation over seeds, IQM and its interval (all None for no values)."""
    if not values:
        return Summary(mean=None, std=None, iqm=None, ci95=None)
    several = len(values) > 1
    counts = _table(len(values)) if several else None
    return Summary(
        mean=float(np.mean(values)),
        std=float(np.std(values, ddof=1)) if several else None,
        iqm=iqm(values),
        ci95=None if counts is None else interval(resampled_iqms(values, counts)),
    )


def summarise(seeds: Sequence[SeedResult], metrics: Sequence[str]) -> dict[str, Summary]:
    """The summary of an entry: each metric over its finished seeds, and the score over all.

    A diverged or failed seed has the worst score; an interrupted one is not counted yet.
    """
    finished = [seed for seed in seeds if seed.status == "ok"]
    table = {}
    for name in metrics:
        values = [seed.metrics.get(name) for seed in finished]
        table[name] = summarise_values([value for value in values if value is not None])
    scores = [seed.score for seed in seeds if seed.score is not None]
    return {**table, "score": summarise_values(scores)}


def summarise_views(seeds: Sequence[SeedResult], views: Iterable[str]) -> dict[str, Summary]:
    """The position of each view over the seeds that have one, as the score's summary."""
    found = {view: [seed.views[view] for seed in seeds] for view in views}
    return {
        view: summarise_values([value for value in values if value is not None])
        for view, values in found.items()
    }
