"""The board over all tasks: entries by the mean over tasks of their scores."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganbench.board.ranking import Board, Row, among, find_places, resampled_means
from ganbench.errors import InputError
from ganbench.results import stats
from ganbench.scoring import VIEWS
from ganbench.system import files

LEVELS = (0.5, 0.9)  # of the performance profile that a table shows


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An entry over all tasks.

    `scores` are its means by task; `score` is their mean, with a 95 % `interval` from seeds drawn
    again within each task, and None for one that stands `apart`, for the reason given: it `lacks`
    tasks, or its files differ from task to task. `rank` and `group` are as on a task's board; None
    for those apart and for a reference. `profile` is the share of its seeds,
    over all tasks, that score above each of `LEVELS`. Of the tasks with competitors it has `won`
    those that it leads alone, `tied` those where it cannot be told from the leader, `lost` others.
    """

    name: str
    reference: bool
    scores: dict[str, float]
    lacks: list[str]
    apart: str | None
    score: float | None
    interval: tuple[float, float] | None
    rank: tuple[int, int] | None
    group: int | None
    profile: list[float]
    won: int
    tied: int
    lost: int
    tuning_trials: int

    def document(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        return {"entry": self.name, **{k: v for k, v in vars(self).items() if k != "name"}}


@dataclass(frozen=True, kw_only=True)
class Overall:
    """The board over `tasks`: who is `ranked`, the `references`, and who stands `apart`.

    `unranked` are the names that are ranked on no task, for reasons that its board says. `by` is
    the metric whose position is the score on each; None for the mean of the views.
    """

    tasks: list[str]
    by: str | None
    unranked: list[str]
    ranked: list[Standing]
    references: list[Standing]
    apart: list[Standing]

    @property
    def rows(self) -> list[Standing]:
        """The ranked, among them the references where they would stand, then those apart."""
        return among(self.ranked, self.references, _order) + self.apart

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "tasks": self.tasks,
            "by": self.by,
            "unranked": self.unranked,
            "levels": LEVELS,
            "entries": [row.document() for row in self.rows],
        }


def declared(root: Path) -> list[str] | None:
    """The tasks that a leaderboard's own board.toml names for the board over all; None if none.

    InputError if the file cannot be read, or names them otherwise than in a list.
    """
    path = root / "board.toml"
    if not path.is_file():
        return None
    found = files.read_toml(path).get("overall")
    if found is None or (isinstance(found, list) and all(isinstance(each, str) for each in found)):
        return found
    raise InputError(f"{path}: overall must be a list of tasks")


def overall(
    boards: Sequence[Board],
    *,
    tasks: Collection[str] | None = None,
    replicates: int = stats.REPLICATES,
) -> Overall:
    """The board over the tasks of some boards of the track "quality", one a task.

    These are the tasks that a competitor has run, of `tasks` if they are given; without any
    competitor, those of references. A task that lacks views, as `dirac` does, counts only if none
    has all: its scores say less.
    """
    if tasks is not None:
        boards = [board for board in boards if board.task in tasks]
    alike = [board for board in boards if board.standard.views.keys() == VIEWS.keys()] or boards
    fought = [board for board in alike if board.ranked]
    counted = fought or [board for board in alike if board.references]
    rows: dict[str, dict[str, Row]] = {}
    for board in counted:
        for row in board.ranked + board.references:
            rows.setdefault(row.entry.name, {})[board.task] = row
    names = [board.task for board in counted]
    reasons = {name: _why_apart(own, names) for name, own in rows.items()}
    whole = {name: own for name, own in rows.items() if reasons[name] is None}
    found = _Means.of(whole, names, replicates)
    competing = [name for name, own in whole.items() if not _is_reference(own)]
    places = found.places(competing)
    standings = [
        _standing(name, own, reasons[name], counted, found.of_entry(name), places.get(name))
        for name, own in rows.items()
    ]
    return Overall(
        tasks=names,
        by=next((board.by for board in counted), None),
        unranked=sorted({row.entry.name for board in boards for row in board.apart} - rows.keys()),
        ranked=sorted((s for s in standings if s.rank), key=lambda s: (s.group, *_order(s))),
        references=sorted(
            (s for s in standings if s.reference and s.score is not None), key=_order
        ),
        apart=sorted((s for s in standings if s.score is None), key=_order),
    )


@dataclass(frozen=True, kw_only=True)
class _Means:
    """Means over tasks (entries,); those of each task's seeds, drawn again (tasks, entries, n).

    `seeds` (tasks, entries) are their numbers.
    """

    names: list[str]
    points: np.ndarray[Any, Any]
    replicates: np.ndarray[Any, Any]
    seeds: np.ndarray[Any, Any]

    @staticmethod
    def of(rows: dict[str, dict[str, Row]], tasks: Sequence[str], count: int) -> _Means:
        """The means of entries that have every one of the tasks."""
        points, replicates = np.zeros(len(rows)), np.zeros((len(tasks), len(rows), count))
        for stream, task in enumerate(tasks):
            values = [np.array(own[task].scores, float) for own in rows.values()]
            if values:
                mine = resampled_means(values, stats.resampled_iqms, count, stream=stream)
                points, replicates[stream] = points + mine[0], mine[1]
        return _Means(
            names=list(rows),
            points=points / max(1, len(tasks)),
            replicates=replicates,
            seeds=np.array([[len(own[task].scores) for own in rows.values()] for task in tasks]),
        )

    def of_entry(self, name: str) -> tuple[float, tuple[float, float]] | None:
        """The mean of an entry and its interval; None if it stands apart."""
        if name not in self.names:
            return None
        place = self.names.index(name)
        return float(self.points[place]), stats.interval(self.replicates[:, place].mean(axis=0))

    def places(self, names: Sequence[str]) -> dict[str, tuple[tuple[int, int], int]]:
        """The rank interval and the tie group of those that compete."""
        if not names:
            return {}
        mine = [self.names.index(name) for name in names]
        seeds = self.seeds[:, mine]
        found = find_places(self.points[mine], self.replicates[:, mine], seeds=seeds)
        return dict(zip(names, found, strict=True))


def _standing(
    name: str,
    rows: dict[str, Row],
    apart: str | None,
    boards: Sequence[Board],
    mean: tuple[float, tuple[float, float]] | None,
    place: tuple[tuple[int, int], int] | None,
) -> Standing:
    contests = [board for board in boards if len(board.ranked) > 1 and board.task in rows]
    leads = [board for board in contests if rows[board.task].group == 1]
    alone = sum(sum(row.group == 1 for row in board.ranked) == 1 for board in leads)
    reference = _is_reference(rows)
    every = [score for row in rows.values() for score in row.scores if score is not None]
    return Standing(
        name=name,
        reference=reference,
        scores={task: row.score for task, row in rows.items() if row.score is not None},
        lacks=[board.task for board in boards if board.task not in rows],
        apart=apart,
        score=mean and mean[0],
        interval=mean and mean[1],
        rank=place and place[0],
        group=place and place[1],
        profile=stats.performance_profile(every, LEVELS).tolist(),
        won=0 if reference else alone,
        tied=0 if reference else len(leads) - alone,
        lost=0 if reference else len(contests) - len(leads),
        tuning_trials=max(row.entry.tuning_trials for row in rows.values()),
    )


def _why_apart(rows: dict[str, Row], tasks: Sequence[str]) -> str | None:
    """Why the scores of an entry have no mean over tasks; None if they do."""
    if len(rows) < len(tasks):
        return f"{len(rows)} of {len(tasks)} tasks"
    sources = len({row.entry.source for row in rows.values()})
    return None if sources == 1 else f"{sources} sources"


def _is_reference(rows: dict[str, Row]) -> bool:
    return all(row.entry.reference for row in rows.values())


def _order(standing: Standing) -> tuple[float, str]:
    """The better first; of those that lack tasks, those with more of them."""
    by = len(standing.scores) if standing.score is None else standing.score
    return (-by, standing.name)
