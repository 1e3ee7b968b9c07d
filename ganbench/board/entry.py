"""A result without its curves: what the board needs, small enough to hold of thousands."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypedDict

from ganbench.results.schema import LOCAL, MetricInfo, Result, SeedResult, Status, mean_speed
from ganbench.scoring import Direction


class Measured(TypedDict):
    """A metric's interquartile mean over seeds, and what the task knows of it."""

    value: float | None
    direction: Direction
    floor: float
    ceiling: float
    noise: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardEntry:
    """An entry on a task. The lists are by seed; the first of the metrics ranks.

    `seconds` are those of training. `bests` are the evaluations that scored higher than all before
    them, as [seconds, score]. `hardware` is what times compare on. `labels` says whether its losses
    were told classes. `local` is one that lies beside a published entry, and `unpaired` says what
    lies beside this one and is not its own.
    """

    name: str
    task: str
    version: int
    metrics: dict[str, Measured]
    score: float | None
    interval: list[float] | None
    seeds: list[int]
    statuses: list[Status]
    scores: list[float | None]
    seconds: list[float]
    bests: list[list[list[float]]]
    steps_per_second: float | None
    steps: int
    batch_size: int
    budget: str
    official: bool
    device: str
    hardware: str
    tuning_trials: int
    labels: bool
    local: bool
    unpaired: str | None

    @property
    def ranking(self) -> str:
        """The metric that ranks."""
        return next(iter(self.metrics))

    @property
    def failed(self) -> int:
        """How many seeds did not end well."""
        return sum(status != "ok" for status in self.statuses)

    @property
    def bounds(self) -> dict[str, tuple[Direction, float, float]]:
        """Direction, floor and ceiling of each metric."""
        return {k: (m["direction"], m["floor"], m["ceiling"]) for k, m in self.metrics.items()}

    def document(self) -> dict[str, Any]:
        """Plain values for JSON, which `BoardEntry(**document)` takes back."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def board_entry(result: Result, *, local: bool = False, unpaired: str | None = None) -> BoardEntry:
    """What the board needs of a result; a local one is named as its file is."""
    summary, protocol, info = result.summary, result.protocol, result.task.metrics
    return BoardEntry(
        name=result.entry.name + (LOCAL if local else ""),
        task=result.task.name,
        version=result.task.version,
        metrics={
            name: {"value": summary[name].iqm, **each.model_dump()}  # type: ignore[typeddict-item]
            for name, each in info.items()
        },
        score=summary["score"].iqm,
        interval=None if summary["score"].ci95 is None else list(summary["score"].ci95),
        seeds=[seed.seed for seed in result.seeds],
        statuses=[seed.status for seed in result.seeds],
        scores=[seed.score for seed in result.seeds],
        seconds=[seed.timing.train_seconds for seed in result.seeds],
        bests=[_bests(seed, result.ranking, info[result.ranking]) for seed in result.seeds],
        steps_per_second=mean_speed(result.seeds),
        steps=protocol.steps,
        batch_size=protocol.batch_size,
        budget=protocol.budget,
        official=result.official,
        device=protocol.device,
        hardware=result.machine.accelerator
        or f"{result.machine.cpu}, {result.machine.cores} cores",
        tuning_trials=result.entry.tuning_trials,
        labels=any(seed.labels for seed in result.seeds),
        local=local,
        unpaired=unpaired,
    )


def _bests(seed: SeedResult, metric: str, info: MetricInfo) -> list[list[float]]:
    found: list[list[float]] = []
    for point in seed.curve:
        value = point.metrics.get(metric)
        if value is None:
            continue
        score = info.position(value)
        if not found or score > found[-1][1]:
            found.append([point.train_seconds, score])
    return found
