"""The board of a task: entries that compare, in the order that their seeds can tell apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganbench.board.entry import BoardEntry
from ganbench.board.standard import REFERENCE, Standard, standard_of, why_apart, without_copies
from ganbench.errors import InputError, did_you_mean
from ganbench.results import stats
from ganbench.results.stats import TimeToQuality
from ganbench.scoring import VIEWS, placed, why_unplaced

R = TypeVar("R")
Scores = NDArray[np.float64]
Place = tuple[tuple[int, int], int]  # rank interval, which holds all places of the tie group; group
Estimate = Callable[[ArrayLike, NDArray[np.int16]], NDArray[np.float64]]
Remember = Callable[[str, Callable[[], list[Place]]], list[Place]]
TrackName = Literal["quality", "time"]
Tuning = Literal["any", "default", "tuned"]

TUNINGS: tuple[Tuning, ...] = get_args(Tuning)
ROUNDING = 1e-5  # of seconds in a result
QUALITY = 0.5  # the position to which time is taken, unless another is asked for


@dataclass(frozen=True, kw_only=True)
class Row:
    """An entry on a board, with its seeds' `scores` there, their mean, and its 95 % interval.

    `group` is the number of its tie group, 1 for the leaders, and `rank` the 95 % interval of its
    rank, with all places of the group; both None if it is not ranked, for the reason `apart`.
    `time` is that to the board's quality, in seconds of training, on the board's `hardware` or the
    one of most of its seeds.
    """

    entry: BoardEntry
    scores: list[float | None]
    score: float | None
    interval: list[float] | None
    hardware: str
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
            "wrong": self.entry.wrong,
            "reference": entry.reference,
            "score": self.score,
            "interval": self.interval,
            "views": entry.positions,
            "seeds": len(entry.seeds),
            "not_ok": entry.failed,
            "all_modes": entry.all_modes,
            "verdicts": entry.verdicts,
            "hidden_gap": entry.hidden_gap,
            "metrics": {
                name: {**each, **placed(each["value"], each)}
                for name, each in entry.metrics.items()
            },
            "steps_per_second": entry.steps_per_second(self.hardware),
            "device": entry.device,
            "hardware": sorted(set(entry.hardware)),
            "budget": entry.budget,
            "tuning_trials": entry.tuning_trials,
            "time_to_quality": vars(self.time),
        }


def _by_score(row: Row) -> tuple[float, str]:
    return (-(row.score if row.score is not None else -np.inf), row.entry.name)


def _by_time(row: Row) -> tuple[float, tuple[float, str]]:
    return (row.time.restricted_mean, _by_score(row))


SORTS: Mapping[str, Callable[[Row], Any]] = {
    "score": _by_score,
    "time": _by_time,
    "speed": lambda row: -(row.entry.steps_per_second(row.hardware) or 0.0),
    "name": lambda row: row.entry.name,
}
"""Orders in which rows may be shown, beside that of the ranks."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of training until an evaluation of each seed first showed the quality.

    The quality is a position of the metric that every round is measured by, and the seeds are
    those of one hardware. A run that ended without it, or first had it later, is censored at the
    horizon, since more seconds were not to be had; one that was interrupted, where it stopped.
    """

    seconds: Scores
    reached: list[bool]
    horizon: float

    @staticmethod
    def of(entry: BoardEntry, quality: float, horizon: float, hardware: str) -> Times:
        """The times of an entry's seeds on a hardware."""
        places, latest = entry.on(hardware), horizon * (1 + ROUNDING)
        good = [[at for at, best in entry.bests[i] if best >= quality] for i in places]
        found = [at[0] if at and at[0] <= latest else None for at in good]
        ends = [entry.seconds[i] if entry.statuses[i] == "interrupted" else horizon for i in places]
        seconds = [end if at is None else at for at, end in zip(found, ends, strict=True)]
        return Times(
            seconds=np.minimum(seconds, horizon),
            reached=[at is not None for at in found],
            horizon=horizon,
        )

    def summary(self) -> TimeToQuality:
        """The time to the quality over seeds."""
        return stats.time_to_quality(self.seconds, self.reached, horizon=self.horizon)


@dataclass(frozen=True, kw_only=True)
class Track:
    """A way to rank: by which mean of its seeds' scores, or of their times.

    `order` is that of rows in a tie group and of those that are not ranked. With `by_hardware`
    only seeds of one hardware compete.
    """

    mean: Estimate
    order: Callable[[Row], Any]
    by_hardware: bool


TRACKS: Mapping[TrackName, Track] = {
    "quality": Track(
        mean=stats.resampled_iqms,
        order=_by_score,
        by_hardware=False,
    ),
    "time": Track(
        mean=stats.resampled_means,
        order=_by_time,
        by_hardware=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Board:
    """A task's entries: `ranked` by group, then by score or time, `references`, and those `apart`.

    `by` is the metric whose position is the score; None for the mean of the views. `hardware` is
    None where all of it is compared.
    """

    task: str
    standard: Standard
    track: TrackName
    by: str | None
    hardware: str | None
    quality: float
    ranked: list[Row]
    references: list[Row]
    apart: list[Row]

    @property
    def all_modes(self) -> float | None:
        """None where no entry has modes to hold; else the largest share of seeds that do."""
        shares = [row.entry.all_modes for row in self.ranked + self.references + self.apart]
        return max((share for share in shares if share is not None), default=None)

    @property
    def rows(self) -> list[Row]:
        """The ranked rows, among them the references where they would stand, then the others."""
        return among(self.ranked, self.references, TRACKS[self.track].order) + self.apart

    def sorted(self, by: str) -> list[Row]:
        """The rows by "rank" or one of the orders of `SORTS`, those apart last."""
        if by == "rank":
            return self.rows
        together = [self.ranked + self.references, self.apart]
        return [row for rows in together for row in sorted(rows, key=SORTS[by])]

    def document(self, sort: str = "rank") -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "task": self.task,
            "version": self.standard.version,
            "track": self.track,
            "by": self.by,
            "hardware": self.hardware,
            "quality": self.quality,
            "entries": [row.document() for row in self.sorted(sort)],
        }


def among(ranked: Sequence[R], references: Sequence[R], order: Callable[[R], Any]) -> list[R]:
    """The ranked with each reference before the first that comes after it by `order`."""
    rows = list(ranked)
    for reference in references:
        places = [i for i, row in enumerate(rows) if order(row) > order(reference)]
        rows.insert(min(places, default=len(rows)), reference)
    return rows


def make_anew(key: str, make: Callable[[], list[Place]]) -> list[Place]:
    """What `remember` is where nothing is remembered."""
    return make()


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How boards are ranked: the track, by what, to what quality, with how many replicates."""

    track: TrackName
    by: str | None
    quality: float
    replicates: int
    remember: Remember

    def board(
        self, task: str, standard: Standard, entries: Sequence[BoardEntry], hardware: str | None
    ) -> Board:
        """The board of entries that ran a task, of their seeds on a hardware if one is given."""
        track, by = TRACKS[self.track], standard.views.get(self.by or "", self.by)
        reasons = [why_apart(entry, standard, hardware, by) for entry in entries]
        competing = [i for i, reason in enumerate(reasons) if reason is None]
        own = [hardware or entry.usual_hardware for entry in entries]
        timed = [(entries[i], own[i]) for i in competing or range(len(entries))]
        seconds = (entry.seconds[place] for entry, mine in timed for place in entry.on(mine))
        horizon = max(seconds, default=0.0)
        times = [Times.of(e, self.quality, horizon, h) for e, h in zip(entries, own, strict=True)]
        scores = [_scores(entry, by) for entry in entries]
        values = [
            -times[i].seconds if track.by_hardware else np.array(scores[i], float)
            for i in competing
        ]
        places = dict(zip(competing, self._places(values, track.mean), strict=True))
        rows = [
            Row(
                entry=entry,
                **_found(entry, by, scores[i]),
                hardware=own[i],
                rank=places[i][0] if i in places else None,
                group=places[i][1] if i in places else None,
                apart=reasons[i],
                time=times[i].summary(),
            )
            for i, entry in enumerate(entries)
        ]
        return Board(
            task=task,
            standard=standard,
            track=self.track,
            by=by,
            hardware=hardware,
            quality=self.quality,
            ranked=sorted((r for r in rows if r.group), key=lambda r: (r.group, *track.order(r))),
            references=sorted((r for r in rows if r.apart == REFERENCE), key=track.order),
            apart=sorted((r for r in rows if r.apart not in (None, REFERENCE)), key=track.order),
        )

    def _places(self, values: Sequence[Scores], mean: Estimate) -> list[Place]:
        """The place of each entry, of whose seeds' values the higher are better."""
        if not values:
            return []
        content = b"".join(np.int64(len(each)).tobytes() + each.tobytes() for each in values)
        name = getattr(mean, "__name__", "")
        key = f"{name}-{self.replicates}-{hashlib.sha256(content).hexdigest()}"
        return self.remember(key, lambda: _find_places(values, mean, self.replicates))


def boards(
    entries: Sequence[BoardEntry],
    *,
    quality: float = QUALITY,
    track: TrackName = "quality",
    tuning: Tuning = "any",
    by: str | None = None,
    replicates: int = stats.REPLICATES,
    remember: Remember = make_anew,
) -> list[Board]:
    """The board of each task that has entries, and on the track "time" of each hardware.

    The track "quality" ranks by the score, or by the position of the metric or view `by`, "time"
    by the time to the position `quality` of the metric that every round is measured by. Of `tuning`
    "default" only entries without trials compete, of "tuned" only those with. `replicates` are
    those of the bootstrap. `remember` is called with a key that says what the places of entries
    follow from, and a function that finds them. Raises InputError if no task can be ranked `by`.
    """
    how = Ranking(track=track, by=by, quality=quality, replicates=replicates, remember=remember)
    by_task: dict[str, list[BoardEntry]] = {}
    for entry in entries:
        by_task.setdefault(entry.task, []).append(entry)
    standards = {task: standard_of(task, own) for task, own in sorted(by_task.items())}
    by_task = {task: without_copies(by_task[task], each) for task, each in standards.items()}
    if by is not None and entries:
        standards = _with_positions(standards, by)
    found = []
    for task, standard in standards.items():
        competing = [
            e
            for e in by_task[task]
            if e.reference or tuning == "any" or (tuning == "tuned") == bool(e.tuning_trials)
        ]
        for hardware, group in _groups(competing, TRACKS[track].by_hardware):
            found.append(how.board(task, standard, group, hardware))
    return found


def _with_positions(standards: Mapping[str, Standard], by: str) -> dict[str, Standard]:
    """The tasks on which a metric or a view has positions; InputError if there are none."""
    named = {task: each.views.get(by, by) for task, each in standards.items()}
    reasons = {
        task: why_unplaced(each.metrics[named[task]])
        for task, each in standards.items()
        if named[task] in each.metrics
    }
    placed = {task: standards[task] for task, reason in reasons.items() if reason is None}
    if placed:
        return placed
    known = sorted({*VIEWS, *(name for each in standards.values() for name in each.metrics)})
    if not reasons:
        raise InputError(f"no metric {by!r} on the board{did_you_mean(by, known)}")
    raise InputError(f"{by!r} cannot rank: {next(iter(reasons.values()))}")


def _scores(entry: BoardEntry, by: str | None) -> list[float | None]:
    return entry.scores if by is None else entry.positions_of(by) or [None] * len(entry.seeds)


def _found(entry: BoardEntry, by: str | None, scores: Sequence[float | None]) -> dict[str, Any]:
    """The score of a row and its interval."""
    if by is None:
        return {"scores": scores, "score": entry.score, "interval": entry.interval}
    summary = stats.summarise_values([score for score in scores if score is not None])
    interval = summary.ci95 and list(summary.ci95)
    return {"scores": scores, "score": summary.iqm, "interval": interval}


def _groups(
    entries: Sequence[BoardEntry], by_hardware: bool
) -> list[tuple[str | None, list[BoardEntry]]]:
    """Entries that may be compared: with seeds on one hardware, or all of them, if any."""
    if not by_hardware:
        return [(None, list(entries))] if entries else []
    kinds = sorted({own for entry in entries for own in entry.hardware})
    return [(own, [entry for entry in entries if own in entry.hardware]) for own in kinds]


def _find_places(values: Sequence[Scores], mean: Estimate, count: int) -> list[Place]:
    points, replicates = resampled_means(values, mean, count)
    return find_places(points, replicates[None], seeds=np.array([[*map(len, values)]]))


def resampled_means(
    values: Sequence[Scores], mean: Estimate, count: int, *, stream: int = 0
) -> tuple[Scores, Scores]:
    """The means of entries' seeds (entries,), and of their seeds drawn again (entries, count).

    Of entries with equally many seeds the same are drawn, those of the random `stream`.
    """
    tables = {
        n: stats.resampled([n], rng=np.random.default_rng(stream), replicates=count)
        for n in {len(each) for each in values}
    }
    points, replicates = np.empty(len(values)), np.empty((len(values), count))
    for n, table in tables.items():
        mine = [i for i, each in enumerate(values) if len(each) == n]
        stacked = np.stack([values[i] for i in mine])
        points[mine] = mean(stacked, np.ones((1, n), np.int16))[:, 0]
        replicates[mine] = mean(stacked, table)
    return points, replicates


def find_places(points: Scores, replicates: Scores, *, seeds: NDArray[np.int64]) -> list[Place]:
    """The places of entries by their means (entries,) over tasks.

    `replicates` (tasks, entries, n) are resampled means of each task's `seeds` (tasks, entries).
    """
    groups = stats.tie_groups(points, replicates, seeds=seeds)
    ranks = stats.rank_intervals(replicates.mean(axis=0))
    sizes = np.bincount(groups)
    last = np.cumsum(sizes)[groups]
    low, high = np.minimum(ranks[:, 0], last - sizes[groups] + 1), np.maximum(ranks[:, 1], last)
    places = zip(low.tolist(), high.tolist(), groups.tolist(), strict=True)
    return [((first, last), group) for first, last, group in places]
