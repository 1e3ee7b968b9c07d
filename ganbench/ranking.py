"""The board of a task: entries that compare, in the order that their seeds can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ganbench import stats
from ganbench.errors import InputError
from ganbench.registry import did_you_mean
from ganbench.results import Result, SeedResult, mean_speed
from ganbench.stats import Comparison, TimeToQuality

Scores = np.ndarray[Any, np.dtype[np.float64]]

SEEDS = 10  # that a ranked entry has at least
SEEDS_OF = {"mnist": 3}  # on a CPU, where a seed takes an hour
QUALITY = 0.5  # the score to which time is taken, unless another is asked for


@dataclass(frozen=True, kw_only=True)
class Row:
    """An entry on a board.

    `group` is the number of its tie group, 1 for the leaders, and `rank` the 95 % interval of its
    rank, with all places of the group; both None if it is not ranked, for the reason `apart`.
    `time` is that to the board's quality, in seconds of training.
    """

    result: Result
    rank: tuple[int, int] | None
    group: int | None
    apart: str | None
    time: TimeToQuality

    @property
    def name(self) -> str:
        """The entry's."""
        return self.result.entry.name

    @property
    def score(self) -> float | None:
        """The interquartile mean over seeds."""
        return self.result.summary["score"].iqm

    @property
    def steps_per_second(self) -> float | None:
        """The mean over the seeds that were timed."""
        return mean_speed(self.result.seeds)

    def document(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        result, summary = self.result, self.result.summary
        return {
            "entry": self.name,
            "rank": self.rank,
            "group": self.group,
            "apart": self.apart,
            "score": self.score,
            "interval": summary["score"].ci95,
            "seeds": len(result.seeds),
            "not_ok": sum(seed.status != "ok" for seed in result.seeds),
            "metrics": {
                name: {"value": summary[name].iqm, **info.model_dump()}
                for name, info in result.task.metrics.items()
            },
            "steps_per_second": self.steps_per_second,
            "device": result.protocol.device,
            "budget": result.protocol.budget,
            "time_to_quality": vars(self.time),
        }


def _by_score(row: Row) -> tuple[float, str]:
    return (-(row.score if row.score is not None else -np.inf), row.name)


SORTS: Mapping[str, Any] = {
    "rank": lambda row: (row.group or np.inf, *_by_score(row)),
    "score": _by_score,
    "speed": lambda row: -(row.steps_per_second or 0.0),
    "time": lambda row: row.time.restricted_mean,
    "name": lambda row: row.name,
}
"""Orders in which rows may be shown."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A task's entries: `ranked` by group and score, then those `apart`."""

    task: str
    version: int
    quality: float
    ranked: list[Row]
    apart: list[Row]

    @property
    def rows(self) -> list[Row]:
        """All of them."""
        return self.ranked + self.apart

    def sorted(self, by: str) -> list[Row]:
        """All of them in one of the orders of `SORTS`, those apart last."""
        return [row for rows in (self.ranked, self.apart) for row in sorted(rows, key=SORTS[by])]

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "task": self.task,
            "version": self.version,
            "quality": self.quality,
            "entries": [row.document() for row in self.rows],
        }


def boards(results: Sequence[Result], *, quality: float = QUALITY) -> list[Board]:
    """The board of each task that has results; `quality` is the score to which time is taken."""
    ordered = sorted(results, key=lambda result: result.task.name)
    return [
        _board(name, list(group), quality)
        for name, group in groupby(ordered, key=lambda result: result.task.name)
    ]


def _board(task: str, results: Sequence[Result], quality: float) -> Board:
    trusted = [result for result in results if result.official]
    version = max(result.task.version for result in trusted or results)
    horizon = max((_seconds(seed) for result in results for seed in result.seeds), default=0.0)
    reasons = [why_apart(result, version) for result in results]
    times = [_time(result, quality, horizon) for result in results]
    chosen = [i for i, reason in enumerate(reasons) if reason is None]
    places = dict(zip(chosen, _places([results[i] for i in chosen]), strict=True))
    rows = [
        Row(
            result=result,
            rank=places[i][0] if i in places else None,
            group=places[i][1] if i in places else None,
            apart=reasons[i],
            time=times[i],
        )
        for i, result in enumerate(results)
    ]
    return Board(
        task=task,
        version=version,
        quality=quality,
        ranked=sorted((row for row in rows if row.group), key=SORTS["rank"]),
        apart=sorted((row for row in rows if not row.group), key=SORTS["rank"]),
    )


def compare(
    results: Sequence[Result], first: str, second: str
) -> tuple[dict[str, Comparison], list[str]]:
    """Two entries by the seeds that both have, on each task that both ran, and on "all".

    The second half says of other tasks why they do not count. Raises InputError for a name that the
    board has not, and if no task counts.
    """
    entries = {
        name: {result.task.name: result for result in results if result.entry.name == name}
        for name in (first, second)
    }
    for name, mine in entries.items():
        if not mine:
            known = sorted({result.entry.name for result in results})
            raise InputError(f"no entry {name!r} on the board{did_you_mean(name, known)}")
    pairs: dict[str, tuple[Scores, Scores]] = {}
    skipped = []
    for task in sorted(entries[first].keys() | entries[second].keys()):
        try:
            pairs[task] = _paired(entries[first].get(task), entries[second].get(task))
        except InputError as error:
            skipped.append(f"{task}: {error}")
    if not pairs:
        raise InputError(f"no task to compare {first!r} and {second!r} on: {'; '.join(skipped)}")
    rng = np.random.default_rng(0)
    found = {task: stats.compare([x], [y], rng=rng) for task, (x, y) in pairs.items()}
    if len(pairs) > 1:
        sides = [[pair[side] for pair in pairs.values()] for side in (0, 1)]
        found["all"] = stats.compare(sides[0], sides[1], rng=rng)
    return found, skipped


def _paired(x: Result | None, y: Result | None) -> tuple[Scores, Scores]:
    """The scores of the seeds of both; InputError, why they do not compare."""
    if x is None or y is None:
        raise InputError("only one of them ran it")
    for what, mine, theirs in (
        ("versions of the task", x.task, y.task),
        ("budgets", x.protocol.steps, y.protocol.steps),
        ("batch sizes", x.protocol.batch_size, y.protocol.batch_size),
    ):
        if mine != theirs:
            raise InputError(f"of different {what}")
    scores = [
        {seed.seed: seed.score for seed in side.seeds if seed.score is not None} for side in (x, y)
    ]
    shared = sorted(scores[0].keys() & scores[1].keys())
    if len(shared) < 2:
        raise InputError(f"{len(shared)} seeds in common, and two are needed")
    first, second = (np.array([each[seed] for seed in shared]) for each in scores)
    return first, second


def why_apart(result: Result, version: int) -> str | None:
    """Why a result is not ranked among those of the task's `version`; None if it is."""
    protocol, seeds = result.protocol, len(result.seeds)
    on_cpu = protocol.device == "cpu"
    least = SEEDS_OF.get(result.task.name, SEEDS) if on_cpu else SEEDS
    if result.task.version != version:
        return f"version {result.task.version} of the task"
    if protocol.budget != "full":
        return f"{protocol.steps} steps" if protocol.budget == "custom" else protocol.budget
    if any(seed.status == "interrupted" for seed in result.seeds):
        return "interrupted"
    if not result.official:
        return "another task"
    return f"{seeds} of {least} seeds" if seeds < least else None


def _places(results: Sequence[Result]) -> list[tuple[tuple[int, int], int]]:
    """Rank interval, which holds all places of its tie group, and that group, of each."""
    if not results:
        return []
    scores = [np.array([seed.score for seed in result.seeds], float) for result in results]
    tables = {
        n: stats.resampled([n], rng=np.random.default_rng(0)) for n in {len(s) for s in scores}
    }
    points, replicates = np.empty(len(scores)), np.empty((len(scores), stats.REPLICATES))
    for n, table in tables.items():
        mine = [i for i, each in enumerate(scores) if len(each) == n]
        values = np.stack([scores[i] for i in mine])
        points[mine] = stats.resampled_iqms(values, np.ones((1, n), np.int16))[:, 0]
        replicates[mine] = stats.resampled_iqms(values, table)
    groups = stats.tie_groups(points, replicates, seeds=min(tables))
    ranks = stats.rank_intervals(replicates)
    sizes = np.bincount(groups)
    last = np.cumsum(sizes)[groups]
    low, high = np.minimum(ranks[:, 0], last - sizes[groups] + 1), np.maximum(ranks[:, 1], last)
    places = zip(low.tolist(), high.tolist(), groups.tolist(), strict=True)
    return [((first, last), group) for first, last, group in places]


def _time(result: Result, quality: float, horizon: float) -> TimeToQuality:
    """To the quality, of an entry's seeds; a run without it is censored where it ended."""
    found = [_reached(result, seed, quality) for seed in result.seeds]
    seconds = [
        _seconds(seed) if at is None else at for at, seed in zip(found, result.seeds, strict=True)
    ]
    return stats.time_to_quality(seconds, [at is not None for at in found], horizon=horizon)


def _reached(result: Result, seed: SeedResult, quality: float) -> float | None:
    """Seconds of training after which an evaluation first showed the quality."""
    info = result.task.metrics[result.ranking]
    for point in seed.curve:
        value = point.metrics.get(result.ranking)
        if value is not None and info.position(value) >= quality:
            return point.train_seconds
    return None


def _seconds(seed: SeedResult) -> float:
    return seed.timing.train_seconds
