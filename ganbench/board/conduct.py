"""Whether an official result is of a run as the task has it: budget, seeds, curves, times."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from ganbench.results.schema import Result, SeedResult

if TYPE_CHECKING:
    from ganbench.core import Task

FASTEST = 1e-7  # seconds of training that a step takes at least, of however many seeds at once
SPENT = ("steps", "batch_size", "evaluations", "evaluation_size")


def misconduct(result: Result, task: Task) -> Iterator[str]:
    """A line for each thing that no run of the task's whole budget leaves behind."""
    for name in SPENT:
        claimed, due = getattr(result.protocol, name), getattr(task.budget, name)
        if claimed != due:
            yield f"official, but of {name} {claimed}, not {due}"
    numbers = sorted(seed.seed for seed in result.seeds)
    if numbers != list(range(len(numbers))):
        yield f"official, but of seeds {_listed(numbers)}, not 0 to {len(numbers) - 1}"
    finished = [seed for seed in result.seeds if seed.status == "ok"]
    yield from _copied(finished)
    budget = task.budget
    ends = list(accumulate(budget.steps_in(each) for each in range(budget.rounds)))
    for seed in finished:
        for line in (*_wrong_curve(result, seed, ends), *_wrong_times(result, seed)):
            yield f"seed {seed.seed}: {line}"


def _copied(seeds: Sequence[SeedResult]) -> Iterator[str]:
    """Seeds that have the samples or all the metrics of another one."""
    first: dict[str, int] = {}
    for seed in seeds:
        for what in (seed.samples_sha256, json.dumps(seed.metrics, sort_keys=True)):
            if what is not None and (before := first.setdefault(what, seed.seed)) != seed.seed:
                yield f"seed {seed.seed} is seed {before} once more"
                break


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:3]))
    return shown if len(numbers) <= 3 else f"{shown}, ..."


def _wrong_curve(result: Result, seed: SeedResult, ends: list[int]) -> Iterator[str]:
    """The curve of a finished seed has every evaluation, and ends at what the seed claims."""
    if [point.step for point in seed.curve if point.metrics] != ends:
        yield f"its curve has not the task's {len(ends)} evaluations"
        return
    last = seed.curve[-1]
    for name, value in seed.metrics.items():
        if last.metrics.get(name, value) != value or (
            name in result.task.views.values() and name not in last.metrics
        ):
            yield f"its curve does not end at its {name}"
            return
    times = [point.train_seconds for point in seed.curve]
    if any(later < earlier for earlier, later in pairwise(times)):
        yield "its curve goes back in time"
    elif not math.isclose(times[-1], seed.timing.train_seconds, rel_tol=1e-3, abs_tol=1e-3):
        yield "its curve does not end at its seconds of training"


def _wrong_times(result: Result, seed: SeedResult) -> Iterator[str]:
    """Times of a finished seed add up, and so many steps can have been made in them."""
    timing, steps = seed.timing, result.protocol.steps
    parts = sum(getattr(timing, name) for name in type(timing).model_fields if _is_part(name))
    if not math.isclose(parts, timing.wall_seconds, rel_tol=1e-2, abs_tol=1e-2):
        yield "its seconds do not add up"
    if timing.train_seconds < FASTEST * steps:
        yield f"{steps:,} steps in {timing.train_seconds:.3g} seconds are not possible"
    speed = timing.steps_per_second
    if speed and not 0.2 * steps < speed * timing.train_seconds < 5 * steps:
        yield "its steps per second are not those of its seconds of training"


def _is_part(name: str) -> bool:
    return name.endswith("_seconds") and name != "wall_seconds"
