"""What new seeds tell of claimed ones: held against every way to deal, SciPy, and simulation."""

from __future__ import annotations

import math
from itertools import combinations
from operator import ge, le
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from ganbench.board import power, power_table
from ganbench.results.stats import iqm

from ..made import a_result, a_seed

SIDES = [
    ([0.9, 0.8, 0.7, 0.65], [0.6, 0.5, 0.72, 0.1, 0.3]),
    ([0.3, 0.5, 0.1], [0.9, 0.8, 0.2, 0.4, 0.6, 0.7]),
    ([0.5, 0.5, -1.0, 0.5], [0.5, -1.0, -1.0, 0.4]),  # with ties
    ([0.2], [0.1, 0.3, 0.4]),
]


def difference(x: list[float], y: list[float]) -> tuple[float, float]:
    """What is compared first, and what of equals."""
    return round(iqm(x) - iqm(y), 12), round(float(np.mean(x) - np.mean(y)), 12)


def by_hand(x: list[float], y: list[float]) -> tuple[float, float]:
    """Both p-values, a deal at a time."""
    both, found = [*x, *y], []
    for mine in combinations(range(len(both)), len(x)):
        rest = [both[i] for i in range(len(both)) if i not in mine]
        found.append(difference([both[i] for i in mine], rest))
    seen = difference(x, y)
    higher, lower = ([side(each, seen) for each in found] for side in (ge, le))
    return sum(higher) / len(found), sum(lower) / len(found)


@pytest.mark.parametrize(("x", "y"), SIDES)
def test_p_values_are_those_of_all_ways_to_deal(x: list[float], y: list[float]):
    assert power.p_values(x, y) == pytest.approx(by_hand(x, y), abs=1e-12)


@pytest.mark.parametrize(("x", "y"), SIDES[:3])
def test_p_values_are_those_of_scipy(x: list[float], y: list[float]):
    def compared(a, b, axis: int = -1):
        of_a, of_b = (
            stats.trim_mean(side, 0.25, axis=axis) + power.SECOND * side.mean(axis)
            for side in (a, b)
        )
        return of_a - of_b

    expected = [
        stats.permutation_test((x, y), compared, alternative=side, n_resamples=10_000).pvalue
        for side in ("greater", "less")
    ]
    assert power.p_values(x, y) == pytest.approx(expected, abs=1e-12)


def test_of_sides_of_means_it_is_the_test_of_the_mean():
    """Of three seeds nothing is cut off."""
    x, y = [0.9, 0.5, 0.8], [0.4, 0.6, 0.1]
    deals = [sum(mine) for mine in combinations([*x, *y], 3)]
    assert power.p_values(x, y)[0] == sum(each >= sum(x) - 1e-9 for each in deals) / 20


@pytest.mark.parametrize(
    "scores", [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], [0.1] * 7 + [1, 1]]
)
def test_honest_claims_are_rejected_no_more_often_than_the_level(scores: list[float]):
    """Over all deals of the same scores, at every level: the test is exact."""
    found = []
    for mine in combinations(range(9), 4):
        rest = [scores[i] for i in range(9) if i not in mine]
        found.append(power.p_values([scores[i] for i in mine], rest))
    for side in np.array(found).T:
        for level in np.unique(side):
            assert (side <= level).mean() <= level + 1e-12


def test_drawn_deals_find_what_all_deals_do(monkeypatch):
    rng = np.random.default_rng(3)
    x, y = rng.normal(0.1, 0.1, 10), rng.normal(0, 0.1, 10)
    exact = power.p_values(x, y)
    monkeypatch.setattr(power, "DEALS", 0)
    drawn = power.p_values(x, y)
    assert drawn != exact
    error = [4 * math.sqrt(p * (1 - p) / power.DRAWN) for p in exact]
    assert np.all(np.abs(np.subtract(drawn, exact)) <= error)


def test_a_p_value_of_drawn_deals_is_never_zero():
    apart = power.p_values(np.arange(20) + 100.0, np.arange(20))[0]
    assert apart == 1 / (power.DRAWN + 1)


@pytest.mark.parametrize("new", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("claimed", [1, 2, 3, 4, 5, 8])
def test_the_least_p_value_is_that_of_sides_apart(claimed: int, new: int):
    x, y = np.sqrt(np.arange(claimed)) + 10, np.sqrt(np.arange(new))
    assert power.least_p(claimed, new) == pytest.approx(power.p_values(x, y)[0])


@pytest.mark.parametrize(("claimed", "new"), [(1, 99), (2, 13), (3, 7), (5, 4), (10, 3), (20, 2)])
def test_the_fewest_seeds_are_the_first_that_can_reject(claimed: int, new: int):
    assert power.fewest(claimed) == new
    assert power.least_p(claimed, new) <= power.ALPHA < power.least_p(claimed, new - 1)


def test_equal_scores_are_no_evidence_and_have_a_p_value():
    assert power.p_values([0.5] * 10, [0.5] * 5) == (1.0, 1.0)
    assert power.p_values([0.5] * 10, [0.4] * 5)[0] == power.least_p(10, 5)
    assert power.seeds_for([0.5] * 10) == power.FEWEST


def test_more_seeds_find_more_and_none_find_what_is_not_there():
    scores = np.random.default_rng(0).normal(0.5, 0.1, 10)
    chances = [power.power([scores], new, 0.15, claimed=10) for new in (3, 10, 30)]
    assert chances == sorted(chances)
    assert chances[0] < 0.6 < chances[2] - 0.2
    assert power.power([scores], 10, 0.0, claimed=10) == pytest.approx(power.ALPHA, abs=0.012)
    assert power.smallest([scores], 2, claimed=10) is None


def test_what_simulation_finds_is_what_the_test_finds():
    """The many tests of a simulation at once are those that `p_values` makes one by one."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(0.15, 0.1, (40, 6)), rng.normal(0, 0.1, (40, 5))
    one_by_one = [power.p_values(a, b)[0] <= power.ALPHA for a, b in zip(x, y, strict=True)]
    assert 0 < sum(one_by_one) < 40
    assert power._share_found(x, y) == np.mean(one_by_one)


def test_as_many_seeds_as_a_claim_needs():
    rng = np.random.default_rng(1)
    tight, wide = rng.normal(0.5, 0.01, 10), rng.normal(0.5, 0.2, 10)
    assert power.seeds_for(tight) == power.FEWEST
    assert power.seeds_for(wide) == power.MOST
    assert power.seeds_for([0.5]) is None
    middle = rng.normal(0.5, 0.055, 10)
    needed = power.seeds_for(middle)
    assert power.FEWEST < needed < power.MOST
    assert power.power([middle], needed, power.AIM, claimed=10) >= power.CHANCE
    assert power.power([middle], needed - 1, power.AIM, claimed=10) < power.CHANCE


@pytest.mark.slow
@pytest.mark.parametrize("new", [5, 10])
def test_the_smallest_exaggeration_is_found_nine_times_in_ten(new: int, monkeypatch):
    """Estimated from one set of seeds, it is put to others of the same law.

    The spread of 10 + `new` seeds is itself uncertain, by which the mean chance is a little less.
    """
    monkeypatch.setattr(power, "TRIALS", 250)
    rng = np.random.default_rng(5)
    chances = []
    for _ in range(40):
        sides = [rng.normal(0.5, 0.1, 10), rng.normal(0.5, 0.1, new)]
        found = power.smallest(sides, new, claimed=10)
        assert found is not None
        x, y = rng.normal(found, 0.1, (100, 10)), rng.normal(0, 0.1, (100, new))
        chances.append(power._share_found(x, y))
    assert 0.84 < np.mean(chances) < 0.94


def test_the_table_is_computed_from_the_scores_of_a_board(tmp_path: Path, monkeypatch):
    from ganbench.results import schema, store

    monkeypatch.setattr(power_table, "TASKS", ("toy",))
    monkeypatch.setattr(power_table, "SEEDS", (5,))
    monkeypatch.setattr(power, "TRIALS", 200)
    seeds = [a_seed(i, value=0.25 + 0.01 * i) for i in range(10)]
    path = store.path_of(tmp_path, "toy", "mlp_gan")
    path.parent.mkdir()
    path.write_text(schema.dumps(a_result(*seeds, name="mlp_gan")))
    done = CliRunner().invoke(power_table.main, [str(tmp_path)])
    assert done.exit_code == 0, done.output
    head, _, automatic, five = done.stdout.splitlines()
    assert head == "| task | new seeds | +0.05 | +0.1 | +0.3 | found 9 times in 10 |"
    scores = [seed.score for seed in seeds]
    chance = power.power([scores], 5, 0.05, claimed=10)
    assert five.startswith(f"| `toy` | 5 | {chance:.2f} | ")
    assert five.split(" | ")[4] == "1.00"
    assert automatic.split(" | ")[1] == str(power.seeds_for(scores))
