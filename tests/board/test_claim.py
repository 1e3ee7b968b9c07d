"""What is said of a claim: how many seeds it takes, and nothing that was not found."""

from __future__ import annotations

import math

import pytest

from ganbench import registry
from ganbench.board import claim, power
from ganbench.errors import InputError
from ganbench.results import schema
from ganbench.results.schema import SeedResult

from ..made import a_result, a_seed

BOARD = registry.folder("tasks").parent / "leaderboard"
TIGHT = [0.25 + 0.01 * i for i in range(10)]


def seeds(values: list[float], first: int = 0) -> list[SeedResult]:
    return [a_seed(first + i, value=value) for i, value in enumerate(values)]


def failed(count: int, first: int = 100) -> list[SeedResult]:
    return [a_seed(first + i, status="failed") for i in range(count)]


def test_a_claim_that_new_seeds_bear_out():
    new = seeds([value + 0.002 for value in TIGHT], 10)
    outcome = claim.judged(seeds(TIGHT), new, 10)
    assert outcome.verdict == "consistent"
    p, _ = power.p_values([s.score for s in seeds(TIGHT)], [s.score for s in new])
    assert outcome.p_value == p > power.ALPHA
    assert 0.03 < outcome.smallest < 0.08
    text = f"{math.ceil(outcome.smallest * 1000) / 1000:g}"
    words = f"an exaggeration of {text} or more would have been found (9 times in 10)"
    assert outcome.line.startswith(f"consistent: p = {p:.2g}; {words}")


def test_a_claim_raised_by_what_would_have_been_found_is_found():
    """A score is one less the value: new seeds have 0.2 less."""
    outcome = claim.judged(seeds(TIGHT), seeds([value + 0.2 for value in TIGHT[:5]], 10), 5)
    assert outcome.verdict == "exaggerated"
    assert outcome.line.startswith("exaggerated: 5 new seeds score 0.53, claimed is 0.705 (p = ")


def test_far_better_seeds_are_not_of_the_same_source():
    better = seeds([value - 0.2 for value in TIGHT], 10)
    outcome = claim.judged(seeds(TIGHT), better, 10)
    assert outcome.verdict == "another"
    assert "which is too little" in outcome.line


def test_new_seeds_that_fail_have_the_worst_score():
    outcome = claim.judged(seeds(TIGHT), [*seeds(TIGHT[:4]), *failed(6)], 10)
    assert outcome.verdict == "exaggerated"
    assert "(6 failed or diverged, which counts as -1)" in outcome.line


def test_failures_on_both_sides_are_equals():
    """All scores are the same: no p-value is NaN, and a better claim would have been found."""
    outcome = claim.judged(failed(10, 0), failed(5), 5)
    assert (outcome.verdict, outcome.p_value) == ("inconclusive", 1.0)
    outcome = claim.judged(seeds([0.5] * 10), seeds([0.5] * 5, 10), 5)
    assert (outcome.verdict, outcome.p_value) == ("consistent", 1.0)


@pytest.mark.parametrize("score", [None, math.nan])
def test_a_seed_without_a_score_leaves_it_open(score: float | None):
    new = seeds(TIGHT, 10)
    new[3].score = score
    outcome = claim.judged(seeds(TIGHT), new, 10)
    assert outcome.verdict == "inconclusive"
    assert outcome.line == (
        "inconclusive: 0 of 10 claimed seeds and 1 of 10 new seeds have no score"
    )
    assert claim.judged(seeds(TIGHT), new[:3], 10).verdict == "inconclusive"
    assert claim.judged(seeds(TIGHT), [], 10).line.endswith("10 of 10 new seeds have no score")
    result = a_result(*seeds(TIGHT))
    claimed = result.seeds
    claimed[0].score = score
    assert claim.judged(claimed, seeds(TIGHT, 10), 10).verdict == "inconclusive"
    with pytest.raises(InputError, match=r"^seeds 0 of the result have no score"):
        claim.planned(result, None)


def test_nothing_is_claimed_where_nothing_could_have_been_found():
    """Scores near the worst that vary as much as they can."""
    low = [1.0, 30.0, 5.0, 2.0, 100.0, 1.2, 3.0, 9.0, 1.6, 60.0]
    outcome = claim.judged(seeds(low), seeds(low[:3], 10), 3)
    assert outcome.verdict == "inconclusive"
    assert "no exaggeration of that would have been found (9 times in 10)" in outcome.line
    assert outcome.smallest is None


def test_too_few_new_seeds_are_refused_with_the_number_that_would_do():
    result = a_result(*seeds(TIGHT))
    line = (
        "2 new seeds cannot tell 10 claimed seeds from exaggerated ones, whatever they score: "
        "it takes --rerun 3 or more"
    )
    with pytest.raises(InputError) as refused:
        claim.planned(result, 2)
    assert str(refused.value) == line
    assert claim.planned(result, 3).seeds == 3


def test_five_new_seeds_are_too_few_for_three():
    result = a_result(*seeds(TIGHT[:3]))
    line = "5 new seeds cannot tell 3 claimed seeds from exaggerated ones, whatever they score: "
    with pytest.raises(InputError, match=f"^{line}it takes --rerun 7 or more$"):
        claim.planned(result, 5)


@pytest.mark.parametrize(("raised", "verdict"), [(0.0, "consistent"), (0.3, "exaggerated")])
def test_three_tenths_more_on_gaussian_are_found(raised: float, verdict: str):
    """Published scores, three times over as new seeds, against the same and against more."""
    published = schema.load_result(BOARD / "gaussian" / "mlp_gan.json").seeds
    claimed = [seed.model_copy(update={"score": seed.score + raised}) for seed in published]
    assert claim.judged(claimed, published * 3, 30).verdict == verdict


def test_a_claim_that_takes_more_seeds_than_the_most_is_refused_without_a_number():
    result = a_result(a_seed())
    with pytest.raises(InputError, match=r"^30 new seeds cannot tell 1 claimed seed .* --rerun 99"):
        claim.planned(result, None)
    assert claim.planned(result, 99).seeds == 99
    with pytest.raises(InputError, match="1,001 new seeds are more than 1,000"):
        claim.planned(result, 1_001)


def test_without_a_number_as_many_seeds_as_find_a_tenth():
    plan = claim.planned(a_result(*seeds(TIGHT)), None)
    assert plan.seeds == power.FEWEST
    assert plan.line.startswith("5 new seeds: an exaggeration of 0.0")
    wide = claim.planned(a_result(*seeds([0.1 * i for i in range(10)])), None)
    assert wide.seeds == power.MOST
    assert wide.line.startswith("30 new seeds, the most without a number: an exaggeration of 0.")
    assert wide.line.endswith("or more is found 9 times in 10, going by the claimed seeds")
