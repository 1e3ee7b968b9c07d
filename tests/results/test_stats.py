"""The board's statistics, against SciPy, definitions spelled out, and laws that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats as scipy_stats

from ganbench.results import stats

SCORES = arrays.arrays(float, st.integers(2, 12), elements=st.floats(-5, 5, width=16))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(SCORES, SCORES)
def test_estimators(x, y):
    assert stats.iqm(x) == pytest.approx(scipy_stats.trim_mean(x, 0.25))
    assert stats.optimality_gap(x) == pytest.approx(1 - sum(min(v, 1) for v in x) / len(x))
    u = scipy_stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
    assert stats.probability_of_improvement([x], [y]) == pytest.approx(u)
    assert stats.probability_of_improvement([x, y], [y, x]) == pytest.approx(0.5)
    levels = [-6.0, *x, 6.0]
    expected = [sum(v > level for v in x) / len(x) for level in levels]
    assert stats.performance_profile(x, levels) == pytest.approx(expected)


def test_resampling_is_stratified_and_explicitly_seeded():
    counts = stats.resampled([3, 5], rng=rng(), replicates=500)
    assert counts.shape == (500, 8)
    assert np.all(counts[:, :3].sum(1) == 3)
    assert np.all(counts[:, 3:].sum(1) == 5)
    assert np.array_equal(counts, stats.resampled([3, 5], rng=rng(), replicates=500))
    assert not np.array_equal(counts, stats.resampled([3, 5], rng=rng(1), replicates=500))
    assert counts.mean(0) == pytest.approx(np.ones(8), abs=0.2)


@pytest.mark.parametrize("seeds", [[2], [3], [4], [10], [4, 7], [10] * 15])
def test_resampled_iqms_are_those_of_the_values_drawn(seeds):
    scores = rng().normal(size=(3, sum(seeds))).round(1)
    counts = stats.resampled(seeds, rng=rng(), replicates=20)
    expected = [
        [scipy_stats.trim_mean(np.repeat(mine, drawn), 0.25) for drawn in counts] for mine in scores
    ]
    assert stats.resampled_iqms(scores, counts) == pytest.approx(np.array(expected))


def test_interval_is_scipys():
    values = rng().normal(size=30)
    mine = stats.interval(
        stats.resampled_iqms(values, stats.resampled([30], rng=rng(), replicates=20_000))
    )
    theirs = scipy_stats.bootstrap(
        [values],
        lambda x, axis: scipy_stats.trim_mean(x, 0.25, axis=axis),
        n_resamples=20_000,
        method="percentile",
        rng=rng(1),
    ).confidence_interval
    assert mine == pytest.approx(tuple(theirs), abs=0.02)


@given(arrays.arrays(float, (5, 9), elements=st.integers(0, 3).map(float)))
def test_ranks(replicates):
    """By counting who is better, and who at least as good."""
    best = [[1 + sum(column > value) for value in column] for column in replicates.T]
    worst = [[sum(column >= value) for value in column] for column in replicates.T]
    low = np.percentile(best, 2.5, axis=0, method="inverted_cdf")
    high = np.percentile(worst, 97.5, axis=0, method="inverted_cdf")
    assert np.array_equal(stats.rank_intervals(replicates), np.stack([low, high], 1))


def test_holm():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert stats.holm([]).shape == (0,)


def groups(*entries):
    """Of scores (seeds,) on one task, or (tasks, seeds)."""
    tasks = np.moveaxis(np.stack([np.atleast_2d(entry) for entry in entries]), 0, 1)
    seeds = tasks.shape[2]
    replicates = [
        stats.resampled_iqms(scores, stats.resampled([seeds], rng=rng(task)))
        for task, scores in enumerate(tasks)
    ]
    points = np.mean([[stats.iqm(entry) for entry in scores] for scores in tasks], axis=0)
    return list(stats.tie_groups(points, replicates, seeds=np.full(tasks.shape[:2], seeds)))


def test_copies_tie_and_the_worse_does_not():
    good = 0.9 + 0.01 * rng().normal(size=10)
    assert groups(good, good - 0.2, good) == [1, 2, 1]
    assert groups(good, good.copy()) == [1, 1]
    assert groups(np.full(5, 0.5), np.full(5, 0.4)) == [1, 2]
    assert groups(good) == [1]


def test_pairs_count():
    """What is the same for all entries of a seed does not hide a difference."""
    shared = rng(1).normal(size=10)
    noise = 0.01 * rng(2).normal(size=10)
    assert groups(shared, shared - 0.1 + noise) == [1, 2]
    assert groups(shared, rng(3).permutation(shared) - 0.1) == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "spreads"),
    [
        (10, [1.0]),
        (3, [1.0]),
        (10, [1.0, 1.0, 1.0]),
        (10, [1.0] + [0.01] * 7),
        (3, [1.0] + [0.01] * 7),
    ],
)
def test_equals_are_told_apart_no_more_often_than_promised(seeds, spreads):
    """Also where the scores of one task vary much more than those of the others."""
    trials = 600
    apart = 0
    for trial in range(trials):
        draws = rng(trial).normal(size=(2, len(spreads), seeds)) * np.array(spreads)[:, None]
        apart += max(groups(*draws)) > 1
    assert apart <= scipy_stats.binom.isf(0.001, trials, 0.06)


@pytest.mark.slow
def test_exchanges_would_claim_too_much():
    """Why ties are not decided by exchanges: of a GAN that succeeds by chance.

    Its interquartile mean is higher than that of the steady entry, yet where few of its ten seeds
    succeed the exchanges claim that it is worse, ten times as often as they may.
    """
    steady, trials = np.full(10, 0.8), 300
    by_exchange = by_t = 0
    for trial in range(trials):
        chancy = np.where(rng(trial).random(10) < 0.4, 1.7, 0.5)
        found = scipy_stats.permutation_test(
            (steady, chancy),
            lambda x, y, axis: (
                scipy_stats.trim_mean(x, 0.25, axis=axis)
                - scipy_stats.trim_mean(y, 0.25, axis=axis)
            ),
            permutation_type="samples",
            alternative="greater",
        )
        by_exchange += found.pvalue < 0.025
        by_t += groups(steady, chancy) == [1, 2]
    assert by_exchange / trials > 0.1
    assert by_t <= scipy_stats.binom.isf(0.001, trials, 0.05)


def test_many_equals_have_few_leaders_told_apart():
    """Holm's adjustment: of 40 equals hardly one is told from the best."""
    told = [max(groups(*rng(trial).normal(size=(40, 10)))) > 1 for trial in range(60)]
    assert sum(told) <= scipy_stats.binom.isf(0.001, 60, 0.25)


def test_seeds_of_each_task_count_by_themselves():
    """Welch's degrees of freedom, from the resampled deviations, and his formula by hand."""
    n = np.array([[10], [3]])
    deviations = np.array([[0.02], [0.05]])
    variances = (deviations * np.sqrt(n / (n - 1))) ** 2
    by_hand = variances.sum() ** 2 / (variances**2 / (n - 1)).sum()
    t = 0.1 / (np.sqrt(variances.sum()) / 2)
    expected = 2 * scipy_stats.t.sf(t, by_hand)
    assert stats.p_values([0.1], deviations, n) == pytest.approx([expected])
    assert 2 < by_hand < 11
    alike = stats.p_values([0.1], np.full((4, 1), 0.1), np.full((4, 1), 10))
    spread = 0.1 * np.sqrt(10 / 9) / 2
    assert alike == pytest.approx([2 * scipy_stats.t.sf(0.1 / spread, 4 * 9)])
    assert stats.p_values([0.0, 0.1], np.zeros((1, 2)), [[5, 5]]).tolist() == [1, 0]


def test_compare():
    x = [rng(task).normal(size=10) for task in range(3)]
    y = [each - 0.3 + 0.2 * rng(7).normal(size=10) for each in x]
    found = stats.compare(x, y, rng=rng())
    back = stats.compare(y, x, rng=rng())
    apart = [stats.iqm(mine) - stats.iqm(theirs) for mine, theirs in zip(x, y, strict=True)]
    assert found.difference == pytest.approx(np.mean(apart))
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.interval == pytest.approx([-back.interval[1], -back.interval[0]])
    assert found.improvement == pytest.approx(1 - back.improvement)
    assert found.p_value == pytest.approx(back.p_value) and found.p_value < 0.05
    turned = found.reversed()
    assert (turned.difference, turned.improvement) == pytest.approx(
        (back.difference, back.improvement)
    )
    assert turned.interval == pytest.approx(back.interval)
    same = stats.compare(x, x, rng=rng())
    assert (same.p_value, same.difference, same.seeds_needed) == (1, 0, None)


def test_compare_ranks_as_the_board_does():
    """A task that is the best for one of them counts, though its scores are extremes of all."""
    x, y = [np.full(10, 0.9)] + [np.full(10, 0.1)] * 3, [np.full(10, 0.2)] * 4
    found = stats.compare(x, y, rng=rng())
    assert (found.difference, found.p_value) == pytest.approx((0.1, 0.0))


def test_the_seeds_that_compare_needs_are_those_of_the_seeds_deviation():
    """Not of the narrower one that resampled means of three seeds have."""
    x, y = np.array([0.1, 0.5, 0.9]), np.array([0.3, 0.1, 0.4])
    found = stats.compare([x], [y], rng=rng(), replicates=200_000)
    by_hand = stats.seeds_needed((x - y).mean(), (x - y).std(ddof=1))
    assert by_hand is not None and by_hand > 10
    assert found.seeds_needed == pytest.approx(by_hand, abs=1)


def test_seeds_needed_is_the_power_of_a_paired_t_test():
    """With so many seeds four of five trials find the difference; with fewer, fewer do."""
    needed = stats.seeds_needed(1.0, 1.2)
    assert needed is not None and 10 <= needed <= 15
    for seeds, enough in ((needed, True), (needed - 2, False)):
        draws = rng(seeds).normal(1.0, 1.2, size=(20_000, seeds))
        power = (scipy_stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean()
        assert bool(power > 0.79) is enough
    assert stats.seeds_needed(1.0, 0.0) == stats.seeds_needed(1.0, 0.01) == 2
    assert stats.seeds_needed(0.0, 1.0) is None
    assert stats.seeds_needed(1e-4, 1.0) is None


def test_time_to_quality():
    """Kaplan and Meier by hand: steps at 2 (3 of 4 left) and at 5 (of 2 left, one)."""
    found = stats.time_to_quality([2, 3, 5, 9], [True, False, True, False], horizon=10)
    by_hand = 2 * 1 + 3 * (3 / 4) + 5 * (3 / 4) * (1 / 2)
    assert found.restricted_mean == pytest.approx(by_hand)
    assert found.par2 == pytest.approx((2 + 20 + 5 + 20) / 4)
    assert found.reached == 0.5
    never = stats.time_to_quality([9, 9], [False, False], horizon=9)
    assert (never.restricted_mean, never.par2, never.reached) == (9, 18, 0)
    always = stats.time_to_quality([1, 2, 6], [True] * 3, horizon=4)
    assert (always.restricted_mean, always.reached) == (pytest.approx((1 + 2 + 4) / 3), 2 / 3)
    assert math.isfinite(always.par2)


@pytest.mark.parametrize("seed", range(20))
def test_time_to_quality_against_scipy(seed):
    """The area under SciPy's estimate, with ties between those that get there and others."""
    draws = rng(seed)
    times, reached = draws.integers(1, 8, size=12).astype(float), draws.random(12) < 0.6
    data = scipy_stats.CensoredData(uncensored=times[reached], right=times[~reached])
    alive = scipy_stats.ecdf(data).sf
    steps = np.concatenate([[0.0], alive.quantiles, [9.0]])
    area = np.diff(steps) @ np.concatenate([[1.0], alive.probabilities])
    found = stats.time_to_quality(times, reached, horizon=9.0)
    assert found.restricted_mean == pytest.approx(area, rel=1e-12)


def test_resampled_means():
    scores, counts = rng(4).normal(size=(3, 5)), stats.resampled([5], rng=rng(5), replicates=7)
    found = stats.resampled_means(scores, counts)
    by_hand = [[np.repeat(own, drawn).mean() for drawn in counts] for own in scores]
    assert found == pytest.approx(np.array(by_hand))


def test_profiles_and_ranks_at_the_size_of_a_board():
    """50 entries, 15 tasks, 10 seeds: an entry never far from another has its rank or the next."""
    scores = rng().normal(size=(50, 150)) + 3 * np.arange(50)[:, None]
    replicates = stats.resampled_iqms(scores, stats.resampled([10] * 15, rng=rng()))
    intervals = stats.rank_intervals(replicates)
    assert [tuple(each) for each in intervals] == [(50 - i, 50 - i) for i in range(50)]
