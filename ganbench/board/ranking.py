"""The board of a task: entries that compare, in the order that their seeds can tell apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganbench.board.entry import BoardEntry
from ganbench.errors import InputError, did_you_mean
from ganbench.results import stats
from ganbench.results.stats import Comparison, TimeToQuality

Scores = NDArray[np.float64]
Place = tuple[tuple[int, int], int]  # rank interval, which holds all places of the tie group; group
Estimate = Callable[[ArrayLike, NDArray[np.int16]], NDArray[np.float64]]
Remember = Callable[[str, Callable[[], list[Place]]], list[Place]]
Track = Literal["quality", "time"]
Tuning = Literal["any", "default", "tuned"]

TRACKS: tuple[Track, ...] = get_args(Track)
TUNINGS: tuple[Tuning, ...] = get_args(Tuning)
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

    entry: BoardEntry
    rank: tuple[int, int] | None
    group: int | None
    apart: str | None
    time: TimeToQuality

    def document(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        entry = self.entry
        return {
            "entry": entry.name,
            "rank": self.rank,
            "group": self.group,
            "apart": self.apart,
            "score": entry.score,
            "interval": entry.interval,
            "seeds": len(entry.seeds),
            "not_ok": entry.failed,
            "metrics": entry.metrics,
            "steps_per_second": entry.steps_per_second,
            "device": entry.device,
            "hardware": entry.hardware,
            "budget": entry.budget,
            "tuning_trials": entry.tuning_trials,
            "time_to_quality": vars(self.time),
        }


def _by_score(row: Row) -> tuple[float, str]:
    return (-(row.entry.score if row.entry.score is not None else -np.inf), row.entry.name)


def _by_time(row: Row) -> tuple[float, tuple[float, str]]:
    return (row.time.restricted_mean, _by_score(row))


SORTS: Mapping[str, Callable[[Row], Any]] = {
    "score": _by_score,
    "time": _by_time,
    "speed": lambda row: -(row.entry.steps_per_second or 0.0),
    "name": lambda row: row.entry.name,
}
"""Orders in which rows may be shown, beside that of the ranks."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A task's entries: `ranked` by group, then by score or time, and then those `apart`.

    `hardware` is None where all of it is compared.
    """

    task: str
    version: int
    track: Track
    hardware: str | None
    quality: float
    ranked: list[Row]
    apart: list[Row]

    @property
    def rows(self) -> list[Row]:
        """All of them."""
        return self.ranked + self.apart

    def sorted(self, by: str) -> list[Row]:
        """All of them by "rank" or one of the orders of `SORTS`, those apart last."""
        if by == "rank":
            return self.rows
        return [row for rows in (self.ranked, self.apart) for row in sorted(rows, key=SORTS[by])]

    def document(self, sort: str = "rank") -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "task": self.task,
            "version": self.version,
            "track": self.track,
            "hardware": self.hardware,
            "quality": self.quality,
            "entries": [row.document() for row in self.sorted(sort)],
        }


def _made(key: str, make: Callable[[], list[Place]]) -> list[Place]:
    return make()


def boards(
    entries: Sequence[BoardEntry],
    *,
    quality: float = QUALITY,
    track: Track = "quality",
    tuning: Tuning = "any",
    replicates: int = stats.REPLICATES,
    remember: Remember = _made,
) -> list[Board]:
    """The board of each task that has entries, and on the track "time" of each hardware.

    The track "quality" ranks by the score, "time" by the time to the score `quality`. Of `tuning`
    "default" only entries without trials compete, of "tuned" only those with. `replicates` are
    those of the bootstrap. `remember` is called with a key that says what the places of entries
    follow from, and a function that finds them.
    """
    chosen = [e for e in entries if tuning == "any" or (tuning == "tuned") == (e.tuning_trials > 0)]

    def places(values: Sequence[Scores], estimate: Estimate) -> list[Place]:
        return _places(values, estimate, replicates, remember)

    def board_of(entry: BoardEntry) -> tuple[str, str]:
        return entry.task, entry.hardware if track == "time" else ""

    return [
        _board(task, list(group), quality, track, hardware or None, places)
        for (task, hardware), group in groupby(sorted(chosen, key=board_of), key=board_of)
    ]


def _board(
    task: str,
    entries: Sequence[BoardEntry],
    quality: float,
    track: Track,
    hardware: str | None,
    find: Callable[[Sequence[Scores], Estimate], list[Place]],
) -> Board:
    version = max(e.version for e in [e for e in entries if e.official] or entries)
    reasons = [why_apart(entry, version) for entry in entries]
    chosen = [i for i, reason in enumerate(reasons) if reason is None]
    competing = [entries[i] for i in chosen]
    horizon = max((s for entry in competing or entries for s in entry.seconds), default=0.0)
    seconds = [_seconds(entry, quality, horizon) for entry in entries]
    order: Callable[[Row], Any] = _by_score
    estimate: Estimate = stats.resampled_iqms
    values = [np.array(entry.scores, float) for entry in competing]
    if track == "time":
        order, estimate = _by_time, stats.resampled_means
        values = [-seconds[i][0] for i in chosen]
    found = dict(zip(chosen, find(values, estimate), strict=True))
    rows = [
        Row(
            entry=entry,
            rank=found[i][0] if i in found else None,
            group=found[i][1] if i in found else None,
            apart=reasons[i],
            time=stats.time_to_quality(*seconds[i], horizon=horizon),
        )
        for i, entry in enumerate(entries)
    ]
    return Board(
        task=task,
        version=version,
        track=track,
        hardware=hardware,
        quality=quality,
        ranked=sorted((r for r in rows if r.group), key=lambda row: (row.group, *order(row))),
        apart=sorted((row for row in rows if not row.group), key=order),
    )


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
    if len(pairs) > 1:
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
    for what, mine, theirs in (
        ("versions of the task", (x.version, x.bounds), (y.version, y.bounds)),
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


def why_apart(entry: BoardEntry, version: int) -> str | None:
    """Why an entry is not ranked among those of the task's `version`; None if it is."""
    least = SEEDS_OF.get(entry.task, SEEDS) if entry.device == "cpu" else SEEDS
    if entry.local:
        return "local"
    if entry.unpaired:
        return entry.unpaired
    if entry.version != version:
        return f"version {entry.version} of the task"
    if entry.budget != "full":
        return f"{entry.steps} steps" if entry.budget == "custom" else entry.budget
    if "interrupted" in entry.statuses:
        return "interrupted"
    if not entry.official:
        return "another task"
    return f"{len(entry.seeds)} of {least} seeds" if len(entry.seeds) < least else None


def _places(
    values: Sequence[Scores], estimate: Estimate, replicates: int, remember: Remember
) -> list[Place]:
    """The place of each entry, of whose seeds' values the higher are better."""
    if not values:
        return []
    content = b"".join(np.int64(len(each)).tobytes() + each.tobytes() for each in values)
    key = f"{estimate.__name__}-{replicates}-{hashlib.sha256(content).hexdigest()}"
    return remember(key, lambda: _find_places(values, estimate, replicates))


def _find_places(values: Sequence[Scores], estimate: Estimate, count: int) -> list[Place]:
    tables = {
        n: stats.resampled([n], rng=np.random.default_rng(0), replicates=count)
        for n in {len(each) for each in values}
    }
    points, replicates = np.empty(len(values)), np.empty((len(values), count))
    for n, table in tables.items():
        mine = [i for i, each in enumerate(values) if len(each) == n]
        stacked = np.stack([values[i] for i in mine])
        points[mine] = estimate(stacked, np.ones((1, n), np.int16))[:, 0]
        replicates[mine] = estimate(stacked, table)
    groups = stats.tie_groups(points, replicates, seeds=min(tables))
    ranks = stats.rank_intervals(replicates)
    sizes = np.bincount(groups)
    last = np.cumsum(sizes)[groups]
    low, high = np.minimum(ranks[:, 0], last - sizes[groups] + 1), np.maximum(ranks[:, 1], last)
    places = zip(low.tolist(), high.tolist(), groups.tolist(), strict=True)
    return [((first, last), group) for first, last, group in places]


def _seconds(entry: BoardEntry, quality: float, horizon: float) -> tuple[Scores, list[bool]]:
    """Seconds of training until an evaluation of each seed first showed the quality.

    A run that ended without it is censored at the horizon, since more seconds were not to be had;
    only one that was interrupted, where it stopped.
    """
    found = [next((at for at, score in bests if score >= quality), None) for bests in entry.bests]
    ends = [
        end if status == "interrupted" else horizon
        for end, status in zip(entry.seconds, entry.statuses, strict=True)
    ]
    seconds = [end if at is None else at for at, end in zip(found, ends, strict=True)]
    return np.minimum(seconds, horizon), [at is not None for at in found]
