"""Checking the leaderboard's files without running anything that came with them."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganbench import registry
from ganbench.board import attachments, gap
from ganbench.board.conduct import misconduct
from ganbench.board.watch import Watch, unwatched
from ganbench.errors import InputError
from ganbench.results import schema, stats, store
from ganbench.results.schema import Result, SeedResult, Summary
from ganbench.scoring import score_of, views_of

if TYPE_CHECKING:
    from ganbench.core import Task

IGNORED = {"README.md", "board.toml", "old"}


@functools.cache
def bundled_task(name: str) -> Task:
    """A task that results of others may name; executed once, as a board has many of each."""
    from ganbench.system.threads import one_thread  # imports torch

    with one_thread():  # its small tensors take longer on several, above all on a busy machine
        return registry.bundled_task(name)


def check(root: Path, *, watch: Watch = unwatched) -> tuple[int, list[str]]:
    """How many results there are, and one line for everything that is wrong with the files."""
    findings = []
    paths = store.result_files(root)
    whole: dict[Path, Result] = {}
    for path in watch("checking results", paths):
        if path.is_symlink():
            findings.append(f"{path}: is a link")
            continue
        try:
            whole[path] = schema.load_result(path)
        except InputError as error:
            findings.append(str(error))
            continue
        lines = [*inconsistencies(whole[path], path), *attachments.findings(whole[path], path)]
        findings += [f"{path}: {line}" for line in lines]
    findings += [f"{path}: is no part of a result" for path in strangers(root, paths)]
    published = {path: result for path, result in whole.items() if not store.is_local(path)}
    return len(paths), [*findings, *duplicates(published), *undeclared(published)]


def strangers(root: Path, known: Sequence[Path]) -> Iterator[Path]:
    """Files, links among them, that belong to no result."""
    expected = {*known, *(part for path in known for part in attachments.parts(path))}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in inside)
        is_folder = path.is_dir() and not path.is_symlink()
        if not (hidden or is_folder or IGNORED & set(inside[:2]) or path in expected):
            yield path


def duplicates(whole: dict[Path, Result]) -> Iterator[str]:
    """Entries of a task that share samples: one under two names."""
    first: dict[tuple[str, str], Path] = {}
    twice: dict[tuple[Path, Path], list[int]] = defaultdict(list)
    for path, result in whole.items():
        for seed in result.seeds:
            if seed.samples_sha256 is None:
                continue
            before = first.setdefault((result.task.name, seed.samples_sha256), path)
            if before != path:
                twice[before, path].append(seed.seed)
    for (before, path), seeds in twice.items():
        yield f"{path}: has the samples of {before} (seed {seeds[0]})"


def undeclared(whole: dict[Path, Result]) -> Iterator[str]:
    """Entries beyond the first of a source on a task that were set otherwise, without trials."""
    first: dict[tuple[str, str], Path] = {}
    for path, result in whole.items():
        if result.entry.tuning_trials:
            continue
        before = first.setdefault((result.task.name, result.entry.sha256), path)
        if whole[before].entry.hparams != result.entry.hparams:
            yield f"{path}: declares no tuning trials, and is {before} with other hyper-parameters"


def inconsistencies(result: Result, path: Path) -> list[str]:
    """What a result claims that does not follow from its own metrics, name and place."""
    lines = [line] if (line := store.misplaced(result, path)) else []
    numbers = [seed.seed for seed in result.seeds]
    if len(set(numbers)) != len(numbers):
        lines.append("holds a seed twice")
    lines += [line for seed in result.seeds for line in _wrong_score(result, seed)]
    metrics = stats.summarise(result.seeds, list(result.task.metrics))
    views = stats.summarise_views(result.seeds, result.task.views)
    for claimed, expected in ((result.summary, metrics), (result.views, views)):
        for name, summary in expected.items():
            if not _alike(claimed.get(name), summary):
                lines.append(f"summary of {name} does not follow from the seeds")
    lines += [line] if (line := gap.wrong(result)) else []
    if result.official:
        lines += _not_official(result)
    return lines


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


def _not_official(result: Result) -> list[str]:
    """An official result is of a bundled task, at its version, budget and bounds."""
    if result.task.name not in registry.names("tasks"):
        return [f"official, but {result.task.name!r} is no bundled task"]
    task = bundled_task(result.task.name)
    lines = []
    if task.version != result.task.version:
        lines.append(f"official, but of version {result.task.version}, not {task.version}")
    if result.protocol.budget != "full":
        lines.append(f"official, but of budget {result.protocol.budget}")
    if task.version != result.task.version:
        return lines
    lines += misconduct(result, task)
    if task.views != result.task.views:
        lines.append("views are not those of the task")
    for name, claimed in result.task.metrics.items():
        bound = task.bounds.get(name)
        # Of another version are metrics that were measured otherwise: shown, and not ranked by.
        if bound and bound.version == claimed.version and claimed.bounds != vars(bound):
            lines.append(f"floor or ceiling of {name} is not that of the task")
    return lines
