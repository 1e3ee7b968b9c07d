"""What is asked of a run and what it reports; building the GAN that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ganbench import registry
from ganbench.core import GAN, Budget, Game, Task
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError, first_line
from ganbench.randomness import seed_global, stream
from ganbench.results.schema import Precision

MANY_STEPS = 10_000  # worth compiling; by steps, not by a measurement, so that bits repeat


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One entry's run in plain words, so that another process can take it over.

    `compiled` None leaves it to the number of steps: what compiling costs comes back with many.
    `tuning_trials` are the settings that were tried to find these.
    """

    task: str
    baseline: str
    hparams: Mapping[str, Any] = field(default_factory=dict)
    budget: str = "full"
    steps: int | None = None
    device: str = "cpu"
    compiled: bool | None = None
    precision: Precision = "float32"
    resume: bool = False
    log_every: int | None = None
    sample_every: int | None = None
    tuning_trials: int = 0
    folder: Path = Path("runs")

    def budget_of(self, task: Task) -> Budget:
        """The task's budget as asked for."""
        budget = task.budget.reduced(self.budget)
        return budget if self.steps is None else budget.with_steps(self.steps)

    def compiles(self, task: Task) -> bool:
        """Whether a Game's steps are compiled, not only traced."""
        if self.compiled is None:
            return self.budget_of(task).steps >= MANY_STEPS
        return self.compiled


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is reported at each row of the log, point of the curve and evaluation.

    `label` names the run where several go on at once. `line` says whether this is worth a line
    where there is no bar, and `line_seconds` are those of training since the last such. `epochs`
    are how many have passed and how many there will be, where the source counts them.
    """

    label: str
    seed: int
    step: int
    steps: int
    train_seconds: float
    losses: Mapping[str, float]
    score: float | None = None
    line: bool = True
    line_seconds: float = 0.0
    epochs: tuple[int, int] | None = None
    note: str = ""


Report = Callable[[Progress], None]


class Stop(Protocol):
    """An event that asks the run to stop at the next step."""

    def is_set(self) -> bool:
        """Whether to stop."""


def build(baseline: registry.Baseline, spec: Spec, task: Task, seed: int) -> GAN:
    """Seed everything, call the entry's `GAN`, and wrap a Game in its trainer."""
    seed_global(stream(seed, "init"))
    hparams = baseline.resolve(task, spec.hparams)
    try:
        made = baseline.make(task, device=spec.device, **hparams)
    except Exception as error:
        kind = type(error).__name__
        raise InputError(
            f"{baseline.path.name}: GAN(...) raised {kind}: {first_line(error)}"
        ) from error
    if isinstance(made, Game):
        made = Trainer(made, seed=seed, device=spec.device, precision=spec.precision)
    elif spec.precision == "bf16":
        raise InputError(f"{baseline.path.name}: precision bf16 is for a ganbench.Game")
    if not isinstance(made, GAN):
        kind = type(made).__name__
        raise InputError(
            f"{baseline.path.name}: GAN(...) must return a ganbench.Game or an object with "
            f"train_step(real) and sample(n), got {kind}"
        )
    return made
