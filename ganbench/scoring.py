"""Where a metric's value lies between what real data and a naive sampler score."""

from __future__ import annotations

import math


def position(value: float, floor: float, ceiling: float) -> float:
    """1 at the floor, 0 at the ceiling, negative when worse than naive (NaN if they meet)."""
    span = ceiling - floor
    return (ceiling - value) / span if span else math.nan


def clear_position(value: float | None, floor: float, ceiling: float, noise: float) -> float | None:
    """The same; None without a value, and where floor and ceiling differ by hardly the noise."""
    if value is None or abs(floor - ceiling) < 3 * noise:
        return None
    return position(value, floor, ceiling)
