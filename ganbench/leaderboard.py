"""The leaderboard folder: adding results, listing them, checking them.

`leaderboard/<task>/<entry>.json` holds one entry's seeds on one task. What a new result would
replace is set aside in `leaderboard/<task>/old/`, which the board does not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ganbench import registry, results, stats
from ganbench.errors import InputError
from ganbench.results import Result, SeedResult, Summary


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of a result: the merged entry, where it lies, and what was set aside."""

    result: Result
    path: Path
    set_aside: Path | None


def add(result: Result, root: Path) -> Added:
    """Merge a result into the entry's file, under a lock; InputError if that file is damaged."""
    path = root / result.task.name / f"{result.entry.name}.json"
    set_aside = None
    with results.locked(path):
        if path.exists():
            before = results.load_result(path)
            if before.identity() == result.identity():
                result = merge(before, result)
            else:
                set_aside = unused(path.parent / "old" / path.name)
                set_aside.parent.mkdir(exist_ok=True)
                path.rename(set_aside)
        results.write_atomically(path, results.dumps(result).encode())
    return Added(result=result, path=path, set_aside=set_aside)


def merge(before: Result, new: Result) -> Result:
    """All seeds of both; of the same seed the new run, unless it was interrupted."""
    seeds: dict[int, SeedResult] = {seed.seed: seed for seed in before.seeds}
    for seed in new.seeds:
        old = seeds.get(seed.seed)
        if old is None or seed.status != "interrupted" or old.status == "interrupted":
            seeds[seed.seed] = seed
    ordered = [seeds[key] for key in sorted(seeds)]
    whole = all(seed.status != "interrupted" for seed in ordered)
    official = whole and new.protocol.budget == "full" and (before.official or new.official)
    summary = stats.summarise(ordered, list(new.task.metrics))
    return new.model_copy(update={"seeds": ordered, "summary": summary, "official": official})


def unused(path: Path) -> Path:
    """`path`, or the first of path-1, path-2, ... that does not exist."""
    candidate, number = path, 0
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def files(root: Path, task: str | None = None) -> list[Path]:
    """Every result file of the board, or of one task, sorted."""
    if not root.is_dir():
        raise InputError(f"no leaderboard folder {str(root)!r}: give one with --leaderboard")
    return sorted(root.glob(f"{task or '*'}/*.json"))


def read(root: Path, task: str | None = None) -> tuple[list[Result], list[str]]:
    """The valid results and one line for each file that is not; nothing is changed."""
    valid, problems = [], []
    for path in files(root, task):
        try:
            valid.append(results.load_result(path))
        except InputError as error:
            problems.append(str(error))
    return valid, problems


def check(root: Path) -> tuple[int, list[str]]:
    """How many files there are, and one line for everything that is wrong with them."""
    findings = []
    paths = files(root)
    for path in paths:
        try:
            result = results.load_result(path)
        except InputError as error:
            findings.append(str(error))
            continue
        findings += [f"{path}: {line}" for line in inconsistencies(result, path)]
    return len(paths), findings


def inconsistencies(result: Result, path: Path) -> list[str]:
    """What a result claims that does not follow from its own metrics, name and place."""
    lines = []
    if (result.task.name, result.entry.name) != (path.parent.name, path.stem):
        lines.append(f"holds {result.entry.name!r} on {result.task.name!r}, by its content")
    numbers = [seed.seed for seed in result.seeds]
    if len(set(numbers)) != len(numbers):
        lines.append("holds a seed twice")
    lines += [line for seed in result.seeds for line in _wrong_score(result, seed)]
    expected = stats.summarise(result.seeds, list(result.task.metrics))
    for name, summary in expected.items():
        if not _alike(result.summary.get(name), summary):
            lines.append(f"summary of {name} does not follow from the seeds")
    if result.official:
        lines += _not_official(result)
    return lines


def _alike(claimed: Summary | None, found: Summary) -> bool:
    """But for rounding, which differs from machine to machine."""
    if claimed is None:
        return False
    pairs = [(claimed.mean, found.mean), (claimed.std, found.std), (claimed.iqm, found.iqm)]
    pairs += zip(claimed.ci95 or (None, None), found.ci95 or (None, None), strict=True)
    return all(
        one == other
        if one is None or other is None
        else math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
        for one, other in pairs
    )


def _wrong_score(result: Result, seed: SeedResult) -> list[str]:
    """A finished seed's score follows from the ranking metric; any other's is 0 or null."""
    from ganbench.core import Bound  # here: showing the board need not wait for torch

    if set(seed.metrics) != set(result.task.metrics):
        return [f"seed {seed.seed}: metrics are not those of the task"]
    expected: float | None = None if seed.status == "interrupted" else 0.0
    if seed.status == "ok":
        info, value = result.task.metrics[result.ranking], seed.metrics[result.ranking]
        if value is None:
            return [f"seed {seed.seed}: status ok, but no {result.ranking}"]
        expected = Bound(**info.model_dump()).position(value)
    same = seed.score == expected
    if expected is not None and seed.score is not None:
        same = math.isclose(seed.score, expected, rel_tol=1e-9, abs_tol=1e-12)
    return [] if same else [f"seed {seed.seed}: score {seed.score} should be {expected}"]


def _not_official(result: Result) -> list[str]:
    """An official result is of a bundled task, at its version, budget and bounds."""
    if result.task.name not in registry.names("tasks"):
        return [f"official, but {result.task.name!r} is no bundled task"]
    task = registry.load_task(result.task.name)
    lines = []
    if task.version != result.task.version:
        lines.append(f"official, but of version {result.task.version}, not {task.version}")
    spent = (result.protocol.budget, result.protocol.steps)
    if spent != ("full", task.budget.steps):
        lines.append(f"official, but of budget {spent[0]} with {spent[1]} steps")
    bounds = {name: (b.direction, b.floor, b.ceiling) for name, b in task.bounds.items()}
    claimed = {name: (m.direction, m.floor, m.ceiling) for name, m in result.task.metrics.items()}
    if bounds != claimed and task.version == result.task.version:
        lines.append("floors and ceilings are not those of the task")
    return lines
