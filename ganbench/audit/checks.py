"""What each word of a promise means: a check of one quantity on the trials of its function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ganbench import registry
from ganbench.audit.trials import EXTREME, GRADED, MOVES, ONE_SIDED, Trials

ALPHA = 0.05
SLIGHT, MUCH = 3, 5  # standard deviations under equal laws
Outcome = tuple[bool, str]
Check = Callable[[Trials, str, str], Outcome]
"""Whether the quantity kept the promise of that word, and what was seen."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One promise of one quantity on one task: whether it was kept, and what was seen."""

    task: str
    quantity: str
    promise: str
    kept: bool
    seen: str


def worsens(trials: Trials, quantity: str, word: str) -> Outcome:
    """At no step of a growing disturbance better than before, and in the end much worse."""
    values = [each[quantity] for _, each in trials.graded[word]]
    losses = trials.losses(quantity, values)
    kept = min(np.diff(losses)) > -SLIGHT and losses[-1] - losses[0] > MUCH
    return bool(kept), arrows(values)


def sees(trials: Trials, quantity: str, word: str) -> Outcome:
    """Much worse for that extreme than for real data."""
    value = trials.extreme[word][quantity]
    return trials.losses(quantity, [value])[0] > MUCH, arrows([trials.level(quantity), value])


def one_sided(trials: Trials, quantity: str, word: str) -> Outcome:
    """`fidelity` suffers from dispersal, at least twice as much as from collapse.

    `coverage` the other way round.
    """
    sides = ("dispersal", "collapse") if word == "fidelity" else ("collapse", "dispersal")
    values = [trials.extreme[side][quantity] for side in sides]
    guilty, innocent = trials.losses(quantity, values)
    listed = ", ".join(f"{side} {value:.3g}" for side, value in zip(sides, values, strict=True))
    return guilty > max(MUCH, 2 * innocent), f"real {trials.level(quantity):.3g}, {listed}"


def stays(trials: Trials, quantity: str, word: str) -> Outcome:
    """Unchanged but for rounding, which may move a few of the counts that some quantities are."""
    before, after = (values[quantity] for values in trials.moved[word])
    return math.isclose(before, after, rel_tol=0.003, abs_tol=1e-6), arrows([before, after])


def unbiased(trials: Trials, quantity: str, word: str) -> Outcome:
    """Under equal laws, of the same mean at all sizes."""
    sizes, means, errors = by_size(trials, quantity)
    gap = abs(np.subtract(means, means[-1]))
    kept = gap <= 4 * np.hypot(errors, errors[-1]) + 1e-6
    return bool(kept.all()), at_sizes(sizes, means)


def consistent(trials: Trials, quantity: str, word: str) -> Outcome:
    """Under equal laws, the better the larger the samples are."""
    sizes, means, errors = by_size(trials, quantity)
    sign = 1 if registry.directions()[quantity] == "lower" else -1
    falls = -sign * np.diff(means) / np.hypot(errors[:-1], errors[1:])
    whole = sign * (means[0] - means[-1]) / np.hypot(errors[0], errors[-1])
    return bool(min(falls) > -SLIGHT and whole > 2), at_sizes(sizes, means)


def calibrated(trials: Trials, quantity: str, word: str) -> Outcome:
    """Under equal laws, below ALPHA in that share of all draws, within the binomial's 99 %."""
    low = sum(p < ALPHA for p in trials.p_values)
    draws = len(trials.p_values)
    kept = stats.binomtest(low, draws, ALPHA).pvalue > 0.01
    return kept, f"{low} of {draws} below {ALPHA}, {ALPHA * draws:.0f} due"


def by_size(trials: Trials, quantity: str) -> tuple[list[int], list[float], list[float]]:
    """Sizes, and the mean under equal laws there with its standard error."""
    columns = [trials.under_null(quantity, n) for n in trials.null]
    means = [float(np.mean(values)) for values in columns]
    return list(trials.null), means, [float(stats.sem(values)) for values in columns]


def at_sizes(sizes: Sequence[int], means: Sequence[float]) -> str:
    """What the table shows of a bias."""
    return ", ".join(f"{mean:.3g} at {n}" for n, mean in zip(sizes, means, strict=True))


def arrows(values: Sequence[float]) -> str:
    """What the table shows of a series."""
    return " → ".join(f"{value:.3g}" for value in values)


CHECKS: dict[str, Check] = {
    **dict.fromkeys(GRADED, worsens),
    **dict.fromkeys(EXTREME, sees),
    **dict.fromkeys(ONE_SIDED, one_sided),
    **dict.fromkeys(MOVES, stays),
    "unbiased": unbiased,
    "consistent": consistent,
    "calibrated": calibrated,
}


def judge(trials: Trials) -> list[Finding]:
    """Every promise of every quantity, in the order of the trials."""
    findings = []
    for quantity, words in trials.promises.items():
        for word in words:
            kept, seen = CHECKS[word](trials, quantity, word)
            found = {"task": trials.task, "quantity": quantity, "promise": word}
            findings.append(Finding(**found, kept=kept, seen=seen))
    return findings
