"""Whether seeds that are trained again score as those of a claim, and what that could have found.

The null hypothesis is that claimed and new seeds are of one law. What is compared is what the board
shows, the interquartile mean, and where that is equal the mean, by a permutation test: whatever the
scores are, each way of dealing them to the two sides is as likely as the one seen. Where these are
too many to try all of them, some are drawn, and the level still holds: Phipson and Smyth 2010,
"Permutation p-values should never be zero".
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ganbench.results.stats import TRIM, Floats

ALPHA = 0.01  # the chance that an honest claim is called exaggerated
BELOW = 0.001  # the chance that new seeds of the same law are called better: no author gains by it
CHANCE = 0.9  # with which an exaggeration is to be found
AIM = 0.1  # of score: the exaggeration that as many seeds are trained to find
FEWEST, MOST = 5, 30  # new seeds, where nobody has said how many
RANGE = 2.0  # from the worst score to the best
DEALS = 200_000  # ways to deal the scores that are all tried: of ten and ten seeds 184,756
DRAWN = 99_999  # of more ways
NUMBERS = 2**23  # in such a table of ways: of more seeds than 80, fewer ways
TRIALS, TRIAL_DEALS = 1_000, 4_000  # simulated claims, and the ways to deal in each
HALVINGS = 12  # of the range, until the smallest exaggeration is known to 0.0005
SECOND = 1e-6  # weight of the mean: what is cut off decides between equals alone
ROUNDING = 1e-12  # of a difference of scores
LAW, WAYS = 0, 1  # seeds of what is drawn: scores, and ways to deal them


def p_values(claimed: ArrayLike, new: ArrayLike) -> tuple[float, float]:
    """Those of new seeds that score lower than the claimed ones, and of some that score higher.

    Each is the share of the ways to deal all scores to two sides of these sizes in which the
    interquartile mean of the claimed side exceeds the new one's by as much, or falls short so.
    """
    x, y = (np.asarray(side, dtype=np.float64) for side in (claimed, new))
    weights, all_tried = _deals(len(x), len(y), DEALS, DRAWN)
    differences = weights @ np.sort(np.concatenate([x, y]))
    seen = float(_differences(x[None], y[None])[0])
    own = 0 if all_tried else 1  # the way seen is one of all, and beside those drawn
    above, below = (
        (own + int((side * (differences - seen) >= -ROUNDING).sum())) / (own + len(differences))
        for side in (1, -1)
    )
    return above, below


def least_p(claimed: int, new: int) -> float:
    """The smallest p-value that so many seeds can have: that of one way to deal among all."""
    return 1 / math.comb(claimed + new, new)


def fewest(claimed: int) -> int:
    """The smallest number of new seeds with which the test can reject a claim of so many."""
    return next(new for new in itertools.count(1) if least_p(claimed, new) <= ALPHA)


def power(sides: Sequence[ArrayLike], new: int, exaggeration: float, *, claimed: int) -> float:
    """The chance that `new` seeds find an exaggeration of a claim of `claimed` seeds.

    Scores are drawn with replacement from the deviations of each of `sides` from its mean, which
    are widened by what the mean has taken of them: sqrt(n / (n - 1)) for one side of n.
    """
    x, y = _drawn(sides, claimed, new)
    return _share_found(x + exaggeration, y)


def smallest(sides: Sequence[ArrayLike], new: int, *, claimed: int) -> float | None:
    """The smallest exaggeration that `power` finds with the chance CHANCE, or None."""
    x, y = _drawn(sides, claimed, new)
    low, high = 0.0, RANGE
    if _share_found(x + high, y) < CHANCE:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _share_found(x + middle, y) < CHANCE:
            low = middle
        else:
            high = middle
    return high


def seeds_for(scores: ArrayLike) -> int | None:
    """The fewest new seeds, FEWEST to MOST, that find AIM in a claim of these scores; else MOST.

    None if even so many can find nothing.
    """
    claimed = np.size(scores)
    low, high = max(FEWEST, fewest(claimed)), MOST
    if low > high:
        return None
    while low < high:
        middle = (low + high) // 2
        if power([scores], middle, AIM, claimed=claimed) < CHANCE:
            low = middle + 1
        else:
            high = middle
    return low


def _drawn(sides: Sequence[ArrayLike], claimed: int, new: int) -> tuple[Floats, Floats]:
    """Scores (TRIALS, claimed) and (TRIALS, new) of one law, the same ones every time."""
    arrays = [np.asarray(side, dtype=np.float64) for side in sides]
    apart = np.concatenate([side - side.mean() for side in arrays])
    apart *= math.sqrt(len(apart) / max(1, len(apart) - len(arrays)))
    drawn = np.random.default_rng(LAW).choice(apart, (TRIALS, claimed + new))
    return drawn[:, :claimed], drawn[:, claimed:]


def _share_found(x: Floats, y: Floats) -> float:
    """In how many rows of claimed and new scores the test rejects the claim."""
    weights, all_tried = _deals(x.shape[1], y.shape[1], TRIAL_DEALS, TRIAL_DEALS)
    differences = np.sort(np.concatenate([x, y], axis=1), axis=1) @ weights.T
    seen = _differences(x, y)
    own = 0 if all_tried else 1
    as_much = (differences >= seen[:, None] - ROUNDING).sum(1) + own
    return float((as_much <= ALPHA * (len(weights) + own)).mean())


def _differences(x: Floats, y: Floats) -> Floats:
    """What is compared, of each row of claimed scores (n, claimed) and of new ones (n, new)."""
    of_x, of_y = (stats.trim_mean(side, TRIM, 1) + SECOND * side.mean(1) for side in (x, y))
    return np.asarray(of_x - of_y)


@functools.lru_cache(maxsize=4)
def _deals(x: int, y: int, most: int, drawn: int) -> tuple[Floats, bool]:
    """What times ascending scores (x + y,) is what is compared, a row for each deal.

    All deals are there if they are at most so many, which is told, else as many drawn at random.
    """
    count = math.comb(x + y, x)
    if all_tried := count <= most:
        flat = itertools.chain.from_iterable(itertools.combinations(range(x + y), x))
        chosen = np.fromiter(flat, np.int64, count * x).reshape(count, x)
    else:
        keys = np.random.default_rng(WAYS).random((min(drawn, NUMBERS // (x + y)), x + y))
        chosen = keys.argpartition(x, axis=1)[:, :x]
    mine = np.zeros((len(chosen), x + y), dtype=bool)
    np.put_along_axis(mine, chosen, True, axis=1)
    return _weights(mine, x) - _weights(~mine, y), all_tried


def _weights(mine: NDArray[np.bool_], size: int) -> Floats:
    """The weight of each place for those (deals, places) that are mine, in what is compared."""
    cut, rank = int(TRIM * size), mine.cumsum(axis=1)
    kept = mine & (rank > cut) & (rank <= size - cut)
    return kept / (size - 2 * cut) + SECOND / size * mine
