"""What the pages of the site show of the board: each entry's ranks on all tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ganbench import ranking, stats
from ganbench.digest import Digest
from ganbench.errors import InputError
from ganbench.ranking import Board, Remember, Row, Track, Tuning
from ganbench.stats import Comparison, TimeToQuality
from ganbench.tables import rank_text

REPLICATES = 10_000  # of the bootstrap, up to so many entries on a board:
MANY = 1_000
MOST_COMPARED = 20  # entries of which each pair is compared
LAST = 10**9  # where what has no rank is sorted


@dataclass(frozen=True, kw_only=True)
class TrackView:
    """A way to rank, and what it is called."""

    label: str
    track: Track
    tuning: Tuning


def tracks(quality: float) -> list[TrackView]:
    """All of them; the first is shown at first."""
    named: list[tuple[str, Track, Tuning]] = [
        ("Quality", "quality", "any"),
        ("Quality, default hyper-parameters", "quality", "default"),
        ("Quality, tuned hyper-parameters", "quality", "tuned"),
        (f"Time to score {quality:g}", "time", "any"),
    ]
    return [TrackView(label=label, track=track, tuning=tuning) for label, track, tuning in named]


@dataclass(frozen=True, kw_only=True)
class Rank:
    """On a track: what is shown, empty for an entry that is not on it, and its place."""

    label: str
    text: str = ""
    order: int = LAST


@dataclass(kw_only=True)
class Line:
    """An entry in a table of the site."""

    entry: Digest
    ranks: list[Rank]
    leads: bool = False
    apart: str | None = None
    time: TimeToQuality

    @property
    def url(self) -> str:
        """The entry's page, from the site's folder."""
        return f"entry/{self.entry.task}/{self.entry.name}.html"

    @property
    def task_url(self) -> str:
        """Its task's page."""
        return f"task/{self.entry.task}.html"

    @property
    def tracks(self) -> str:
        """The numbers of those that it is on."""
        return " ".join(str(place) for place, rank in enumerate(self.ranks) if rank.text)


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything that the pages share: tracks, boards and lines by task, comparisons."""

    quality: float
    replicates: int
    tracks: list[TrackView]
    boards: dict[str, Board]
    timed: dict[str, list[Board]]
    lines: dict[str, list[Line]]
    compared: list[str]
    comparisons: dict[str, Any] = field(repr=False)

    def line(self, task: str, name: str) -> Line | None:
        """An entry's."""
        return next((line for line in self.lines.get(task, []) if line.entry.name == name), None)


def view(entries: Sequence[Digest], *, quality: float, remember: Remember) -> View:
    """Rank the entries on every track, and compare those on most tasks pair by pair."""
    shown = tracks(quality)
    sizes = Counter(entry.task for entry in entries)
    replicates = REPLICATES if max(sizes.values(), default=0) <= MANY else stats.REPLICATES
    found = [
        ranking.boards(
            entries,
            quality=quality,
            track=each.track,
            tuning=each.tuning,
            replicates=replicates,
            remember=remember,
        )
        for each in shown
    ]
    lines: dict[str, dict[str, Line]] = {}
    for place, boards in enumerate(found):
        for board in boards:
            own = lines.setdefault(board.task, {})
            for order, row in enumerate(board.rows):
                line = own.setdefault(row.entry.name, _line(row, shown))
                line.ranks[place] = Rank(label=shown[place].label, text=rank_text(row), order=order)
    names = most_compared(entries)
    timed: dict[str, list[Board]] = {}
    for board in found[-1]:
        timed.setdefault(board.task, []).append(board)
    return View(
        quality=quality,
        replicates=replicates,
        tracks=shown,
        boards={board.task: board for board in found[0]},
        timed=timed,
        lines={task: list(own.values()) for task, own in lines.items()},
        compared=names,
        comparisons=comparisons(entries, names),
    )


def _line(row: Row, tracks: Sequence[TrackView]) -> Line:
    """As the first track has it, with no rank yet."""
    return Line(
        entry=row.entry,
        ranks=[Rank(label=track.label) for track in tracks],
        leads=row.group == 1,
        apart=row.apart,
        time=row.time,
    )


def most_compared(entries: Sequence[Digest]) -> list[str]:
    """The names on most tasks, and of these the best first."""
    scores: dict[str, list[float]] = {}
    for entry in entries:
        if entry.score is not None:
            scores.setdefault(entry.name, []).append(entry.score)
    order = sorted(scores, key=lambda name: (-len(scores[name]), -sum(scores[name]), name))
    return order[:MOST_COMPARED]


def comparisons(entries: Sequence[Digest], names: Sequence[str]) -> dict[str, Any]:
    """Scores by name, task and seed, and for each ordered pair of names what tells them apart."""
    chosen = [entry for entry in entries if entry.name in set(names)]
    scores: dict[str, dict[str, dict[int, float | None]]] = {name: {} for name in names}
    for entry in chosen:
        scores[entry.name][entry.task] = dict(zip(entry.seeds, entry.scores, strict=True))
    pairs: dict[str, dict[str, Any]] = {name: {} for name in names}
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            try:
                found, skipped = ranking.compare(chosen, first, second)
            except InputError as error:
                found, skipped = {}, [str(error)]
            pairs[first][second] = _pair(found, skipped)
            back = {task: each.reversed() for task, each in found.items()}
            pairs[second][first] = _pair(back, skipped)
    return {"entries": scores, "pairs": pairs}


def _pair(found: dict[str, Comparison], skipped: Sequence[str]) -> dict[str, Any]:
    tasks = {task: {**vars(each), "told_apart": each.told_apart} for task, each in found.items()}
    return {"tasks": tasks, "skipped": skipped}
