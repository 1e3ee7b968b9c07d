"""Two entries of the board by the seeds that both have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ganbench.board.entry import BoardEntry
from ganbench.board.ranking import Scores
from ganbench.errors import InputError, did_you_mean
from ganbench.results import stats
from ganbench.results.stats import Comparison


def compare(
    entries: Sequence[BoardEntry], first: str, second: str
) -> tuple[dict[str, Comparison], list[str]]:
    """Two entries by the seeds that both have, on each task that both ran, and on "all".

    The second half says of other tasks why they do not count. Raises InputError for a name that the
    board has not, and if no task counts.
    """
    sides = {
        name: {entry.task: entry for entry in entries if entry.name == name}
        for name in (first, second)
    }
    for name, mine in sides.items():
        if not mine:
            known = sorted({entry.name for entry in entries})
            raise InputError(f"no entry {name!r} on the board{did_you_mean(name, known)}")
    pairs: dict[str, tuple[Scores, Scores]] = {}
    skipped = []
    for task in sorted(sides[first].keys() | sides[second].keys()):
        try:
            pairs[task] = _paired(sides[first].get(task), sides[second].get(task))
        except InputError as error:
            skipped.append(f"{task}: {error}")
    if not pairs:
        raise InputError(f"no task to compare {first!r} and {second!r} on: {'; '.join(skipped)}")
    rng = np.random.default_rng(0)
    found = {task: stats.compare([x], [y], rng=rng) for task, (x, y) in pairs.items()}
    sources = {name: len({mine[task].source for task in pairs}) for name, mine in sides.items()}
    if several := [f"{name} has {n} sources" for name, n in sources.items() if n > 1]:
        skipped.append(f"all: {', '.join(several)}, one on some of the tasks")
    elif len(pairs) > 1:
        x, y = ([pair[side] for pair in pairs.values()] for side in (0, 1))
        found["all"] = stats.compare(x, y, rng=rng)
    return found, skipped


def _paired(x: BoardEntry | None, y: BoardEntry | None) -> tuple[Scores, Scores]:
    """The scores of the seeds of both; InputError, why they do not compare."""
    if x is None or y is None:
        raise InputError("only one of them ran it")
    for entry in (x, y):
        if entry.unpaired:
            raise InputError(f"{entry.name} has {entry.unpaired} beside it")
        if entry.wrong or entry.refuted:
            raise InputError(f"{entry.name} {entry.wrong or 'is refuted on hidden parameters'}")
    for what, mine, theirs in (
        (
            "versions of the task",
            (x.version, x.judged_by),
            (y.version, y.judged_by),
        ),
        ("files of the task", x.task_sha256, y.task_sha256),
        ("budgets", x.steps, y.steps),
        ("batch sizes", x.batch_size, y.batch_size),
    ):
        if mine != theirs:
            raise InputError(f"of different {what}")
    scores = [
        {seed: score for seed, score in zip(e.seeds, e.scores, strict=True) if score is not None}
        for e in (x, y)
    ]
    shared = sorted(scores[0].keys() & scores[1].keys())
    if len(shared) < 2:
        raise InputError(f"{len(shared)} seeds in common, and two are needed")
    first, second = (np.array([each[seed] for seed in shared]) for each in scores)
    return first, second
