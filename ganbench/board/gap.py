"""A claimed result held against seeds that were trained on hidden parameters of its task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import ganbench
from ganbench.board import claim, power
from ganbench.board.claim import TIMES, Outcome
from ganbench.results import schema, stats
from ganbench.results.schema import HiddenRun, Result, SeedResult
from ganbench.scoring import WORST
from ganbench.system import files
from ganbench.system.words import many

# A variant may be a little harder than its task for an honest GAN: an optimiser that goes by
# coordinates sees a rotated task otherwise, and sine curves get other ranges.
ALLOWED = 0.1
DRAWS = 0  # seed of the bootstrap's


def judged(
    claimed: Sequence[SeedResult], new: Sequence[SeedResult], asked: int, *, seed: int, known: float
) -> tuple[Outcome, HiddenRun | None]:
    """What seeds on the hidden parameters `seed` say of claimed ones; the second is to be kept.

    `asked` of the new ones were to be trained. "refuted" if they score lower by more than ALLOWED
    and chance; "inconclusive" if scores are missing, or if no gap would have been found. `known` is
    what real samples of the task score there. Seeds that failed or diverged have the worst score.
    """
    if (missing := claim.missing(claimed, new, asked)) is not None:
        return missing, None
    x, y = claim.scores_of(claimed), claim.scores_of(new)
    outcome = held(x, y)
    low, high = interval(x, y)
    gap = stats.iqm(x) - stats.iqm(y)
    sides = f"{many(len(y), 'new seed')} on hidden parameters {seed} score {stats.iqm(y):.3g}"
    sides += f"{claim.failed(new)}, claimed is {stats.iqm(x):.3g}: a gap of {gap:.3g} "
    sides += f"[{low:.3g}, {high:.3g}]"
    run = HiddenRun(
        seed=seed,
        known=known,
        scores=y,
        gap=gap,
        ci95=(low, high),
        verdict=outcome.verdict,  # type: ignore[arg-type]
        ganbench_version=ganbench.__version__,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    line = f"{outcome.verdict}: {sides}, {outcome.line}; real samples of the public task score "
    line += f"{known:.3g} there"
    return Outcome(verdict=outcome.verdict, line=line, p_value=outcome.p_value), run


def held(x: Sequence[float], y: Sequence[float]) -> Outcome:
    """The verdict on claimed scores x by those on hidden parameters, y; the line says why."""
    p, _ = power.p_values(np.asarray(x) - ALLOWED, y)
    if p <= power.ALPHA:
        line = f"more than {ALLOWED:g} and chance make (p = {p:.2g})"
        return Outcome(verdict="refuted", line=line, p_value=p)
    found = power.smallest([x, y], len(y), claimed=len(x))
    if found is None or found + ALLOWED > stats.iqm(x) - WORST:
        line = f"p = {p:.2g}, but no gap that is possible would have been found ({TIMES})"
        return Outcome(verdict="inconclusive", line=line, p_value=p)
    line = f"p = {p:.2g}, where one of {claim.upwards(found + ALLOWED)} or more would have been "
    line += f"found ({TIMES})"
    return Outcome(verdict="consistent", line=line, p_value=p)


def interval(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the interquartile mean of x less that of y."""
    rng = np.random.default_rng(DRAWS)
    first, second = (
        stats.resampled_iqms(side, stats.resampled([len(side)], rng=rng))[0] for side in (x, y)
    )
    return stats.interval(first - second)


def wrong(result: Result) -> str | None:
    """A line if the gap that a result holds does not follow from its seeds and the hidden ones."""
    run = result.hidden
    if run is None:
        return None
    x = claim.scores_of(result.seeds)
    if len(x) < len(result.seeds):
        return "holds a gap to hidden parameters, but a seed without a score"
    gap = stats.iqm(x) - stats.iqm(run.scores)
    near = np.allclose([gap, *interval(x, run.scores)], [run.gap, *run.ci95], rtol=1e-9, atol=1e-9)
    if not near or held(x, run.scores).verdict != run.verdict:
        return "its gap to hidden parameters does not follow from the seeds"
    return None


def attach(path: Path, run: HiddenRun) -> None:
    """Keep what seeds on hidden parameters scored in a result file, in place of a former one."""
    with files.locked(path):
        result = schema.load_result(path).model_copy(update={"hidden": run})
        files.write_atomically(path, schema.dumps(result).encode())
