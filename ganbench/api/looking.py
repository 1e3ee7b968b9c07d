"""What there is, what it scores, and how entries compare."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ganbench import registry
from ganbench.api.result import Table
from ganbench.board import comparison, index, overall, ranking
from ganbench.board.entry import BoardEntry
from ganbench.errors import InputError
from ganbench.harness import evaluate as evaluation
from ganbench.randomness import generator
from ganbench.results.stats import Comparison


def list_tasks() -> list[str]:
    """The names of the bundled tasks.

    Example:
        >>> import ganbench
        >>> "sine" in ganbench.list_tasks()
        True
    """
    return registry.names("tasks")


def list_baselines() -> list[str]:
    """The names of the bundled baselines.

    Example:
        >>> import ganbench
        >>> "wgan_gp" in ganbench.list_baselines()
        True
    """
    return registry.names("baselines")


def list_metrics() -> list[str]:
    """The names of the metrics' quantities.

    Example:
        >>> import ganbench
        >>> "mmd" in ganbench.list_metrics()
        True
    """
    return sorted(registry.directions())


def sample(task: str | Path, n: int, *, seed: int = 0) -> Tensor:
    """n real samples of a task, float32 of shape (n, *task.shape): the same for the same seed.

    Raises InputError for an unknown task, and if n is less than 1.

    Example:
        >>> import ganbench
        >>> ganbench.sample("sine", 3).shape
        torch.Size([3, 64])
    """
    if n < 1:
        raise InputError(f"n must be at least 1, got {n}")
    found = registry.load_task(str(task))
    return found.sample(n, generator(seed, "sample"))


def evaluate(samples: Tensor | ArrayLike, task: str | Path) -> dict[str, Any]:
    """Score samples from anywhere, an array or a tensor of shape (n, *task.shape), n >= 100.

    Returns `task`, `n`, the `score` (1 is real data, 0 a naive sampler, -1 the worst), `views`
    (by name the metric and its position), `metrics` (by name `value`, `floor`, `ceiling`,
    `position`, ...) and `notes`, as `ganbench evaluate --json` prints them. Raises InputError for
    another shape, too few samples, NaN or Inf.

    Example:
        >>> import ganbench
        >>> real = ganbench.sample("gaussian", 4096, seed=7)
        >>> ganbench.evaluate(real, task="gaussian")["score"] > 0.9
        True
    """
    given = samples if isinstance(samples, Tensor) else torch.from_numpy(np.array(samples))
    return evaluation.evaluate(given, str(task))


def leaderboard(task: str | None = None, *, root: str | Path = "leaderboard") -> Table:
    """The board of a task, or over all tasks: a row an entry, the best first.

    Columns of a task's: `entry`, `rank` (the first and the last that its seeds allow; None if it
    is not ranked, for the reason `apart`), `score`, `interval`, `seeds`, ... as
    `ganbench leaderboard show --json` prints them. A damaged file is left out, with a warning.

    Example:
        >>> import ganbench
        >>> for name in ("oracle", "uniform_noise"):
        ...     result = ganbench.run(name, task="gaussian", seeds=2, progress=False)
        >>> [row["entry"] for row in ganbench.leaderboard("gaussian")]
        ['oracle', 'uniform_noise']
    """
    with index.opened() as kept:
        boards = ranking.boards(_entries(kept, root, task), remember=kept.remember)
    if task is not None:
        rows = [row for board in boards for row in board.document()["entries"]]
        return Table(rows, ("entry", "rank", "score", "interval", "seeds", "budget", "apart"))
    over = overall.overall(boards, tasks=overall.declared(Path(root)))
    rows = [row.document() for row in over.rows]
    return Table(rows, ("entry", "rank", "score", "interval", "won", "tied", "lost"))


def compare(
    a: str, b: str, *, task: str | None = None, root: str | Path = "leaderboard"
) -> Mapping[str, Comparison]:
    """Two entries of the leaderboard by the seeds that both have, on each task that both ran.

    The key "all" is over all of them, where they are several. Warns of what does not compare.
    Raises InputError for a name that is not there, and if they have no two seeds of any task in
    common.

    Example:
        >>> import ganbench
        >>> for name in ("oracle", "uniform_noise"):
        ...     result = ganbench.run(name, task="gaussian", seeds=2, progress=False)
        >>> ganbench.compare("oracle", "uniform_noise")["gaussian"].difference > 0
        True
    """
    with index.opened() as kept:
        found, skipped = comparison.compare(_entries(kept, root, task), a, b)
    for reason in skipped:
        warnings.warn(f"not compared: {reason}", stacklevel=2)
    return found


def _entries(kept: index.Index, root: str | Path, task: str | None) -> list[BoardEntry]:
    entries, problems = kept.entries(Path(root), task)
    for problem in problems:
        warnings.warn(problem, stacklevel=3)
    return entries
