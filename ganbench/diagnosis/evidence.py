"""What the rules look at, of a result alone or of a run with its samples.

Torch is imported where samples are looked at: the board judges results without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ganbench.diagnosis.facts import Evidence, Look, Moment
from ganbench.diagnosis.figures import Bound, Values, look_of, position_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ganbench.core import Task
    from ganbench.diagnosis.looks import Ground


class Point(Protocol):
    """A point of the curve, as `schema.Point` has it."""

    @property
    def step(self) -> int:
        """Training steps so far."""

    @property
    def losses(self) -> Mapping[str, float]:
        """Mean losses since the point before."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The evaluation; empty where there was none."""


def of_result(
    metrics: Values,
    bounds: Mapping[str, Bound],
    curve: Sequence[Point],
    *,
    views: Mapping[str, float | None],
    status: str,
    reason: str | None,
) -> Evidence:
    """The evidence in a seed's result alone: without samples, so without a step of onset.

    The first of `bounds` is what every round was measured by; `views` are the seed's positions.
    """
    tracked = next(iter(bounds))
    seen = status in ("ok", "interrupted")
    known = {view: position for view, position in views.items() if position is not None}
    return Evidence(
        status=status,
        reason=reason,
        look=look_of(metrics, bounds) if seen else Look(),
        moments=[_moment(point, tracked, bounds[tracked]) for point in curve],
        tracked=tracked,
        told=_told(metrics.get(tracked), tracked, bounds[tracked]),
        views=known if status == "ok" else {},
    )


def of_run(
    task: Task,
    evidence: Evidence,
    *,
    samples: Tensor | None,
    frames: Sequence[tuple[int, np.ndarray[Any, Any]]],
    training: Tensor | None,
) -> Evidence:
    """All the evidence of a finished seed, from that of its result.

    `samples` (n, *task.shape) are those that were scored last, `frames` the first samples of
    each evaluation by step, `training` what the seed was trained on, if not fresh samples.
    Frames are looked at only when a rule asks for them.
    """
    if samples is None or evidence.look == Look():
        return evidence
    from ganbench.diagnosis import looks

    ground = looks.ground(task)
    return replace(
        evidence,
        look=ground.seen(samples, evidence.look),
        copies=None if training is None else looks.copies(task, samples, training, evidence.look),
        earlier=_earlier(ground, frames, dict(evidence.positions)),
    )


def _earlier(
    ground: Ground,
    frames: Sequence[tuple[int, np.ndarray[Any, Any]]],
    positions: Mapping[int, float],
) -> Callable[[], Iterator[tuple[int, Look]]]:
    """What makes looks at the frames from the last to the first, each once."""
    seen: dict[int, Look] = {}

    def earlier() -> Iterator[tuple[int, Look]]:
        for step, frame in sorted(frames, key=lambda each: -each[0]):
            if step not in seen:
                seen[step] = ground.frame(frame, positions.get(step))
            yield step, seen[step]

    return earlier


def _moment(point: Point, tracked: str, bound: Bound) -> Moment:
    value = point.metrics.get(tracked)
    return Moment(
        step=point.step,
        position=None if value is None else position_of(value, bound),
        d_accuracy=point.losses.get("d_accuracy"),
        d_loss=point.losses.get("d_loss"),
    )


def _told(value: float | None, name: str, bound: Bound) -> str:
    if value is None:
        return ""
    floor = f"real data score {bound.floor + 0.0:.3g}, a naive sampler {bound.ceiling:.3g}"
    return f"{name} is {value:.3g}, where {floor}"
