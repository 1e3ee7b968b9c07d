"""The curve of a seed as a result keeps it, of which a board holds thousands."""

from __future__ import annotations

from collections.abc import Sequence

from ganbench.results.schema import Point

ENOUGH = 10  # evaluations of which a curve can be drawn


def rounded(value: float) -> float:
    """Six digits of a number of a curve, of which a result holds many."""
    return float(f"{value:.6g}")


def thinned(curve: Sequence[Point]) -> list[Point]:
    """The points that were evaluated, and the last: losses averaged since the one before.

    A curve of fewer than ENOUGH evaluations stays as it is. Doing it twice changes nothing more.
    """
    if sum(bool(point.metrics) for point in curve) < ENOUGH:
        return list(curve)
    kept: list[Point] = []
    waiting: list[tuple[int, Point]] = []  # steps since the point before, and the point
    before = 0
    for point in curve:
        waiting.append((point.step - before, point))
        before = point.step
        if point.metrics or point is curve[-1]:
            kept.append(_joined(waiting))
            waiting = []
    return kept


def _joined(parts: Sequence[tuple[int, Point]]) -> Point:
    """The last of some points, with the mean losses of the steps of all."""
    last = parts[-1][1]
    if len(parts) == 1:
        return last
    names = dict.fromkeys(name for _, point in parts for name in point.losses)
    losses = {name: rounded(_mean(name, parts)) for name in names}
    return last.model_copy(update={"losses": losses})


def _mean(name: str, parts: Sequence[tuple[int, Point]]) -> float:
    """Mean of a loss over the steps of those points that have it."""
    having = [(steps, point.losses[name]) for steps, point in parts if name in point.losses]
    return sum(steps * loss for steps, loss in having) / sum(steps for steps, _ in having)
