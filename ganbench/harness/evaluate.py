"""Scores samples from anywhere, as `ganbench evaluate` does."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ganbench import registry
from ganbench.env import check_values
from ganbench.errors import InputError
from ganbench.scoring import mean, only_bounds, placed
from ganbench.system.threads import one_thread

FEWEST = 100  # samples


def evaluate(samples: Tensor, task_name: str) -> dict[str, Any]:
    """The JSON document of `ganbench evaluate` for samples (n, *task.shape).

    The floors hold for the task's evaluation size: of more samples a random subset of that size
    is scored, of fewer all.
    """
    task = registry.load_task(task_name)
    n, size = len(samples) if samples.ndim else 0, task.budget.evaluation_size
    checked = task.check(samples, n, "the file") if n else samples
    if n < FEWEST:
        raise InputError(f"{n} samples are too few: give at least {FEWEST}, better {size}")
    if not bool(torch.isfinite(checked).all()):
        raise InputError("the file holds NaN or Inf")
    note = check_values(task, samples, "the file")
    notes, samples = [note] if note else [], checked
    if n > size:
        samples = samples[torch.randperm(n, generator=torch.Generator().manual_seed(0))[:size]]
        notes.append(f"scored {size} of {n} samples, drawn at random: the task's evaluation size")
    if n < size:
        notes.append(f"scored {n} samples: floors and ceilings are those of {size}")
    with one_thread():
        values = task.evaluate(task.reference, samples)
    for name, value in values.items():
        if not math.isfinite(value):
            raise InputError(f"{name} of these samples is {value}: they are too large to be judged")
    metrics = {
        name: {
            "value": value,
            **vars(task.bounds[name]),
            **placed(value, only_bounds(vars(task.bounds[name]))),
        }
        for name, value in values.items()
        if name in task.bounds
    }
    positions = task.positions(values)
    return {
        "task": task.name,
        "n": len(samples),
        "score": mean(positions.values()),
        "views": {
            view: {"metric": task.views[view], "position": at} for view, at in positions.items()
        },
        "metrics": metrics,
        "notes": notes,
    }
