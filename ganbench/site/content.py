"""What the pages of the site show of the board: each entry's ranks on all tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ganbench.board import comparison, overall, ranking
from ganbench.board.entry import BoardEntry
from ganbench.board.overall import Overall
from ganbench.board.ranking import Board, Remember, Row, TrackName, Tuning
from ganbench.board.text import rank_text
from ganbench.errors import InputError
from ganbench.results import stats
from ganbench.results.stats import Comparison, TimeToQuality

REPLICATES = 10_000  # of the bootstrap, up to so many entries on a board:
MANY = 1_000
MOST_COMPARED = 20  # entries of which each pair is compared
LAST = 10**9  # where what has no rank is sorted


@dataclass(frozen=True, kw_only=True)
class TrackChoice:
    """A way to rank, and what it is called."""

    label: str
    track: TrackName
    tuning: Tuning


def tracks(quality: float) -> list[TrackChoice]:
    """The tracks of the site; the first is shown at first."""
    named: list[tuple[str, TrackName, Tuning]] = [
        ("Quality", "quality", "any"),
        ("Quality, default hyper-parameters", "quality", "default"),
        ("Quality, tuned hyper-parameters", "quality", "tuned"),
        (f"Time to {quality:g}", "time", "any"),
    ]
    return [TrackChoice(label=label, track=track, tuning=tuning) for label, track, tuning in named]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What every page says of how the ranks were found."""

    quality: float
    replicates: int
    tracks: list[TrackChoice]


@dataclass(frozen=True, kw_only=True)
class Rank:
    """On a track: what is shown, empty for an entry that is not on it, and its place.

    `leads` if nobody on it is told apart from it as better; `apart` says why it is not ranked.
    """

    label: str
    text: str = ""
    order: int = LAST
    leads: bool = False
    apart: str | None = None


@dataclass(kw_only=True)
class Line:
    """An entry in a table of the site, with its `speed` in steps per second."""

    entry: BoardEntry
    speed: float | None
    ranks: list[Rank]
    time: TimeToQuality
    comparable: bool

    @property
    def url(self) -> str:
        """The entry's page, from the site's folder."""
        return f"entry/{self.entry.task}/{self.entry.name}.html"

    @property
    def task_url(self) -> str:
        """Its task's page."""
        return f"task/{self.entry.task}.html"

    @property
    def hardware(self) -> list[str]:
        """The kinds that its seeds ran on."""
        return sorted(set(self.entry.hardware))

    @property
    def tracks(self) -> str:
        """The numbers of those that it is on."""
        return self._numbers(lambda rank: rank.text)

    @property
    def leading(self) -> str:
        """The numbers of those that it leads, alone or with others."""
        return self._numbers(lambda rank: rank.leads)

    @property
    def unranked(self) -> str:
        """The numbers of those on which it stands apart."""
        return self._numbers(lambda rank: rank.apart)

    @property
    def apart(self) -> str | None:
        """Why it is not ranked by quality."""
        return self.ranks[0].apart

    def _numbers(self, holds: Callable[[Rank], object]) -> str:
        return " ".join(str(place) for place, rank in enumerate(self.ranks) if holds(rank))


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything that the pages show: boards and lines by task, comparisons of pairs."""

    facts: Facts
    overall: Overall
    boards: dict[str, Board]
    timed: dict[str, list[Board]]
    lines: dict[str, dict[str, Line]]
    compared: list[str]
    comparisons: dict[str, Any]


def content(
    entries: Sequence[BoardEntry],
    *,
    quality: float,
    remember: Remember,
    tasks: Collection[str] | None = None,
) -> Content:
    """Rank the entries on every track, and compare those on most tasks pair by pair.

    `tasks` are those of the board over all, if they are given.
    """
    largest = max(Counter(entry.task for entry in entries).values(), default=0)
    facts = Facts(
        quality=quality,
        replicates=REPLICATES if largest <= MANY else stats.REPLICATES,
        tracks=tracks(quality),
    )
    compared = most_compared(entries)
    lines: dict[str, dict[str, Line]] = {}
    found = [_boards(entries, facts, track, remember) for track in facts.tracks]
    for place, boards in enumerate(found):
        for board in boards:
            own = lines.setdefault(board.task, {})
            for order, row in enumerate(board.rows):
                line = own.setdefault(row.entry.name, _line(row, facts, compared))
                label = facts.tracks[place].label
                line.ranks[place] = Rank(
                    label=label,
                    text=rank_text(row),
                    order=order,
                    leads=row.group == 1,
                    apart=row.apart,
                )
    timed: dict[str, list[Board]] = {}
    for board in found[-1]:
        timed.setdefault(board.task, []).append(board)
    return Content(
        facts=facts,
        overall=overall.overall(found[0], tasks=tasks, replicates=facts.replicates),
        boards={board.task: board for board in found[0]},
        timed=timed,
        lines=lines,
        compared=compared,
        comparisons=comparisons(entries, compared),
    )


def _boards(
    entries: Sequence[BoardEntry], facts: Facts, track: TrackChoice, remember: Remember
) -> list[Board]:
    return ranking.boards(
        entries,
        quality=facts.quality,
        track=track.track,
        tuning=track.tuning,
        replicates=facts.replicates,
        remember=remember,
    )


def _line(row: Row, facts: Facts, compared: Sequence[str]) -> Line:
    """A line of a row of the first track, with no rank yet."""
    return Line(
        entry=row.entry,
        speed=row.entry.steps_per_second(row.hardware),
        ranks=[Rank(label=track.label) for track in facts.tracks],
        time=row.time,
        comparable=row.entry.name in compared,
    )


def most_compared(entries: Sequence[BoardEntry]) -> list[str]:
    """The names on most tasks, and of these the best first."""
    scores: dict[str, list[float]] = {}
    for entry in entries:
        if entry.score is not None:
            scores.setdefault(entry.name, []).append(entry.score)
    order = sorted(scores, key=lambda name: (-len(scores[name]), -sum(scores[name]), name))
    return order[:MOST_COMPARED]


def comparisons(entries: Sequence[BoardEntry], names: Sequence[str]) -> dict[str, Any]:
    """Scores by name, task and seed, and for each ordered pair of names what tells them apart."""
    chosen = [entry for entry in entries if entry.name in set(names)]
    scores: dict[str, dict[str, dict[int, float | None]]] = {name: {} for name in names}
    for entry in chosen:
        scores[entry.name][entry.task] = dict(zip(entry.seeds, entry.scores, strict=True))
    pairs: dict[str, dict[str, Any]] = {name: {} for name in names}
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            try:
                found, skipped = comparison.compare(chosen, first, second)
            except InputError as error:
                found, skipped = {}, [str(error)]
            pairs[first][second] = _pair(found, skipped)
            back = {task: each.reversed() for task, each in found.items()}
            pairs[second][first] = _pair(back, skipped)
    return {"entries": scores, "pairs": pairs}


def _pair(found: dict[str, Comparison], skipped: Sequence[str]) -> dict[str, Any]:
    tasks = {task: {**vars(each), "told_apart": each.told_apart} for task, each in found.items()}
    return {"tasks": tasks, "skipped": skipped}
