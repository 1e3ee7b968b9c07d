"""A result without its curves: what the board needs, small enough to hold of thousands."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ganbench.results.schema import LOCAL, MetricInfo, Result, SeedResult, Status
from ganbench.results.stats import iqm
from ganbench.scoring import (
    WORST,
    Bounds,
    Direction,
    are_the_data,
    clear_position,
    why_unplaced,
)

MANY = 6  # metrics, of which no chance makes all equal
Judged = dict[str, tuple[str, int, Direction, float, float]]


class Measured(Bounds):
    """A metric's interquartile mean over seeds, its value in each, and what the task knows."""

    value: float | None
    values: list[float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardEntry:
    """An entry on a task. The lists are by seed; `views` names the metrics that make the score.

    `seconds` are those of training, `speeds` the steps per second. `bests` are the evaluations at
    which the first of the metrics had a better position than at all before them, as [seconds,
    position]. `hidden_gap` is how much lower it scores on hidden parameters and the interval of
    that, `refuted` whether it is too much. `hardware` is what times compare on. `labels` says
    whether its losses were told classes. A `reference` takes no rank. `local` is one that lies
    beside a published entry, and `unpaired` says what lies beside this one and is not its own.
    `samples` are the marks of what seeds generated, `created` when the result was first
    written; `source` is the SHA-256 of its files, `task_sha256` of those of one's own task.
    `wrong` is what `leaderboard check` finds first, and a board cannot rank.
    """

    name: str
    task: str
    version: int
    task_sha256: str | None
    source: str
    metrics: dict[str, Measured]
    views: dict[str, str]
    positions: dict[str, float | None]
    score: float | None
    interval: list[float] | None
    seeds: list[int]
    statuses: list[Status]
    scores: list[float | None]
    seconds: list[float]
    speeds: list[float | None]
    hardware: list[str]
    bests: list[list[list[float]]]
    steps: int
    batch_size: int
    budget: str
    official: bool
    device: str
    tuning_trials: int
    verdicts: list[str | None]
    hidden_gap: list[float] | None
    refuted: bool
    labels: bool
    reference: bool
    local: bool
    unpaired: str | None
    samples: list[str | None]
    created: str
    wrong: str | None

    @property
    def tracked(self) -> str:
        """The metric that every round was measured by."""
        return next(iter(self.metrics))

    @property
    def failed(self) -> int:
        """How many seeds did not end well."""
        return sum(status != "ok" for status in self.statuses)

    @property
    def judged_by(self) -> Judged:
        """What its scores follow from: metric, version, direction, floor, ceiling of each view."""
        return judged_by(self.views, self.metrics)

    @property
    def usual_hardware(self) -> str:
        """That of most of its seeds."""
        return Counter(self.hardware).most_common(1)[0][0]

    @property
    def repeated(self) -> bool:
        """Whether two of its seeds that ended well agree in every metric: they are one.

        Unless as `are_the_data`.
        """
        rows = zip(*(metric["values"] for metric in self.metrics.values()), strict=True)
        well = [
            row
            for row, status in zip(rows, self.statuses, strict=True)
            if status == "ok"
            and not are_the_data(dict(zip(self.metrics, row, strict=True)), self.metrics)
        ]
        return len(set(well)) < len(well)

    def on(self, hardware: str) -> list[int]:
        """The places of the seeds that ran on it."""
        return [place for place, own in enumerate(self.hardware) if own == hardware]

    def steps_per_second(self, hardware: str | None = None) -> float | None:
        """The mean over the seeds that ran on one hardware and were timed; None without any."""
        places = self.on(hardware or self.usual_hardware)
        known = [speed for place in places if (speed := self.speeds[place])]
        return sum(known) / len(known) if known else None

    @property
    def all_modes(self) -> float | None:
        """On a mixture, the share of its seeds that hold every mode; None elsewhere.

        A mode is held by a tenth of its due share of samples: a stray one would not do, with which
        uniform noise holds all eight of a ring.
        """
        found = self.metrics.get("modes_10pct")
        if found is None:
            return None
        # Real data hold all of them, so their number is the floor.
        whole = [value is not None and value >= found["floor"] for value in found["values"]]
        return sum(whole) / len(whole)

    def positions_of(self, metric: str) -> list[float | None] | None:
        """Where a metric lies in each seed, the worst where a seed failed; None if nowhere."""
        found = self.metrics.get(metric)
        if found is None or why_unplaced(found):
            return None
        unmeasured = {"interrupted": None, "failed": WORST, "diverged": WORST}
        return [
            unmeasured[status] if status in unmeasured else clear_position(value, found)
            for status, value in zip(self.statuses, found["values"], strict=True)
        ]

    def document(self) -> dict[str, Any]:
        """Plain values for JSON, which `BoardEntry(**document)` takes back."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def judged_by(views: Mapping[str, str], metrics: Mapping[str, Bounds]) -> Judged:
    """What a score follows from, of each view: two of the same compare."""
    each = {view: (name, metrics[name]) for view, name in views.items()}
    return {
        view: (name, m["version"], m["direction"], m["floor"], m["ceiling"])
        for view, (name, m) in each.items()
    }


def own_seeds(result: Result) -> list[SeedResult]:
    """The seeds whose samples are not anybody's: see `are_the_data`."""
    known = {name: each.bounds for name, each in result.task.metrics.items()}
    return [seed for seed in result.seeds if not are_the_data(seed.metrics, known)]


def marks(result: Result) -> list[str | None]:
    """What no two entries have in common: of each seed the hash of its samples, and its metrics.

    These where there are so many that no chance makes them equal, and none of what anybody has.
    """
    found: list[str | None] = []
    for seed in own_seeds(result):
        found.append(seed.samples_sha256)
        values = [value for value in seed.metrics.values() if value is not None]
        if len(values) >= MANY:
            found.append(f"{seed.seed}: {json.dumps(seed.metrics, sort_keys=True)}")
    return found


def board_entry(
    result: Result,
    *,
    local: bool = False,
    unpaired: str | None = None,
    wrong: str | None = None,
) -> BoardEntry:
    """What the board needs of a result; a local one is named as its file is."""
    summary, protocol, info = result.summary, result.protocol, result.task.metrics
    seeds, hidden = result.seeds, result.hidden
    return BoardEntry(
        name=result.entry.name + (LOCAL if local else ""),
        task=result.task.name,
        version=result.task.version,
        task_sha256=result.task.sha256,
        source=result.entry.sha256,
        metrics={name: _measured(seeds, name, each) for name, each in info.items()},
        views=result.task.views,
        positions={view: found.iqm for view, found in result.views.items()},
        score=summary["score"].iqm,
        interval=None if summary["score"].ci95 is None else list(summary["score"].ci95),
        seeds=[seed.seed for seed in seeds],
        statuses=[seed.status for seed in seeds],
        scores=[seed.score for seed in seeds],
        seconds=[seed.timing.train_seconds for seed in seeds],
        speeds=[seed.timing.steps_per_second for seed in seeds],
        hardware=[seed.machine.hardware for seed in seeds],
        bests=[_bests(seed, result.tracked, info[result.tracked]) for seed in seeds],
        steps=protocol.steps,
        batch_size=protocol.batch_size,
        budget=protocol.budget,
        official=result.official,
        device=protocol.device,
        tuning_trials=result.entry.tuning_trials,
        verdicts=[None if s.verdict is None else s.verdict.kind for s in seeds],
        hidden_gap=None if hidden is None else [hidden.gap, *hidden.ci95],
        refuted=hidden is not None and hidden.verdict == "refuted",
        labels=any(seed.labels for seed in seeds),
        reference=result.entry.reference,
        local=local,
        unpaired=unpaired,
        samples=marks(result),
        created=result.created_at,
        wrong=wrong,
    )


def _measured(seeds: Sequence[SeedResult], metric: str, info: MetricInfo) -> Measured:
    """A metric over the seeds, of which those that finished count for its mean."""
    values = [seed.metrics.get(metric) for seed in seeds]
    pairs = zip(seeds, values, strict=True)
    finished = [value for seed, value in pairs if seed.status == "ok" and value is not None]
    return {"value": iqm(finished) if finished else None, "values": values, **info.bounds}


def _bests(seed: SeedResult, metric: str, info: MetricInfo) -> list[list[float]]:
    found: list[list[float]] = []
    for point in seed.curve:
        value = point.metrics.get(metric)
        if value is None or info.floor == info.ceiling:
            continue
        position = info.position(value)
        if not found or position > found[-1][1]:
            found.append([point.train_seconds, position])
    return found
