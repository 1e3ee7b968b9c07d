"""What trains the blocks of seeds: one of them step by step, or a stack of them at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from ganbench.core import GAN
from ganbench.engine.graph import MAX_STEPS
from ganbench.engine.logs import Column, joined
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.env import Batches
from ganbench.errors import ContractError, InputError, one_line
from ganbench.harness.log import columns
from ganbench.harness.recorder import EndedError
from ganbench.harness.schedule import Block
from ganbench.harness.seed_run import NOTE_LENGTH, Outcome, SeedRun, failure
from ganbench.randomness import generator
from ganbench.system.places import named, within


class Learner(Protocol):
    """Trains blocks of the runs that it was made for."""

    def train(self, runs: Sequence[SeedRun], block: Block) -> list[Outcome]:
        """What became of a block in each of those `runs` that have not ended."""


class Eager:
    """Trains runs step by step, as their GANs themselves do.

    The `note` is told once a first block has been trained: what ends a run there says more.
    """

    def __init__(self, note: str = "") -> None:
        self._note = note

    def train(self, runs: Sequence[SeedRun], block: Block) -> list[Outcome]:
        """What became of a block in each of the `runs`."""
        outcomes = [self._train(run, block) for run in runs]
        if self._note and not all(isinstance(each, EndedError) for each in outcomes):
            runs[0].recorder.tell(0, {}, note=self._note)
            self._note = ""
        return outcomes

    def _train(self, run: SeedRun, block: Block) -> Outcome:
        with run.at_work(), run.env.clock.during(block.label):
            try:
                steps = enumerate(self._gathered(run, run.batches(block)), start=block.first + 1)
                logs = [self._step(run, real, step) for step, real in steps]
            except EndedError as ended:
                return ended
            try:
                return columns(logs)
            except InputError as error:
                where = named("train_step", run.gan.train_step)
                breach = ContractError(f"{error}: see {where}")
                if block.first == 0:
                    raise breach from error
                return failure(f"step {block.last}", breach, at_once=False)

    def _gathered(self, run: SeedRun, batches: Batches) -> Iterator[Tensor]:
        """The batches one by one; the time that gathering them takes is no training."""
        for first in range(0, len(batches), MAX_STEPS):
            with run.env.clock.during("data"):
                real = batches[first : first + MAX_STEPS]
            yield from real

    def _step(self, run: SeedRun, real: Tensor, step: int) -> Mapping[str, Any]:
        if run.stop.is_set():
            raise EndedError("interrupted", f"stopped before step {step}")
        try:
            with within("train_step", run.gan.train_step):
                return self._log_of(run.gan, real)
        except (Exception, SystemExit) as error:
            if isinstance(error, ContractError) and step <= _first_steps(run.gan):
                raise
            raise failure(f"step {step}", error, at_once=step == 1) from error

    def _log_of(self, gan: GAN, real: Tensor) -> Mapping[str, Any]:
        """What a step logs; ContractError for what is no mapping."""
        log: Any = gan.train_step(real)
        if log is None:
            return {}
        if not isinstance(log, Mapping):
            where, kind = named("train_step", gan.train_step), type(log).__name__
            raise ContractError(f"{where} must return a mapping of named scalars, got {kind}")
        return log


def _first_steps(gan: GAN) -> int:
    """The steps until both networks of a Game have been updated, which any breach must show in."""
    return gan.game.d_updates if isinstance(gan, Trainer) else 1


class Stacked:
    """Trains runs of a Game at once, which have come equally far.

    Raises UnstackableError, before anything has changed, where that cannot be.
    """

    def __init__(self, runs: Sequence[SeedRun]) -> None:
        first = runs[0]
        self._runs = list(runs)
        trainers = [run.gan for run in runs if isinstance(run.gan, Trainer)]
        shape = (first.env.budget.batch_size, *first.job.task.shape)
        with shared(runs, "warmup"):
            anew = first.job.spec.function is None
            self._stack = Stack(trainers, shape, self._examples, anew=anew)
            compiled = first.job.compiles and self._compile()
        for run in runs:
            run.engine = "compiled" if compiled else "stacked"

    def train(self, runs: Sequence[SeedRun], block: Block) -> list[Outcome]:
        """What became of a block in each of those `runs` that have not ended."""
        # A run that has ended keeps its place in the stack, and what is learnt there is lost.
        batches = [(run if run in runs else runs[0]).batches(block) for run in self._runs]
        try:
            logs = self._train(runs, batches, block)
        except Exception as error:
            step = self._stack.steps + 1
            return [failure(f"step {step}", error, at_once=step == 1) for _ in runs]
        if self._stack.steps < block.last:
            reason = f"stopped before step {self._stack.steps + 1}"
            return [EndedError("interrupted", reason) for _ in runs]
        return [log for run, log in zip(self._runs, logs, strict=True) if run in runs]

    def tell_noise_apart(self) -> None:
        """Charge the drawing of random numbers, which is in the training, also as "noise"."""
        self._stack.during = partial(shared, self._runs)

    def _train(
        self, runs: Sequence[SeedRun], batches: Sequence[Batches], block: Block
    ) -> list[dict[str, Column]]:
        """The logs of a block in each place of the stack; the `runs` are charged for it."""
        stopped, size = runs[0].stop.is_set, self._stack.steps_at_once
        logs = []
        for first in range(0, block.last - block.first, size):
            with shared(runs, "data"):
                real = torch.stack([each[first : first + size] for each in batches])
            with shared(runs, block.label):
                if block.watched:
                    logs.append(self._stack.train_apart(real))
                else:
                    logs.append(self._stack.train(real, stopped=stopped))
            if stopped():
                break
        return [joined(parts) for parts in zip(*logs, strict=True)]

    def _compile(self) -> bool:
        """Whether the steps could be compiled; says why if not."""
        try:
            self._stack.compile()
        except UnstackableError as error:
            note = one_line(f"not compiled: {error}", NOTE_LENGTH)
            self._runs[0].recorder.tell(0, {}, note=note)
            for run in self._runs:
                run.engine_note = note
            return False
        return True

    def _examples(self, n: int) -> Tensor:
        """n real samples, to try the stack on."""
        return self._runs[0].job.task.sample(n, generator(0, "examples"))


@contextmanager
def shared(runs: Sequence[SeedRun], label: str) -> Iterator[None]:
    """Charge each of the waiting runs its share of the time inside."""
    start = time.perf_counter()
    yield
    share = (time.perf_counter() - start) / len(runs)
    for run in runs:
        run.env.clock.seconds[label] += share
