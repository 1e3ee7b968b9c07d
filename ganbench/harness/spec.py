"""What is asked of a run, the job that follows from it, and what a run reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ganbench import registry
from ganbench.core import GAN, Budget, Game, Task
from ganbench.engine.contract import check_arguments
from ganbench.engine.precision import check_precision
from ganbench.engine.trainer import Trainer
from ganbench.errors import ContractError, InputError
from ganbench.harness import in_memory
from ganbench.harness.hidden import Hidden, variant
from ganbench.harness.in_memory import MakeGAN
from ganbench.harness.machine import memory_bytes
from ganbench.randomness import seed_global, stream
from ganbench.results.schema import Precision
from ganbench.system.devices import resolve_device
from ganbench.system.limits import DAY
from ganbench.system.modules import describe, execute

MANY_STEPS = 10_000  # worth compiling; by steps, not by a measurement, so that bits repeat


class UnsuitedError(InputError):
    """A GAN that is made for other tasks, or settings, as its author says by an InputError."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One entry's run in plain words, so that another process can take it over.

    With a `function`, which `baseline` then is the mere name of, it stays in this process.
    `compiled` None leaves it to the number of steps: what compiling costs comes back with many.
    `log` names what else is handed its rows: see `harness.loggers`.
    `tuning_trials` are the settings that were tried to find these. A `protocol` is a row
    of the `PROTOCOL` that the baseline's file defines: the task is then as its
    `conditions(task, row)` change it, with the data, batches and steps of what was published. Of
    `hidden` parameters the task is a variant. Neither such result is ever official. With the hash
    of a `source`, which a run that has begun has, no other is trained, nor on another task.
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
    log: Sequence[str] = ()
    tuning_trials: int = 0
    protocol: str = ""
    hidden: Hidden | None = None
    time_limit: float | None = DAY
    function: MakeGAN | None = None
    folder: Path = Path("runs")
    source: str = ""
    task_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A spec whose names have been looked up and whose values have been checked.

    A process looks them up once, however many seeds it trains. `hparams` are all that the baseline
    is made with, `compiles` says whether a Game's steps are compiled, not only traced.
    `task_sha256` is of the files of one's own task; None of a bundled one that is as it was.
    """

    spec: Spec
    task: Task
    baseline: registry.Baseline
    hparams: Mapping[str, Any]
    budget: Budget
    compiles: bool
    task_sha256: str | None = None

    def in_folder(self, folder: Path) -> Job:
        """This job with a folder for what it leaves, and of no other source than now."""
        spec = replace(self.spec, folder=folder, source=self.baseline.sha256)
        return replace(self, spec=replace(spec, task_sha256=self.task_sha256))


def look_up(spec: Spec) -> Job:
    """The job that a spec stands for; InputError for whatever cannot be meant."""
    baseline = baseline_of(spec)
    if spec.source not in ("", baseline.sha256):
        raise InputError(f"{baseline.path.name} was changed while the run went on: run it again")
    task, task_sha256 = task_of(spec, baseline), own_task_sha256(spec.task)
    if spec.source and spec.task_sha256 != task_sha256:
        raise InputError(f"task {task.name!r} was changed while the run went on: run it again")
    spec = replace(spec, device=resolve_device(spec.device))
    check_precision(spec.precision, spec.device)
    return Job(
        spec=spec,
        task=task,
        baseline=baseline,
        hparams=baseline.resolve(task, spec.hparams),
        budget=task.budget,
        compiles=task.budget.steps >= MANY_STEPS if spec.compiled is None else spec.compiled,
        task_sha256=task_sha256,
    )


def own_task_sha256(name: str) -> str | None:
    """The hash of the files of a task; None of a bundled one whose bounds were frozen with it."""
    if registry.is_unchanged(name):
        return None
    return registry.sources_sha256(execute(registry.find("tasks", name))[1])


def baseline_of(spec: Spec) -> registry.Baseline:
    """The baseline of a spec, executed if it is a file."""
    if spec.function is not None:
        return in_memory.baseline_of(spec.function)
    return registry.load_baseline(spec.baseline)


def task_of(spec: Spec, baseline: registry.Baseline | None = None) -> Task:
    """The task of a spec, with the budget that it leaves; of a protocol, under its conditions.

    Only for a protocol is the baseline's file executed, unless it is given.
    """
    task = plain_task_of(spec)
    if spec.protocol:
        baseline = baseline or baseline_of(spec)
        task = baseline.module.PROTOCOL.conditions(task, spec.protocol)
    return replace(task, budget=budget_of(spec, task))  # which tells the baseline what it may spend


def plain_task_of(spec: Spec) -> Task:
    """The task of a spec, or the variant that is asked for, with its own budget."""
    task = registry.load_task(spec.task)
    return task if spec.hidden is None else variant(task, spec.hidden)


def budget_of(spec: Spec, task: Task) -> Budget:
    """What a spec may spend on a task."""
    budget = task.budget.reduced(spec.budget)
    return budget if spec.steps is None else budget.with_steps(spec.steps)


def check_room(job: Job, seeds: int) -> None:
    """InputError if the real batches of a round, of so many seeds at once, are beyond the memory.

    Of a pool only their places in it are kept, 8 bytes each.
    """
    budget, task = job.budget, job.task
    drawn = task.pool is None and task.training_set is None
    samples = budget.steps_per_round * budget.batch_size
    wanted = seeds * samples * (4 * math.prod(task.shape) if drawn else 8)
    if wanted > (there := memory_bytes()):
        raise InputError(
            f"the batches of a round of {budget.steps_per_round:,} steps, of {seeds:,} seeds, take "
            f"{wanted / 2**30:,.0f} GiB, and this machine has {there / 2**30:,.0f}: "
            "ask for fewer steps, seeds or seconds"
        )


def without_answers(task: Task) -> Task:
    """A task as a GAN is given it, which learns from real batches, and is judged elsewhere.

    Its `sample`, `reference` and metrics raise ContractError; what is changed in its `bounds` is
    its own.
    """
    return replace(
        task,
        sample=_withheld_sample,
        held_out=_withheld_reference,
        metrics=dict.fromkeys(task.metrics, _withheld_metric),
        bounds={name: replace(bound) for name, bound in task.bounds.items()},
    )


def _withheld_sample(n: int, rng: torch.Generator) -> Tensor:
    raise ContractError("a GAN may not call task.sample: it learns from the batches it is dealt")


def _withheld_reference() -> Tensor:
    raise ContractError("a GAN may not look at task.reference, which it is judged against")


def _withheld_metric(real: Tensor, fake: Tensor) -> float:
    raise ContractError("a GAN may not call the metrics of its task, which it is judged by")


def build(job: Job, seed: int) -> GAN:
    """Seed everything, call the baseline's `GAN`, and wrap a Game in its trainer."""
    file, precision, device = job.baseline.path.name, job.spec.precision, job.spec.device
    seed_global(stream(seed, "init"))
    task = job.task if job.baseline.reference else without_answers(job.task)
    try:
        made = job.baseline.make(task, device=device, **job.hparams)
    except InputError as error:
        raise UnsuitedError(f"{file}: {error}") from error
    except (Exception, SystemExit) as error:
        raise InputError(f"{file}: GAN(...) raised {describe(error)}") from error
    if isinstance(made, Game):
        total = job.budget.steps
        made = Trainer(made, seed=seed, device=device, precision=precision, total=total)
    elif precision == "bf16":
        raise InputError(f"{file}: precision bf16 is for a ganbench.Game")
    if not isinstance(made, GAN):
        raise InputError(
            f"{file}: GAN(...) must return a ganbench.Game or an object with "
            f"train_step(real) and sample(n), got {type(made).__name__}"
        )
    check_arguments("train_step", made.train_step, "real")
    check_arguments("sample", made.sample, "n")
    return made


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is reported at each row of the log, point of the curve and evaluation.

    `label` names the run where several go on at once. `line` says whether this is worth a line
    where there is no bar, and `line_seconds` are those of training since the last such. `epochs`
    are how many have passed and how many there will be, where the source counts them. `position`
    is, at an evaluation, where the metric `tracked` lies.
    """

    label: str
    seed: int
    step: int
    steps: int
    train_seconds: float
    losses: Mapping[str, float]
    tracked: str = ""
    position: float | None = None
    line: bool = True
    line_seconds: float = 0.0
    epochs: tuple[int, int] | None = None
    note: str = ""


Report = Callable[[Progress], None]


class Stop(Protocol):
    """An event that asks the run to stop at the next step."""

    def is_set(self) -> bool:
        """Whether to stop."""
