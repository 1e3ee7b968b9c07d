"""The nouns that everything else is made of: Task, Budget, Bound, GAN and Game."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from ganbench import scoring
from ganbench.engine.game import Game as Game
from ganbench.engine.game import Loss as Loss
from ganbench.engine.game import MakeOptimizer as MakeOptimizer
from ganbench.engine.logs import Recording as Recording
from ganbench.errors import InputError
from ganbench.randomness import REFERENCE_SEED, generator
from ganbench.randomness import Sampler as Sampler
from ganbench.scoring import Bound as Bound
from ganbench.scoring import Direction
from ganbench.system.tensors import plain

Value = float | Mapping[str, float]
Metric = Callable[[Tensor, Tensor], Value]
Measure = Callable[[Tensor, Tensor], Mapping[str, float]]


@dataclass(frozen=True)
class AtOnce:
    """A metric in which several fakes take less time together than one after the other.

    `several` takes real (m, *shape) and fakes (S, n, *shape), and gives of each what `one` does.
    """

    one: Metric
    several: Callable[[Tensor, Tensor], Sequence[Value]]

    def __call__(self, real: Tensor, fake: Tensor) -> Value:
        """What the metric says of one fake."""
        return self.one(real, fake)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a GAN may spend on a task.

    `steps` calls of `train_step`, each on `batch_size` real samples, in `evaluations` rounds of
    equal length (the last may be shorter); after each round `evaluation_size` samples are scored.
    Losses are averaged over `log_every` steps for the curve.

    Example:
        >>> import ganbench
        >>> budget = ganbench.load_task("sine").budget.reduced("smoke")
        >>> budget.steps, budget.rounds, budget.steps_in(1)
        (50, 2, 25)
    """

    steps: int
    batch_size: int
    evaluations: int
    evaluation_size: int
    log_every: int
    name: str = "full"

    @property
    def steps_per_round(self) -> int:
        """Training steps between two evaluations."""
        return math.ceil(self.steps / self.evaluations)

    @property
    def rounds(self) -> int:
        """Rounds in an episode (fewer than `evaluations` when these do not divide the steps)."""
        return math.ceil(self.steps / self.steps_per_round)

    def steps_in(self, round: int) -> int:
        """Training steps in round 0, 1, ..., `rounds` - 1."""
        return min(self.steps_per_round, self.steps - round * self.steps_per_round)

    def reduced(self, name: str) -> Budget:
        """The budget "full", "quick" (a tenth of the steps) or "smoke" (50), else InputError."""
        if name == self.name or name == "full":
            return self
        if name == "quick":
            return self._with_steps(max(1, self.steps // 10), evaluations=10, name=name)
        if name == "smoke":
            return self._with_steps(50, evaluations=2, name=name)
        raise InputError(f"budget {name!r} is none of full, quick, smoke")

    def with_steps(self, steps: int) -> Budget:
        """This budget cut or stretched to `steps` training steps; InputError for less than 1."""
        if steps < 1:
            raise InputError(f"steps must be at least 1, got {steps}")
        if steps == self.steps:
            return self
        return self._with_steps(steps, evaluations=self.evaluations, name="custom")

    def _with_steps(self, steps: int, *, evaluations: int, name: str) -> Budget:
        evaluations = min(evaluations, self.evaluations, steps)
        log_every = max(1, min(self.log_every, steps // evaluations))
        return replace(self, steps=steps, evaluations=evaluations, log_every=log_every, name=name)


@dataclass(frozen=True, kw_only=True)
class Modes:
    """The centres ((K, d) tensor) and the common standard deviation of a Gaussian mixture.

    `weights` (K,) add up to 1; None stands for equal ones. Modes may be flat: they extend in the
    first `extent` coordinates alone, and None stands for all d.

    Example:
        >>> import ganbench, torch
        >>> ganbench.Modes(centers=torch.zeros(4, 2), sigma=0.1).due.tolist()
        [0.25, 0.25, 0.25, 0.25]
    """

    centers: Tensor
    sigma: float
    weights: Tensor | None = None
    extent: int | None = None

    @property
    def due(self) -> Tensor:
        """The share of samples (K,) that belongs to each, in float64."""
        if self.weights is not None:
            return self.weights.double()
        return torch.full((len(self.centers),), 1 / len(self.centers), dtype=torch.float64)

    @property
    def dimensions(self) -> int:
        """Coordinates in which a mode extends."""
        return self.centers.shape[1] if self.extent is None else self.extent


@dataclass(frozen=True, kw_only=True)
class Task:
    """A target distribution, what may be spent on it, and how the result is judged.

    `sample(n, rng)` draws a float32 tensor of shape (n, *shape). With a `pool`, training deals
    from that many samples drawn once a run: with replacement, or (`shuffle`) each once an epoch.
    A task of collected data has a `training_set` instead, dealt in the same ways, and a `held_out`
    set as its reference; both are called when they are first needed.
    The first of `metrics` is the one that every round of a run is measured by. `views` names the
    quantity behind each of the views that make the score (`ganbench.scoring.VIEWS`): by default
    the first metric is the only one, the distribution. `mean` (d,), `covariance` (d, d), `modes`
    and `log_density` ((n, d) -> (n,)) are true facts about the target, where they exist;
    `exact_moments` returns the first two where it takes a data set to know them, and is called when
    they are first needed. `label` says which of `classes` modes or classes each sample belongs to
    ((n, *shape) -> (n,), from 0).
    An episode terminates where the first metric has the position `threshold`. `grid` holds the
    abscissae of a task whose samples are curves. Samples of shape (channels, height, width) are
    images with values in [-1, 1]. `directions` says by name which way quantities of the task's own
    are better, "lower" or "higher"; of those in `ganbench.metrics` it is known. `naive` are the
    samplers of which the better one makes a ceiling: "uniform" over the reference's box, the
    "gaussian" of the true moments, neither of which counts where it is exact, and at most one of
    the task's own (n, rng) -> (n, *shape).

    Example:
        >>> import ganbench
        >>> task = ganbench.load_task("sine")
        >>> task.shape, task.reference.shape, task.tracked, task.bounds["mmd"].direction
        ((64,), torch.Size([4096, 64]), 'mmd', 'lower')
    """

    name: str
    version: int
    shape: tuple[int, ...]
    sample: Sampler
    metrics: Mapping[str, Metric]
    budget: Budget
    views: Mapping[str, str] = field(default_factory=dict)
    mean: Tensor | None = None
    covariance: Tensor | None = None
    exact_moments: Callable[[], tuple[Tensor, Tensor]] | None = None
    pool: int | None = None
    training_set: Callable[[], Tensor] | None = None
    held_out: Callable[[], Tensor] | None = None
    shuffle: bool = False
    modes: Modes | None = None
    label: Callable[[Tensor], Tensor] | None = None
    classes: int | None = None
    log_density: Callable[[Tensor], Tensor] | None = None
    threshold: float = 0.98
    grid: Tensor | None = None
    directions: Mapping[str, Direction] = field(default_factory=dict)
    naive: Sequence[Literal["uniform", "gaussian"] | Sampler] = ("uniform", "gaussian")
    bounds: Mapping[str, Bound] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.views:
            object.__setattr__(self, "views", {"distribution": self.tracked})

    @cached_property
    def reference(self) -> Tensor:
        """The held-out real samples that every entry is judged against."""
        if self.held_out is not None:
            return self.held_out()
        rng = torch.Generator().manual_seed(REFERENCE_SEED)
        return self.sample(self.budget.evaluation_size, rng)

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (d,) and covariance (d, d) in float64: the exact ones, else the training set's."""
        if self.mean is not None and self.covariance is not None:
            return self.mean, self.covariance
        if self.exact_moments is not None:
            return self.exact_moments()
        if self.training_set is None:
            raise InputError(f"task {self.name!r} has neither exact moments nor a training set")
        flat = self.training_set().flatten(1).double()
        return flat.mean(0), torch.cov(flat.T)

    @cached_property
    def center(self) -> Tensor:
        """True mean of each coordinate, shape (d,), float32; 0 where it is not known."""
        return torch.zeros(self.width) if self.mean is None else self.mean.float()

    @cached_property
    def scale(self) -> Tensor:
        """True standard deviation of each coordinate, shape (d,); 1 where it is not known."""
        if self.covariance is None:
            return torch.ones(self.width)
        return self.covariance.diagonal().sqrt().float()

    @property
    def width(self) -> int:
        """Numbers in one sample."""
        return math.prod(self.shape)

    @property
    def is_images(self) -> bool:
        """Whether samples are images."""
        return len(self.shape) == 3

    def draw_pool(self, seed: int) -> Tensor | None:
        """What run `seed` trains on, (n, *shape); None if every batch is drawn afresh."""
        if self.training_set is not None:
            return self.training_set()
        return None if self.pool is None else self.sample(self.pool, generator(seed, "pool"))

    @property
    def tracked(self) -> str:
        """Name of the metric that every round of a run is measured by."""
        return next(iter(self.metrics))

    @property
    def ordered_bounds(self) -> dict[str, Bound]:
        """The bounds of each quantity, those of the tracked metric first."""
        return {self.tracked: self.bounds[self.tracked], **self.bounds}

    def evaluate(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """Every metric of the task between two sample tensors of shape (n, *shape)."""
        return self.evaluate_all(real, fake[None])[0]

    def evaluate_all(self, real: Tensor, fakes: Tensor) -> list[dict[str, float]]:
        """What `evaluate` says of each of fakes (S, n, *shape), all at once."""
        values: list[dict[str, float]] = [{} for _ in fakes]
        for name, metric in self.metrics.items():
            if isinstance(metric, AtOnce) and len(fakes) > 1:
                found = metric.several(real, fakes)
            else:
                found = [metric(real, fake) for fake in fakes]
            for known, value in zip(values, found, strict=True):
                known.update(_named(name, value))
        return values

    def measures(self) -> Iterator[Measure]:
        """Each of `metrics` as a function that names the quantities it returns."""
        for name, metric in self.metrics.items():

            def measure(
                real: Tensor, fake: Tensor, name: str = name, metric: Metric = metric
            ) -> Mapping[str, float]:
                return _named(name, metric(real, fake))

            yield measure

    def positions(self, values: Mapping[str, float]) -> dict[str, float]:
        """The position of each view."""
        return {view: self.bounds[name].position(values[name]) for view, name in self.views.items()}

    def score(self, values: Mapping[str, float]) -> float:
        """The mean of the views' positions: 1 is real data, 0 a naive sampler, -1 the worst."""
        return scoring.mean(self.positions(values).values())

    def check(self, samples: Tensor, n: int, source: str) -> Tensor:
        """`samples` as plain float32, if they are n samples of this task; else InputError."""
        expected, on = (n, *self.shape), f"on task {self.name!r}"
        if not isinstance(samples, Tensor):
            raise InputError(f"{source} must return a tensor {on}, got {type(samples).__name__}")
        try:
            made = plain(samples)
        except TypeError as error:
            what = "a dense tensor of numbers"
            raise InputError(f"{source} must return {what} {on}, got {error}") from error
        if (shape := tuple(made.shape)) != expected:
            raise InputError(f"{source} must return shape {expected} {on}, got {shape}")
        return made


def _named(name: str, value: Value) -> Mapping[str, float]:
    """The quantities that a metric has returned, or the one by its own name."""
    return value if isinstance(value, Mapping) else {name: float(value)}


@runtime_checkable
class GAN(Protocol):
    """Anything that learns from real batches and then makes samples of its own.

    Example:
        >>> import ganbench, torch
        >>> class Nothing:
        ...     def train_step(self, real): return {"mean": real.mean()}
        ...     def sample(self, n): return torch.zeros(n, 2)
        >>> isinstance(Nothing(), ganbench.GAN)
        True
    """

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """Learn from one batch (batch_size, *task.shape); return named scalars for the log."""

    def sample(self, n: int) -> Tensor:
        """Make n samples, shape (n, *task.shape)."""
