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
from ganbench.board.standard import Standard, standard_of, why_apart
from ganbench.results import stats
from ganbench.results.stats import TimeToQuality
from ganbench.scoring import placed

Scores = NDArray[np.float64]
Place = tuple[tuple[int, int], int]  # rank interval, which holds all places of the tie group; group
Estimate = Callable[[ArrayLike, NDArray[np.int16]], NDArray[np.float64]]
Remember = Callable[[str, Callable[[], list[Place]]], list[Place]]
TrackName = Literal["quality", "time"]
Tuning = Literal["any", "default", "tuned"]

TUNINGS: tuple[Tuning, ...] = get_args(Tuning)
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
            "metrics": {name: {**each, **placed(**each)} for name, each in entry.metrics.items()},
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
class Times:
    """Seconds of training until an evaluation of each seed first showed the quality.

    A run that ended without it is censored at the horizon, since more seconds were not to be had;
    only one that was interrupted, where it stopped.
    """

    seconds: Scores
    reached: list[bool]
    horizon: float

    @staticmethod
    def of(entry: BoardEntry, quality: float, horizon: float) -> Times:
        """The times of an entry's seeds."""
        found = [
            next((at for at, score in bests if score >= quality), None) for bests in entry.bests
        ]
        ends = [
            end if status == "interrupted" else horizon
            for end, status in zip(entry.seconds, entry.statuses, strict=True)
        ]
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
    """A way to rank: by what value of its seeds, higher being better, and by which mean of them.

    `order` is that of rows in a tie group and of those that are not ranked. With `by_hardware`
    only entries of one hardware compete.
    """

    value: Callable[[BoardEntry, Times], Scores]
    mean: Estimate
    order: Callable[[Row], Any]
    by_hardware: bool


TRACKS: Mapping[TrackName, Track] = {
    "quality": Track(
        value=lambda entry, times: np.array(entry.scores, float),
        mean=stats.resampled_iqms,
        order=_by_score,
        by_hardware=False,
    ),
    "time": Track(
        value=lambda entry, times: -times.seconds,
        mean=stats.resampled_means,
        order=_by_time,
        by_hardware=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Board:
    """A task's entries: `ranked` by group, then by score or time, and then those `apart`.

    `hardware` is None where all of it is compared.
    """

    task: str
    standard: Standard
    track: TrackName
    hardware: str | None
    quality: float
    ranked: list[Row]
    apart: list[Row]

    @property
    def rows(self) -> list[Row]:
        """The ranked rows, then the others."""
        return self.ranked + self.apart

    def sorted(self, by: str) -> list[Row]:
        """The rows by "rank" or one of the orders of `SORTS`, those apart last."""
        if by == "rank":
            return self.rows
        return [row for rows in (self.ranked, self.apart) for row in sorted(rows, key=SORTS[by])]

    def document(self, sort: str = "rank") -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "task": self.task,
            "version": self.standard.version,
            "track": self.track,
            "hardware": self.hardware,
            "quality": self.quality,
            "entries": [row.document() for row in self.sorted(sort)],
        }


def make_anew(key: str, make: Callable[[], list[Place]]) -> list[Place]:
    """What `remember` is where nothing is remembered."""
    return make()


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How boards are ranked: on which track, to what quality, with how many replicates."""

    track: TrackName
    quality: float
    replicates: int
    remember: Remember

    def board(self, task: str, standard: Standard, entries: Sequence[BoardEntry]) -> Board:
        """The board of entries that ran a task."""
        track = TRACKS[self.track]
        reasons = [why_apart(entry, standard) for entry in entries]
        competing = [i for i, reason in enumerate(reasons) if reason is None]
        timed = [entries[i] for i in competing] or entries
        horizon = max((s for entry in timed for s in entry.seconds), default=0.0)
        times = [Times.of(entry, self.quality, horizon) for entry in entries]
        values = [track.value(entries[i], times[i]) for i in competing]
        places = dict(zip(competing, self._places(values, track.mean), strict=True))
        rows = [
            Row(
                entry=entry,
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
            hardware=entries[0].hardware if track.by_hardware else None,
            quality=self.quality,
            ranked=sorted((r for r in rows if r.group), key=lambda r: (r.group, *track.order(r))),
            apart=sorted((row for row in rows if not row.group), key=track.order),
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
    replicates: int = stats.REPLICATES,
    remember: Remember = make_anew,
) -> list[Board]:
    """The board of each task that has entries, and on the track "time" of each hardware.

    The track "quality" ranks by the score, "time" by the time to the score `quality`. Of `tuning`
    "default" only entries without trials compete, of "tuned" only those with. `replicates` are
    those of the bootstrap. `remember` is called with a key that says what the places of entries
    follow from, and a function that finds them.
    """
    how = Ranking(track=track, quality=quality, replicates=replicates, remember=remember)
    by_task: dict[str, list[BoardEntry]] = {}
    for entry in entries:
        by_task.setdefault(entry.task, []).append(entry)
    found = []
    for task, own in sorted(by_task.items()):
        standard = standard_of(task, own)
        competing = [
            e for e in own if tuning == "any" or (tuning == "tuned") == bool(e.tuning_trials)
        ]
        for group in _groups(competing, TRACKS[track].by_hardware):
            found.append(how.board(task, standard, group))
    return found


def _groups(entries: Sequence[BoardEntry], by_hardware: bool) -> list[list[BoardEntry]]:
    """Entries that may be compared: of one hardware, or all of them, if there are any."""
    if not by_hardware:
        return [list(entries)] if entries else []
    ordered = sorted(entries, key=lambda entry: entry.hardware)
    return [list(group) for _, group in groupby(ordered, key=lambda entry: entry.hardware)]


def _find_places(values: Sequence[Scores], mean: Estimate, count: int) -> list[Place]:
    tables = {
        n: stats.resampled([n], rng=np.random.default_rng(0), replicates=count)
        for n in {len(each) for each in values}
    }
    points, replicates = np.empty(len(values)), np.empty((len(values), count))
    for n, table in tables.items():
        mine = [i for i, each in enumerate(values) if len(each) == n]
        stacked = np.stack([values[i] for i in mine])
        points[mine] = mean(stacked, np.ones((1, n), np.int16))[:, 0]
        replicates[mine] = mean(stacked, table)
    groups = stats.tie_groups(points, replicates, seeds=min(tables))
    ranks = stats.rank_intervals(replicates)
    sizes = np.bincount(groups)
    last = np.cumsum(sizes)[groups]
    low, high = np.minimum(ranks[:, 0], last - sizes[groups] + 1), np.maximum(ranks[:, 1], last)
    places = zip(low.tolist(), high.tolist(), groups.tolist(), strict=True)
    return [((first, last), group) for first, last, group in places]
