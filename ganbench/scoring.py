"""Where a metric's value lies between what real data and a naive sampler score."""

from __future__ import annotations

import math
from typing import Literal

ALIKE = 3.0  # standard deviations of the floor, within which floor and ceiling are one

Direction = Literal["lower", "higher"]


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
