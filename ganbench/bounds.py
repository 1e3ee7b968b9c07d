"""Floors and ceilings: `python -m ganbench.bounds [TASK ...]` writes them beside the task files.

For each metric the floor is its mean over pairs of independent real draws of the evaluation
size; the ceiling is the better mean of the task's naive samplers judged against the same real
draws: uniform noise over the reference's bounding box, and the Gaussian of the true moments, or
else of the training set's, unless the task leaves one out or has one of its own. Frozen, so that
scores never move: of a version that has been frozen before only metrics that are new, or whose
definition has a new version, get bounds; a task that draws or measures otherwise than then is
refused.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbench import registry
from ganbench.errors import InputError
from ganbench.scoring import SPENT, read_frozen, why_no_views
from ganbench.system import files

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ganbench.core import Sampler, Task

PAIRS = 20
CLOSE = 1e-3  # what rounding elsewhere may make of a value, of the way from floor to ceiling
SAMPLERS = ("real", "uniform", "gaussian", "own")
Values = dict[str, float]


def measure_pair(task: Task, index: int) -> dict[str, Values]:
    """Every metric of pair `index`: a real draw against another, and against naive ones.

    Where the real data are few, the held-out reference is one side of every pair.
    """
    from ganbench.randomness import generator  # which imports torch

    n = task.budget.evaluation_size
    fixed = task.held_out is not None
    real = task.reference if fixed else task.sample(n, generator(index, "floor-real"))
    fakes = {"real": task.sample(n, generator(index, "floor-fake"))}
    for name, sampler in naive_samplers(task).items():
        fakes[name] = draw_naive(task, sampler, n, generator(index, name))
    return {name: task.evaluate(real, fake) for name, fake in fakes.items()}


def naive_samplers(task: Task) -> dict[str, str | Sampler]:
    """The task's naive samplers by name, "own" for its own; InputError for none or several own."""
    if not task.naive:
        raise InputError(f"task {task.name!r}: without a naive sampler there is no ceiling")
    own = sum(callable(sampler) for sampler in task.naive)
    if own > 1:
        raise InputError(f"task {task.name!r}: naive may hold one function of its own, got {own}")
    return {"own" if callable(each) else each: each for each in task.naive}


def draw_naive(task: Task, sampler: str | Sampler, n: int, rng: Generator) -> Tensor:
    """n samples of one of the task's naive samplers; InputError if there is none of that name."""
    from ganbench import naive

    if callable(sampler):
        return task.check(sampler(n, rng), n, f"naive({n})")
    if sampler == "uniform":
        return naive.uniform_box(task.reference, n, rng)
    if sampler == "gaussian":
        return naive.matched_gaussian(*task.moments, n, rng).view(n, *task.shape)
    raise InputError(
        f"task {task.name!r}: naive must hold 'uniform', 'gaussian' or a function of (n, rng), "
        f"got {sampler!r:.50}"
    )


def directions_of(task: Task, quantities: Iterable[str]) -> dict[str, str]:
    """Which way each quantity is better; InputError for one that nobody has said it of."""
    known = {**registry.directions(), **task.directions}
    for name in quantities:
        if name not in known:
            raise InputError(
                f"task {task.name!r}: nothing says which way {name!r} is better: "
                f"give its Task directions={{{name!r}: 'lower'}} or 'higher'"
            )
        if known[name] not in ("lower", "higher"):
            raise InputError(
                f"task {task.name!r}: directions[{name!r}] must be 'lower' or 'higher', "
                f"got {known[name]!r}"
            )
    return known


def check_finite(task: Task, pair: Mapping[str, Values]) -> None:
    """InputError for a metric that is no finite number on a pair of draws."""
    for sampler, values in pair.items():
        for name, value in values.items():
            if not math.isfinite(value):
                raise InputError(f"task {task.name!r}: {name!r} is {value} on {sampler} samples")


def summarise(
    pairs: Sequence[Mapping[str, Values]], directions: Mapping[str, str]
) -> dict[str, dict[str, float | str]]:
    """Floor, ceiling and noise of each metric from the pairs' values."""
    import numpy as np

    table: dict[str, dict[str, float | str]] = {}
    versions = registry.metric_versions()
    for name in pairs[0]["real"]:
        real = np.array([pair["real"][name] for pair in pairs])
        naive_means = [
            float(np.mean([pair[sampler][name] for pair in pairs]))
            for sampler in SAMPLERS[1:]
            if sampler in pairs[0]
        ]
        best = max if directions[name] == "higher" else min
        table[name] = {
            "direction": directions[name],
            "floor": _rounded(real.mean()),
            "ceiling": _rounded(best(naive_means)),
            "noise": _rounded(real.std(ddof=1)),
            "version": versions.get(name, 1),
        }
    return table


def measured(task: Task) -> tuple[dict[str, Values], dict[str, dict[str, float | str]]]:
    """Every metric of the first pair, and the bounds that follow from all pairs."""
    pairs = [measure_pair(task, 0)]
    directions = directions_of(task, pairs[0]["real"])  # asked before the other pairs
    check_finite(task, pairs[0])
    for index in range(1, PAIRS):
        pairs.append(measure_pair(task, index))
        check_finite(task, pairs[-1])
    return pairs[0], summarise(pairs, directions)


def freeze(name: str) -> Path:
    """Compute the bounds of a task and write them; return the file's path."""
    from ganbench.system.threads import one_thread

    path = registry.find("tasks", name)
    task = registry.load_bare_task(name)
    with one_thread():
        first_pair, bounds = measured(task)
    document: dict[str, Any] = {
        "version": task.version,
        "source_sha256": files.file_sha256(path),
        "views": dict(task.views),
        "budget": {name: getattr(task.budget, name) for name in SPENT},
        "pairs": PAIRS,
        "first_pair": {
            who: {k: _rounded(v) for k, v in of.items()} for who, of in first_pair.items()
        },
        "metrics": bounds,
    }
    if reason := why_no_views(task.views, document["metrics"]):
        raise InputError(f"task {task.name!r}: {reason}")
    target = path.with_suffix(".json")
    if target.is_file():
        _keep_frozen(document, target)
    target.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return target


def _keep_frozen(document: dict[str, Any], target: Path) -> None:
    """Put the bounds that the same version has into what was measured; InputError if these differ.

    They do in the last digits from machine to machine, where a classifier is trained above all.
    """
    frozen = read_frozen(target)
    version = frozen.version
    if version != document["version"]:
        return
    if frozen.budget not in ({}, document["budget"]):  # older files say nothing of it
        raise InputError(
            f"the budget is {document['budget']}, and was {frozen.budget} when version {version} "
            f"was frozen: raise the task's version, or remove {target.name} if no result relies on "
            "it"
        )
    first, measured = (
        json.loads(target.read_text(encoding="utf-8"))["first_pair"],
        document["first_pair"],
    )
    if first.keys() != measured.keys():
        raise InputError(
            f"naive samplers are {_listed(measured)}, and were {_listed(first)} when version "
            f"{version} was frozen: raise the task's version, or remove {target.name} if no result "
            "relies on it"
        )
    for name, known in frozen.metrics.items():
        own = document["metrics"].get(name)
        if own is None or own["version"] != known["version"]:
            continue
        room = CLOSE * abs(known["ceiling"] - known["floor"]) + known["noise"]
        for sampler in (each for each in SAMPLERS if each in measured):
            values = measured[sampler][name], first[sampler].get(name, math.inf)
            if not math.isclose(*values, rel_tol=CLOSE, abs_tol=room):
                raise InputError(
                    f"{name!r} of {sampler} samples is {values[0]:g}, and was {values[1]:g} when "
                    f"version {version} was frozen: raise the task's version, or remove "
                    f"{target.name} if no result relies on it"
                )
        own |= known
        measured.update({who: {**of, name: first[who][name]} for who, of in measured.items()})


def _listed(pair: Iterable[str]) -> str:
    return ", ".join(sampler for sampler in pair if sampler != "real")


def main(names: Sequence[str]) -> int:
    """Freeze the named tasks, or all bundled ones; the exit code."""
    try:
        for name in names:
            registry.find("tasks", name)  # all of them before the first, which takes minutes
        for name in names or registry.names("tasks"):
            print(f"measuring {PAIRS} pairs of draws of {name}", file=sys.stderr, flush=True)
            with redirect_stdout(sys.stderr):  # for what the task's file prints
                written = freeze(name)
            print(written.name, flush=True)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
