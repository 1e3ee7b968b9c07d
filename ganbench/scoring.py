"""Where a metric's value lies between what real data and a naive sampler score, and the score.

A position is 1 for real data, 0 for a naive sampler, and goes towards -1 however bad. The score is
the mean of the positions of four views, each a question that a person asks of samples.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from ganbench.errors import InputError

ALIKE = 3.0  # standard deviations of the floor, within which floor and ceiling are one
SPENT = ("steps", "batch_size", "evaluations", "evaluation_size")  # of a budget, that runs repeat
WORST = -1.0  # what a seed scores that failed or diverged: never better than one that finished

Direction = Literal["lower", "higher"]

VIEWS: Mapping[str, str] = {
    "fidelity": "do the samples look real?",
    "diversity": "is everything covered?",
    "distribution": "is it in the right proportions?",
    "test": "can a classifier tell them from real ones?",
}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Where a metric's values lie on a task.

    `floor` is what real data scores, `ceiling` what the better naive sampler scores, `noise` the
    standard deviation of the floor over draws. "higher" or "lower" says which way is better, and
    `version` which definition of the metric has measured them.

    Example:
        >>> import ganbench
        >>> bound = ganbench.Bound(direction="lower", floor=0.0, ceiling=2.0, noise=0.01)
        >>> [bound.position(value) for value in (0.0, 0.5, 2.0, 8.0)]
        [1.0, 0.75, 0.0, -0.75]
    """

    direction: Direction
    floor: float
    ceiling: float
    noise: float
    version: int = 1

    def position(self, value: float) -> float:
        """1 at the floor, 0 at the ceiling, towards -1 however bad (NaN if they meet)."""
        return position(value, self.floor, self.ceiling)


class Bounds(TypedDict):
    """What a task knows of a metric; the `version` is that of the metric's definition."""

    direction: Direction
    floor: float
    ceiling: float
    noise: float
    version: int


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What of a task's version never changes: its views, its bounds, what a run may spend."""

    version: int
    views: dict[str, str]
    metrics: dict[str, Bounds]
    budget: dict[str, int]


def read_frozen(path: Path) -> Frozen:
    """What `python -m ganbench.bounds` wrote of a task."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Frozen(
            version=document["version"],
            views=document.get("views", {}),
            metrics={name: only_bounds(each) for name, each in document["metrics"].items()},
            budget=document.get("budget", {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name} is not a file of floors and ceilings: {error}") from error


def only_bounds(each: Mapping[str, Any]) -> Bounds:
    """The bounds among what is kept of a metric; files from before versions are of the first."""
    known = {"version": 1, **each}
    return {name: known[name] for name in Bounds.__annotations__}  # type: ignore[return-value]


def are_the_data(metrics: Mapping[str, float | None], known: Mapping[str, Bounds]) -> bool:
    """Whether samples score as real data do each time, as the points of a point: as anybody's."""
    pairs = [(metrics.get(name), each) for name, each in known.items()]
    return all(value == each["floor"] and each["noise"] == 0 for value, each in pairs)


def position(value: float, floor: float, ceiling: float) -> float:
    """1 at the floor or better, 0 at the ceiling, towards -1 beyond it.

    NaN of NaN, and where floor and ceiling meet.

    Continuous and monotone: (ceiling - value) / (max(ceiling, value) - floor) of a metric of which
    less is better, and mirrored.
    """
    if floor == ceiling or math.isnan(value):
        return math.nan
    sign = 1 if floor < ceiling else -1
    value, floor, ceiling = sign * value, sign * floor, sign * ceiling
    if value == math.inf:
        return -1.0
    return min(1.0, (ceiling - value) / (max(ceiling, value) - floor))


def why_unplaced(bounds: Bounds) -> str | None:
    """Why no value has a position between these bounds; None if every value has one."""
    floor, ceiling = bounds["floor"], bounds["ceiling"]
    if abs(floor - ceiling) < ALIKE * bounds["noise"] or floor == ceiling:
        return "real data and a naive sampler score alike"
    if (ceiling < floor) == (bounds["direction"] == "lower"):
        return "a naive sampler scores better than real data"
    return None


def placed(value: float | None, bounds: Bounds) -> dict[str, float | str | None]:
    """The clear `position` of a value, and why it is `unplaced`, for JSON."""
    return {"position": clear_position(value, bounds), "unplaced": why_unplaced(bounds)}


def clear_position(value: float | None, bounds: Bounds) -> float | None:
    """The position of a value; None without one, and where `why_unplaced` has a reason."""
    if value is None or why_unplaced(bounds):
        return None
    return position(value, bounds["floor"], bounds["ceiling"])


def why_no_views(views: Mapping[str, str], metrics: Mapping[str, Bounds]) -> str | None:
    """Why these metrics, by view, give no score; None if they do."""
    if not views:
        return "no view is named"
    for view, name in views.items():
        if view not in VIEWS:
            return f"view {view!r} is none of {', '.join(VIEWS)}"
        if name not in metrics:
            return f"the view {view!r} is to be {name!r}, which is no quantity of the task"
        if reason := why_unplaced(metrics[name]):
            return f"the view {view!r} is to be {name!r}, which has no position: {reason}"
    return None


def views_of(
    status: str, views: Iterable[str], positions: Mapping[str, float] | None
) -> dict[str, float | None]:
    """The views of a seed: its positions if it finished, none yet if interrupted, else the worst.

    `positions` None are those of a finished seed that lacks a value.
    """
    if status == "ok" and positions is not None:
        return {**positions}
    return dict.fromkeys(views, None if status in ("ok", "interrupted") else WORST)


def score_of(views: Mapping[str, float | None]) -> float | None:
    """The score of a seed's views; None if there are none yet."""
    known = [position for position in views.values() if position is not None]
    return mean(known) if known else None


def mean(positions: Iterable[float]) -> float:
    """The score of positions, one a view."""
    known = list(positions)
    return math.fsum(known) / len(known)
