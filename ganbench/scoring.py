"""Where a metric's value lies between what real data and a naive sampler score."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal, TypedDict

from ganbench.errors import InputError

ALIKE = 3.0  # standard deviations of the floor, within which floor and ceiling are one

Direction = Literal["lower", "higher"]


class Bounds(TypedDict):
    """What a task knows of a metric."""

    direction: Direction
    floor: float
    ceiling: float
    noise: float


def read_frozen(path: Path) -> tuple[int, dict[str, Bounds]]:
    """A task's version and its metrics' bounds, as `python -m ganbench.bounds` wrote them."""
    try:
        document = json.loads(path.read_text())
        metrics = {name: only_bounds(each) for name, each in document["metrics"].items()}
        return document["version"], metrics
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is not a file of floors and ceilings: {error}") from error


def only_bounds(each: dict[str, object]) -> Bounds:
    """The bounds among what is kept of a metric."""
    return {name: each[name] for name in Bounds.__annotations__}  # type: ignore[return-value]


def position(value: float, floor: float, ceiling: float) -> float:
    """1 at the floor, 0 at the ceiling, negative when worse than naive (NaN if they meet)."""
    span = ceiling - floor
    return (ceiling - value) / span if span else math.nan


def why_unplaced(floor: float, ceiling: float, noise: float, direction: Direction) -> str | None:
    """Why no value has a position between these bounds; None if every value has one."""
    if abs(floor - ceiling) < ALIKE * noise or floor == ceiling:
        return "real data and a naive sampler score alike"
    if (ceiling < floor) == (direction == "lower"):
        return "a naive sampler scores better than real data"
    return None


def placed(
    value: float | None, floor: float, ceiling: float, noise: float, direction: Direction
) -> dict[str, float | str | None]:
    """The clear `position` of a value, and why it is `unplaced`, for JSON."""
    return {
        "position": clear_position(value, floor, ceiling, noise, direction),
        "unplaced": why_unplaced(floor, ceiling, noise, direction),
    }


def clear_position(
    value: float | None, floor: float, ceiling: float, noise: float, direction: Direction
) -> float | None:
    """The position of a value; None without one, and where `why_unplaced` has a reason."""
    if value is None or why_unplaced(floor, ceiling, noise, direction):
        return None
    return position(value, floor, ceiling)
