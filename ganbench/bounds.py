"""Floors and ceilings: `python -m ganbench.bounds [TASK ...]` writes them beside the task files.

For each metric the floor is its mean over pairs of independent real draws of the evaluation
size; the ceiling is the better mean of two naive samplers judged against the same real draws:
uniform noise over the reference's bounding box, and the Gaussian of the true moments, or else of
the training set's (which does not count on `gaussian`, where it is exact). Frozen, so that scores
never move.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from ganbench import naive, registry
from ganbench.core import Task
from ganbench.randomness import generator
from ganbench.system import files

PAIRS = 20
SAMPLERS = ("real", "uniform", "gaussian")
Values = dict[str, float]


def measure_pair(task: Task, index: int) -> dict[str, Values]:
    """Every metric of pair `index`: a real draw against a real, a uniform and a Gaussian one.

    Where the real data are few, the held-out reference is one side of every pair.
    """
    n = task.budget.evaluation_size
    fixed = task.held_out is not None
    real = task.reference if fixed else task.sample(n, generator(index, "floor-real"))
    fakes = {
        "real": task.sample(n, generator(index, "floor-fake")),
        "uniform": naive.uniform_box(task.reference, n, generator(index, "uniform")),
    }
    if task.name != "gaussian":
        rng = generator(index, "gaussian")
        drawn = naive.matched_gaussian(*task.moments, n, rng)
        fakes["gaussian"] = drawn.view(n, *task.shape)
    return {name: task.evaluate(real, fake) for name, fake in fakes.items()}


def summarise(pairs: list[dict[str, Values]]) -> dict[str, dict[str, float | str]]:
    """Floor, ceiling and noise of each metric from the pairs' values."""
    directions = registry.directions()
    table: dict[str, dict[str, float | str]] = {}
    for name in pairs[0]["real"]:
        real = np.array([pair["real"][name] for pair in pairs])
        naive_means = [
            float(np.mean([pair[sampler][name] for pair in pairs]))
            for sampler in SAMPLERS[1:]
            if sampler in pairs[0]
        ]
        direction = directions.get(name, "lower")
        table[name] = {
            "direction": direction,
            "floor": _rounded(real.mean()),
            "ceiling": _rounded(max(naive_means) if direction == "higher" else min(naive_means)),
            "noise": _rounded(real.std(ddof=1)),
        }
    return table


def freeze(name: str) -> Path:
    """Compute the bounds of a task and write them; return the file's path."""
    path = registry.find("tasks", name)
    task = registry.load("tasks", name)
    pairs = [measure_pair(task, index) for index in range(PAIRS)]
    document = {
        "version": task.version,
        "source_sha256": files.file_sha256(path),
        "pairs": PAIRS,
        "first_pair": {
            who: {k: _rounded(v) for k, v in of.items()} for who, of in pairs[0].items()
        },
        "metrics": summarise(pairs),
    }
    target = path.with_suffix(".json")
    target.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
    return target


def main(names: Iterable[str]) -> None:
    """Freeze the named tasks, or all bundled ones."""
    torch.set_num_threads(1)
    for name in list(names) or registry.names("tasks"):
        print(freeze(name).name, flush=True)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


if __name__ == "__main__":
    main(sys.argv[1:])
