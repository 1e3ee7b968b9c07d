"""A claimed result held against seeds trained again: how many it takes, and what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ganbench.board import power
from ganbench.errors import InputError
from ganbench.results.schema import Result, SeedResult
from ganbench.results.stats import iqm
from ganbench.scoring import WORST
from ganbench.system.words import many

TIMES = f"{10 * power.CHANCE:.0f} times in 10"
MOST_ASKED = 1_000  # new seeds
Verdict = Literal["exaggerated", "another", "refuted", "consistent", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """So many new seeds, and a line of what they can find."""

    seeds: int
    line: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What new seeds say of a claim, also as a line.

    "exaggerated" if they score lower than chance lets them, "another" if they score so much higher
    that they are of another source, "refuted" if they score lower on hidden parameters (see
    `ganbench.board.gap`), "inconclusive" if scores are missing, or if no exaggeration
    would have been found. `p_value` is that of an exaggeration, `smallest` the smallest one that
    would have been found with the chance `power.CHANCE`; None where there is none.
    """

    verdict: Verdict
    line: str
    p_value: float | None = None
    smallest: float | None = None


def check(claim: Result, seeds: int) -> list[float]:
    """The claimed scores, if so many new seeds can tell whether these are exaggerated.

    InputError if so many never could, if they are more than MOST_ASKED, and for claimed seeds
    without a score.
    """
    if seeds > MOST_ASKED:
        raise InputError(f"{seeds:,} new seeds are more than {MOST_ASKED:,}: give a smaller number")
    claimed = _claimed(claim)
    needed = power.fewest(len(claimed))
    if seeds < needed:
        raise InputError(
            f"{many(seeds, 'new seed')} cannot tell {many(len(claimed), 'claimed seed')} from "
            f"exaggerated ones, whatever they score: it takes --rerun {needed} or more"
        )
    return claimed


def planned(claim: Result, asked: int | None) -> Plan:
    """How many new seeds to train: those asked for, or as many as the claim needs (None).

    That is as many as find an exaggeration of `power.AIM`, up to `power.MOST`. Raises InputError as
    `check` does.
    """
    needed = power.seeds_for(_claimed(claim)) if asked is None else asked
    seeds = power.MOST if needed is None else needed
    claimed = check(claim, seeds)
    found = power.smallest([claimed], seeds, claimed=len(claimed))
    words = many(seeds, "new seed")
    if asked is None and seeds == power.MOST:
        words += ", the most without a number"
    return Plan(seeds=seeds, line=f"{words}: {_findable(found)}, going by the claimed seeds")


def judged(claim: Sequence[SeedResult], new: Sequence[SeedResult], asked: int) -> Outcome:
    """What new seeds say of claimed ones, `asked` of which were to be trained.

    Seeds that failed or diverged have the worst score on both sides.
    """
    if (without := missing(claim, new, asked)) is not None:
        return without
    x, y = scores_of(claim), scores_of(new)
    above, below = power.p_values(x, y)
    sides = f"{many(len(y), 'new seed')} score {iqm(y):.3g}{failed(new)}, claimed is {iqm(x):.3g}"
    if above <= power.ALPHA:
        line = f"exaggerated: {sides} (p = {above:.2g})"
        return Outcome(verdict="exaggerated", line=line, p_value=above)
    if below <= power.BELOW:
        line = f"not of this source: {sides}, which is too little (p = {below:.2g})"
        return Outcome(verdict="another", line=line, p_value=above)
    found = power.smallest([x, y], len(y), claimed=len(x))
    if found is None or found > iqm(x) - WORST:
        line = f"inconclusive: {sides} (p = {above:.2g}); no exaggeration of that would have been "
        line += f"found ({TIMES})"
        return Outcome(verdict="inconclusive", line=line, p_value=above)
    line = f"consistent: p = {above:.2g}; an exaggeration of {upwards(found)} or more would have "
    line += f"been found ({TIMES}); {sides}"
    return Outcome(verdict="consistent", line=line, p_value=above, smallest=found)


def missing(claim: Sequence[SeedResult], new: Sequence[SeedResult], asked: int) -> Outcome | None:
    """That nothing can be said, if there is a seed without a score; else None."""
    lacking = [len(claim) - len(scores_of(claim)), asked - len(scores_of(new))]
    if not any(lacking):
        return None
    line = (
        f"inconclusive: {lacking[0]} of {many(len(claim), 'claimed seed')} and {lacking[1]} "
        f"of {many(asked, 'new seed')} have no score"
    )
    return Outcome(verdict="inconclusive", line=line)


def _claimed(claim: Result) -> list[float]:
    if lacking := [seed.seed for seed in claim.seeds if _score(seed) is None]:
        raise InputError(f"seeds {_listed(lacking)} of the result have no score to be held against")
    return scores_of(claim.seeds)


def _score(seed: SeedResult) -> float | None:
    """A seed's score; None if it has none, or none that is a number."""
    if seed.status in ("failed", "diverged"):
        return WORST
    return seed.score if seed.score is not None and math.isfinite(seed.score) else None


def scores_of(seeds: Sequence[SeedResult]) -> list[float]:
    """The scores of seeds that have one, the worst of those that failed or diverged."""
    return [score for seed in seeds if (score := _score(seed)) is not None]


def failed(seeds: Sequence[SeedResult]) -> str:
    """How many seeds failed or diverged, in brackets; "" if none did."""
    count = sum(seed.status in ("failed", "diverged") for seed in seeds)
    return f" ({count} failed or diverged, which counts as {WORST:g})" if count else ""


def _findable(found: float | None) -> str:
    if found is None:
        return f"no exaggeration is found {TIMES}"
    return f"an exaggeration of {upwards(found)} or more is found {TIMES}"


def upwards(value: float) -> str:
    """Two digits, rounded up; the third decimal is as far as it is known."""
    digits = 2 if value >= 0.1 else 3
    return f"{math.ceil(value * 10**digits - 1e-9) / 10**digits:g}"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:5])) + (", ..." if len(seeds) > 5 else "")
