"""Whether an official result is of a run as the task has it: budget, seeds, curves, times."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain, pairwise

from ganbench import registry
from ganbench.board.entry import own_seeds
from ganbench.board.standard import are_first
from ganbench.results.schema import Result, SeedResult
from ganbench.scoring import SPENT
from ganbench.system.files import file_sha256
from ganbench.system.texts import defined

FASTEST = 1e-7  # seconds of training that a step takes at least, of however many seeds at once
NEIGHBOURS = {"precision", "density", "coverage"}
DISCRIMINATOR = {"discriminator_accuracy", "discriminator_p_value"}
ALWAYS = NEIGHBOURS | DISCRIMINATOR | {"recall"}  # have a value, whatever the samples
# Metrics that are counts, over the samples of an evaluation times a number; of density, its k.
COUNTED = {"precision": 1, "recall": 1, "coverage": 1, "density": 5, "discriminator_accuracy": 1}


def misconduct(
    result: Result, budget: Mapping[str, int], metrics: Collection[str]
) -> Iterator[str]:
    """A line for each thing that no run of the task's whole budget leaves behind.

    `metrics` are those that the task has.
    """
    for name in SPENT:
        claimed, due = getattr(result.protocol, name), budget[name]
        if claimed != due:
            yield f"official, but of {name} {claimed}, not {due}"
    numbers = sorted(seed.seed for seed in result.seeds)
    if not are_first(numbers):
        yield f"official, but of seeds {_listed(numbers)}, not 0 to {len(numbers) - 1}"
    if result.entry.sha256 in _references() and not result.entry.reference:
        yield "official, but of a reference that does not say so"
    finished = [seed for seed in result.seeds if seed.status == "ok"]
    yield from _copied([seed for seed in own_seeds(result) if seed.status == "ok"])
    steps = budget["steps"]
    a_round = math.ceil(steps / budget["evaluations"])
    ends = [*range(a_round, steps, a_round), steps]
    for seed in finished:
        if seed.samples_sha256 is None:
            yield f"seed {seed.seed} has no hash of its samples"
        lines = (
            _wrong_curve(result, seed, ends),
            _wrong_times(result, seed),
            _lacking(seed, metrics),
            _wrong_counts(seed, budget["evaluation_size"]),
        )
        for line in chain(*lines):
            yield f"seed {seed.seed}: {line}"


@functools.cache
def _references() -> set[str]:
    """The hashes of the bundled references, each of which is one file."""
    folder = registry.folder("baselines")
    files = [folder / f"{name}.py" for name in registry.names("baselines")]
    return {file_sha256(file) for file in files if "REFERENCE" in defined(file.read_bytes())}


def _copied(seeds: Sequence[SeedResult]) -> Iterator[str]:
    """Seeds that have the samples, metrics, MMD or curve of another one."""
    first: dict[str, int] = {}
    for seed in seeds:
        points = [[point.losses, point.metrics] for point in seed.curve[:-1]]
        curve = [point for point in points if any(point)]
        for own in (seed.samples_sha256, seed.metrics, seed.metrics.get("mmd"), curve):
            what = json.dumps(own, sort_keys=True)
            if own and (before := first.setdefault(what, seed.seed)) != seed.seed:
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
    if timing.other_seconds < -max(1e-2 * timing.wall_seconds, 1e-2):
        yield "its parts took longer than all of it"
    if timing.train_seconds < FASTEST * steps:
        yield f"{steps:,} steps in {timing.train_seconds:.3g} seconds are not possible"
    speed = timing.steps_per_second
    if speed and not 0.2 * steps < speed * timing.train_seconds < 5 * steps:
        yield "its steps per second are not those of its seconds of training"
    if speed and timing.step_ms_median and speed * timing.step_ms_median > 5_000:
        yield "its milliseconds a step are more than its steps per second leave"
    if (seed.machine.accelerator is None) != (result.protocol.device == "cpu"):
        yield f"its machine has another device than {result.protocol.device}"


def _lacking(seed: SeedResult, metrics: Collection[str]) -> Iterator[str]:
    """A finished seed has the metrics that every sample has."""
    for name in sorted(ALWAYS & set(metrics)):
        if seed.metrics.get(name) is None:
            yield f"its {name} is missing"


def _wrong_counts(seed: SeedResult, n: int) -> Iterator[str]:
    """Metrics of a finished seed that count samples are whole counts, and fit one another."""
    found = {k: v for k, v in seed.metrics.items() if v is not None}
    for name in COUNTED.keys() & found.keys():
        share = Fraction(found[name]).limit_denominator(n * COUNTED[name])  # some tasks take fewer
        if not math.isclose(found[name], share, abs_tol=1e-12):
            yield f"its {name} is no share of {n:,} samples"
    if found.keys() >= NEIGHBOURS:
        precision, coverage = found["precision"], found["coverage"]
        balls = found["density"] * COUNTED["density"]  # that hold a fake, by fakes
        if balls < max(precision, coverage) or (precision > 0) != (coverage > 0):
            yield "its precision, density and coverage are not of the same samples"
    if found.keys() >= DISCRIMINATOR:
        gap, p_value = 2 * found["discriminator_accuracy"] - 1, found["discriminator_p_value"]
        least, most = _p_values(abs(gap), n)
        if not 0.99 * least <= (p_value if gap > 0 else 1 - p_value) <= 1.01 * most:
            yield "its discriminator_p_value is not that of its discriminator_accuracy"


def _p_values(gap: float, n: int) -> tuple[float, float]:
    """Between which the p-value of a two-sample test lies that judged n rows, half of them real.

    By whether it called as few rows real as such a gap between the two sides allows, or a half.
    """
    return math.erfc(math.sqrt(n * gap / (4 - 2 * gap))) / 2, math.erfc(gap * math.sqrt(n / 2)) / 2


def _is_part(name: str) -> bool:
    return name.endswith("_seconds") and name != "wall_seconds"
