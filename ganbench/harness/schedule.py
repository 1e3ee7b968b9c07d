"""When a run pauses to note something: rows of its log, points of its curve, samples, snapshots."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ganbench.core import Budget, Recording


@dataclass(frozen=True, kw_only=True)
class Block:
    """Steps of a round that are trained before anything is noted: from `first` to `last`.

    Steps are counted as those done: the round begins when `start` are and ends when `end` are.
    A `watched` block is one step into whose features the trainer looks.
    """

    round: int
    start: int
    end: int
    first: int
    last: int
    watched: bool

    @property
    def begins_round(self) -> bool:
        """Whether it is its round's first."""
        return self.first == self.start

    @property
    def ends_round(self) -> bool:
        """Whether it is its round's last."""
        return self.last == self.end

    @property
    def label(self) -> str:
        """What the clock charges: the first step of all warms caches up."""
        return "warmup" if self.first == 0 else "training"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The steps of a run after which something is noted; steps count from 1.

    Rows of the log come every `row_every` steps and at the end, points of the curve every
    `point_every` steps of a round and at its end. Samples are kept after each of `sample_steps`
    (ascending) and at the end; with None nowhere. With `watches`, the step that leads to such a one
    is trained alone, so that it can be looked into.
    """

    steps: int
    point_every: int
    row_every: int
    sample_steps: Sequence[int] | None = None
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
        samples = recording.sample_steps
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

    def blocks(self, budget: Budget, first_round: int = 0) -> Iterator[Block]:
        """All blocks of a run that begins, or goes on, with that round."""
        for round in range(first_round, budget.rounds):
            start = round * budget.steps_per_round
            step, end = start, start + budget.steps_in(round)
            while step < end:
                last = self.next_stop(step, start, end)
                watched = self.watches and last == step + 1 and self.has_samples(last)
                yield Block(
                    round=round, start=start, end=end, first=step, last=last, watched=watched
                )
                step = last

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
        if self.sample_steps is None:
            return self.steps
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
        if self.sample_steps is None:
            return False
        index = bisect_right(self.sample_steps, step)
        return step == self.steps or (index > 0 and self.sample_steps[index - 1] == step)
