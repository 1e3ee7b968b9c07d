"""When a run pauses to note something: rows of its log, points of its curve, samples, snapshots."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from ganbench.core import Budget, Recording


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The steps of a run after which something is noted; steps count from 1.

    Rows of the log come every `row_every` steps and at the end, points of the curve every
    `point_every` steps of a round and at its end. Samples are kept after each of `sample_steps`
    (ascending) and at the end. With `watches`, the step that leads to such a one is trained
    alone, so that it can be looked into.
    """

    steps: int
    point_every: int
    row_every: int
    sample_steps: Sequence[int] = ()
    watches: bool = False
    tells_rows: bool = False

    @classmethod
    def of(
        cls,
        budget: Budget,
        recording: Recording,
        *,
        log_every: int | None = None,
        sample_every: int | None = None,
        watches: bool = False,
    ) -> Schedule:
        """What the user asks for, else what the published system does, else the budget's.

        Rows are printed if asked for, or if there are no more of them than points.
        """
        row_every = log_every or recording.log_every or budget.log_every
        samples: Sequence[int] = recording.sample_steps or ()
        if sample_every is not None:
            samples = range(sample_every, budget.steps + 1, sample_every)
        return cls(
            steps=budget.steps,
            point_every=budget.log_every,
            row_every=row_every,
            sample_steps=samples,
            watches=watches,
            tells_rows=log_every is not None or row_every >= budget.log_every,
        )

    def next_stop(self, step: int, start: int, end: int) -> int:
        """Where to pause next when `step` steps are done, in the round from `start` to `end`."""
        if step == 0:
            return 1  # timed apart: the first step warms caches up and would spoil the rate
        point = start + ((step - start) // self.point_every + 1) * self.point_every
        if end - point < self.point_every / 2:
            point = end  # a short rest would make a noisy point of the curve
        row = (step // self.row_every + 1) * self.row_every
        return min(point, row, self._next_sample(step), end)

    def _next_sample(self, step: int) -> int:
        index = bisect_right(self.sample_steps, step)
        if index == len(self.sample_steps):
            return self.steps
        sample = self.sample_steps[index]
        return sample - 1 if self.watches and sample - 1 > step else sample

    def has_row(self, step: int) -> bool:
        """Whether a row of the log ends here."""
        return step % self.row_every == 0 or step == self.steps

    def has_point(self, step: int, start: int, end: int) -> bool:
        """Whether a point of the curve ends here."""
        whole = (step - start) % self.point_every == 0 and end - step >= self.point_every / 2
        return whole or step == end

    def has_samples(self, step: int) -> bool:
        """Whether samples are kept here."""
        index = bisect_right(self.sample_steps, step)
        here = index > 0 and self.sample_steps[index - 1] == step
        return here or (len(self.sample_steps) > 0 and step == self.steps)
