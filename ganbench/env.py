"""The environment: one episode is one training run; it keeps the budget and the clock."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ganbench import registry
from ganbench.core import Budget, Task
from ganbench.errors import InputError
from ganbench.metrics._kept import keep
from ganbench.randomness import generator, stream
from ganbench.system.devices import judging, waiter
from ganbench.system.threads import one_thread

SLACK = 1e-3  # by which rounding may take the values of images beyond 1


class Clock:
    """Splits wall time among labels: exactly one runs at any moment, so they add up.

    `seconds[label]` is what each has had; `wait` is called before every reading, since kernels
    queued on a GPU would otherwise be charged to whoever comes next.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._wait = wait
        self._label = "other"
        self._since = time.perf_counter()

    def switch(self, label: str) -> str:
        """Charge the time up to now to the running label, start `label`, return the former."""
        self._wait()
        now = time.perf_counter()
        self.seconds[self._label] += now - self._since
        self._label, self._since, before = label, now, self._label
        return before

    @contextmanager
    def during(self, label: str) -> Iterator[None]:
        """Charge a block to `label`."""
        before = self.switch(label)
        try:
            yield
        finally:
            self.switch(before)


class Batches:
    """Real batches of a round, each (batch_size, *shape), gathered when they are looked at.

    A slice of them is a tensor (steps, batch_size, *shape); a `part` is not gathered yet.
    """

    def __init__(self, source: Tensor, index: Tensor | None = None) -> None:
        """Batches that are the `source`'s own, or its rows at an `index` (steps, batch_size)."""
        self._source, self._index = source, index

    def __len__(self) -> int:
        return len(self._source if self._index is None else self._index)

    def __getitem__(self, at: slice | int) -> Tensor:
        if self._index is None:
            return self._source[at]
        rows = self._index[at]
        gathered: Tensor = self._source.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        return gathered

    def __iter__(self) -> Iterator[Tensor]:
        return (self[step] for step in range(len(self)))

    def part(self, first: int, last: int) -> Batches:
        """The batches of the steps from `first` to before `last`."""
        if self._index is None:
            return Batches(self._source[first:last])
        return Batches(self._source, self._index[first:last])


class Env:
    """Deals the real batches of a task round by round and scores the samples handed back.

    `reset(seed=)` starts an episode and `step(samples)` ends a round, as in Gymnasium:

    - observation: the real batches of the next round, (steps, batch_size, *task.shape), which a
      GAN trains on one after the other; empty when the episode is over;
    - action: `evaluation_size` samples, (evaluation_size, *task.shape);
    - reward: how far the task's first metric has come since the last round, starting from the
      ceiling, so that the return is the whole way come;
    - terminated: the first metric has the position `threshold` (None: never); truncated: the
      budget is spent.

    `info["metrics"]` holds the evaluation: of every metric, or, unless it is `thorough`, of the
    first alone but at the end of the budget; `info["position"]` is where the first one lies, and
    `info["score"]` the mean of all views, None where they have not been evaluated. Between a return
    and the next call the clock charges "training".

    Example:
        >>> import ganbench
        >>> env = ganbench.make("gaussian", budget="smoke")
        >>> real, info = env.reset(seed=0)
        >>> fake = ganbench.sample("gaussian", 4096)
        >>> real, reward, terminated, truncated, info = env.step(fake)
        >>> real.shape, info["step"], terminated, truncated
        (torch.Size([25, 4, 2]), 25, True, False)
    """

    def __init__(
        self,
        task: Task,
        *,
        budget: Budget | None = None,
        device: str = "cpu",
        threshold: float | None = None,
        thorough: bool = True,
    ) -> None:
        self.task = task
        self.thorough = thorough
        self.budget = budget or task.budget
        self.device = torch.device(device)
        self.threshold = threshold
        self.judging = judging(self.device)  # where samples are scored
        self.clock = Clock(waiter(self.device))
        self.round = self.budget.rounds
        self._seed, self._next_seed = 0, 0
        self._value = 0.0
        self._pool: Tensor | None = None

    def reset(self, *, seed: int | None = None, round: int = 0) -> tuple[Tensor, dict[str, Any]]:
        """Start the episode of `seed`; a resumed run starts at a later `round`.

        Without a seed it is the one that follows from the last, or 0 at first.
        Every round's data come from a stream of their own, so they do not depend on the start.
        """
        seed = self._next_seed if seed is None else seed
        self._next_seed = stream(seed, "episode")
        info = self.start(seed, round=round)
        with self.clock.during("data"):
            real = self.deal()
        self.clock.switch("training")
        return real, info

    def start(self, seed: int, *, round: int = 0) -> dict[str, Any]:
        """Start the episode of `seed` at a round without dealing its batches; returns the info."""
        with self.clock.during("data"):
            self._seed, self.round = seed, round
            self._value = self.task.bounds[self.task.tracked].ceiling
            pool = self.task.draw_pool(seed)
            self._pool = None if pool is None else pool.to(self.device)
        return {"step": round * self.budget.steps_per_round}

    def step(self, samples: Tensor) -> tuple[Tensor, float, bool, bool, dict[str, Any]]:
        """Score the samples of this round and deal the next; InputError if they are unusable."""
        note = check_values(self.task, samples, "step(samples)")
        if note is not None:
            warnings.warn(note, stacklevel=2)
        reward, terminated, truncated, info = self.score_round(samples)
        with self.clock.during("data"):
            real = self.deal() if not truncated else self._empty()
        self.clock.switch("training")
        return real, reward, terminated, truncated, info

    def score_round(self, samples: Tensor) -> tuple[float, bool, bool, dict[str, Any]]:
        """Score the samples of this round, which ends it: reward, terminated, truncated, info.

        The next round's batches are left to be dealt, and images may have any values.
        """
        if self.round >= self.budget.rounds:
            raise InputError("the episode is over: call reset()")
        with self.clock.during("evaluation"):
            metrics = self.evaluate(samples)
        return self.end_round(metrics)

    def end_round(self, metrics: Mapping[str, float]) -> tuple[float, bool, bool, dict[str, Any]]:
        """End this round by what its samples scored: reward, terminated, truncated, info."""
        bound = self.task.bounds[self.task.tracked]
        value = metrics[self.task.tracked]
        reward = self._value - value if bound.direction == "lower" else value - self._value
        self._value = value
        position = bound.position(value)
        whole = metrics.keys() >= {*self.task.views.values()}
        self.round += 1
        step = min(self.round * self.budget.steps_per_round, self.budget.steps)
        terminated = self.threshold is not None and position >= self.threshold
        truncated = self.round >= self.budget.rounds
        info = {
            "step": step,
            "metrics": metrics,
            "position": position,
            "score": self.task.score(metrics) if whole else None,
        }
        return reward, terminated, truncated, info

    @cached_property
    def _reference(self) -> Tensor:
        return keep(self.task.reference.to(self.judging))

    @property
    def pool(self) -> Tensor | None:
        """What this episode's batches are dealt from, (n, *shape); None if each is drawn afresh."""
        return self._pool

    def evaluate(self, samples: Tensor) -> dict[str, float]:
        """The metrics that are due for (evaluation_size, *task.shape) finite samples.

        They are computed on one thread: on cores that others use too, threads wait for one another.
        """
        return self.evaluate_all([samples])[0]

    def evaluate_all(self, samples: Sequence[Tensor]) -> list[dict[str, float]]:
        """What `evaluate` says of the samples of each of several seeds, in less time."""
        n = self.budget.evaluation_size
        checked = [self.task.check(each, n, f"sample({n})") for each in samples]
        with one_thread():
            fakes = torch.stack(checked).to(self.judging)
            if not bool(torch.isfinite(fakes).all()):
                raise InputError(f"samples hold NaN or Inf on task {self.task.name!r}")
            if self.thorough or self.round + 1 >= self.budget.rounds:
                return self.task.evaluate_all(self._reference, fakes)
            measure = next(self.task.measures())
            return [dict(measure(self._reference, fake)) for fake in fakes]

    def deal(self, steps: int | None = None) -> Tensor:
        """The real batches of this round, (steps, batch_size, *task.shape)."""
        return self.batches(steps)[:]

    def batches(self, steps: int | None = None) -> Batches:
        """The real batches of this round, gathered from the pool, if there is one, when looked at.

        They are drawn on the CPU, as indices of the pool, so that they are the same on a GPU.
        """
        steps = self.budget.steps_in(self.round) if steps is None else steps
        count, size = steps * self.budget.batch_size, self.budget.batch_size
        rng = generator(self._seed, "data", self.round)
        if self._pool is None:
            real = self.task.sample(count, rng).view(steps, size, *self.task.shape)
            return Batches(real.to(self.device))
        if self.task.shuffle:
            which = self._shuffled(count)
        else:
            which = torch.randint(len(self._pool), (count,), generator=rng)
        return Batches(self._pool, which.view(steps, size).to(self.device))

    def _shuffled(self, count: int) -> Tensor:
        """Pool indices of this round when every epoch is a fresh permutation of the pool."""
        assert self._pool is not None
        epoch_length = len(self._pool)
        first = self.round * self.budget.steps_per_round * self.budget.batch_size
        epochs = range(first // epoch_length, (first + count - 1) // epoch_length + 1)
        orders = [
            torch.randperm(epoch_length, generator=generator(self._seed, "epoch", epoch))
            for epoch in epochs
        ]
        start = first - epochs[0] * epoch_length
        return torch.cat(orders)[start : start + count]

    def _empty(self) -> Tensor:
        return torch.empty(0, self.budget.batch_size, *self.task.shape, device=self.device)


def check_values(task: Task, samples: Tensor, source: str) -> str | None:
    """A note, if all values of image samples lie in [0, 1]; InputError outside of [-1, 1].

    Integers are refused too, and samples of other tasks may have any values.
    """
    if not task.is_images or not isinstance(samples, Tensor) or not samples.numel():
        return None
    low, high = (float(each) for each in samples.aminmax())
    if samples.is_floating_point() and max(-low, high) <= 1 + SLACK:
        if low < 0:
            return None
        return (
            f"{source}: all values lie in [0, 1], where images of task {task.name!r} have [-1, 1]: "
            "if yours have [0, 1], convert them with 2 * x - 1"
        )
    how = "scale or clip them"
    if low >= 0 and high <= 255:
        how = f"convert them with {'2 * x - 1' if high <= 1 else 'x / 127.5 - 1'}"
    kind = "floats" if samples.is_floating_point() else "integers"
    raise InputError(
        f"{source}: images of task {task.name!r} must be floats in [-1, 1], "
        f"got {kind} from {low:g} to {high:g}: {how}"
    )


def make(task: str, *, budget: str = "full", device: str = "cpu") -> Env:
    """The environment of a task by name or path, as `gymnasium.make` does for its own.

    Terminates at the task's threshold; `budget` is "full", "quick" or "smoke". Raises InputError
    for an unknown task or budget.

    Example:
        >>> import ganbench
        >>> real, info = ganbench.make("sine", budget="smoke").reset(seed=0)
        >>> real.shape  # steps of the first round, samples of a batch, numbers of a sample
        torch.Size([25, 128, 64])
    """
    loaded = registry.load_task(task)
    return Env(
        loaded, budget=loaded.budget.reduced(budget), device=device, threshold=loaded.threshold
    )
