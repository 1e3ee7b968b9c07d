"""Whether what a result claims follows from what it holds, and from a run as its task has it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ganbench.board.conduct import misconduct
from ganbench.board.standard import frozen
from ganbench.errors import one_line
from ganbench.results import stats
from ganbench.results.schema import Result, SeedResult, Summary
from ganbench.scoring import score_of, views_of

LONGEST = 120  # characters of why an entry is not ranked


def why_unfit(result: Result) -> str | None:
    """The first contradiction in an official result, which can then not be ranked."""
    found = next(contradictions(result), None) if result.official else None
    return None if found is None else one_line(found, LONGEST)


def contradictions(result: Result) -> Iterator[str]:
    """A line for each claim of a result that its seeds or its task speak against.

    Summaries of single metrics, which boards take from the seeds, are left to `leaderboard check`.
    """
    if result.official:
        yield from _not_official(result)
    numbers = [seed.seed for seed in result.seeds]
    if len(set(numbers)) != len(numbers):
        yield "holds a seed twice"
    for seed in result.seeds:
        yield from _wrong_score(result, seed)
    yield from wrong_summaries(result.summary, stats.summarise(result.seeds, []))
    yield from wrong_summaries(result.views, stats.summarise_views(result.seeds, result.task.views))


def wrong_summaries(claimed: Mapping[str, Summary], found: Mapping[str, Summary]) -> Iterator[str]:
    """A line for each of the summaries found that is claimed otherwise."""
    for name, summary in found.items():
        if not _alike(claimed.get(name), summary):
            yield f"summary of {name} does not follow from the seeds"


def _alike(claimed: Summary | None, found: Summary) -> bool:
    """But for rounding, which differs from machine to machine."""
    if claimed is None:
        return False
    pairs = [(claimed.mean, found.mean), (claimed.std, found.std), (claimed.iqm, found.iqm)]
    pairs += zip(claimed.ci95 or (None, None), found.ci95 or (None, None), strict=True)
    return all(_close(one, other) for one, other in pairs)


def _wrong_score(result: Result, seed: SeedResult) -> list[str]:
    """A finished seed's score and views follow from its metrics; any other's are -1 or null."""
    if set(seed.metrics) != set(result.task.metrics):
        return [f"seed {seed.seed}: metrics are not those of the task"]
    positions = result.task.positions(seed.metrics)
    if seed.status == "ok" and positions is None:
        lacking = next(m for m in result.task.views.values() if seed.metrics[m] is None)
        return [f"seed {seed.seed}: status ok, but no {lacking}"]
    expected = views_of(seed.status, result.task.views, positions)
    views = [(view, seed.views[view], found) for view, found in expected.items()]
    pairs = [("score", seed.score, score_of(expected)), *views]
    return [
        f"seed {seed.seed}: {name} {claimed} should be {found}"
        for name, claimed, found in pairs
        if not _close(claimed, found)
    ]


def _close(claimed: float | None, found: float | None) -> bool:
    if claimed is None or found is None:
        return claimed is found
    return math.isclose(claimed, found, rel_tol=1e-9, abs_tol=1e-12)


def _not_official(result: Result) -> Iterator[str]:
    """An official result is of a bundled task, at its version, budget and bounds."""
    task = frozen(result.task.name)
    if task is None:
        yield f"official, but {result.task.name!r} is no bundled task"
        return
    if task.version != result.task.version:
        yield f"official, but of version {result.task.version}, not {task.version}"
    if result.protocol.budget != "full":
        yield f"official, but of budget {result.protocol.budget}"
    if task.version != result.task.version:
        return
    yield from misconduct(result, task.budget, task.metrics)
    if task.views != result.task.views:
        yield "views are not those of the task"
    for name, claimed in result.task.metrics.items():
        known = task.metrics.get(name)
        # Of another version are metrics that were measured otherwise: shown, and not ranked by.
        if known and known["version"] == claimed.version and claimed.bounds != known:
            yield f"floor or ceiling of {name} is not that of the task"
