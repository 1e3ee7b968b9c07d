"""`train_seeds`, the only training loop: some seeds of one entry on one task.

They run on one thread: a seed's bits then do not depend on how many seeds or workers run beside
it, and for small networks a second thread gains nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from ganbench.engine.precision import products
from ganbench.engine.stack import Stack, UnstackableError
from ganbench.engine.trainer import Trainer
from ganbench.env import Batches
from ganbench.harness.log import Array, joined
from ganbench.harness.seed_run import WAITING, Block, EndedError, Rounds, Run, T, failure
from ganbench.harness.spec import Report, Spec, Stop
from ganbench.results.schema import Engine, SeedResult
from ganbench.system.threads import one_thread

Groups = list[tuple[list[Run], Stack | None]]  # runs that have come equally far, and their stack


def train_seeds(
    spec: Spec, seeds: Sequence[int], *, report: Report = lambda _: None, stop: Stop | None = None
) -> Iterator[SeedResult]:
    """Train these seeds to the end of their budget, or of its resumed rest, and score them.

    Seeds of a Game are trained at once where these can be stacked, else one after the other.
    Diverging, failing and being stopped end a run at the round where they happen; what was done
    until then is in its result. A seed that a stop finds not begun has none. Raises InputError
    for what breaks the GAN's contract.
    """
    yield from _train(spec, seeds, report, stop or threading.Event(), Run.rounds)


def _train(
    spec: Spec,
    seeds: Sequence[int],
    report: Report,
    stop: Stop,
    plan: Callable[[Run], Rounds[T]],
    ready: Callable[[Groups], Any] = lambda groups: None,
) -> Iterator[T]:
    """What the `plan` of each seed's run returns; `ready` is called before the first step."""
    with one_thread(), products(spec.precision):
        groups = _stacks(spec, seeds, report, stop)
        ready(groups or [])
        if groups is None:
            for seed in seeds:
                if not stop.is_set():
                    run = Run(spec, seed, report, stop)
                    run.build()
                    yield run.train_alone(plan(run))
        else:
            for runs, stack in groups:
                yield from _train_stack(runs, [plan(run) for run in runs], stack)


def rehearse(
    spec: Spec, seeds: Sequence[int], steps: int, *, ready: Callable[[], Any] = lambda: None
) -> dict[str, float]:
    """Train that many steps of a first round, unscored; the seconds of each part, of all seeds.

    `warmup` is up to the first step; `ready` is called before it. Raises InputError for what
    diverges or fails.
    """

    def begin(groups: Groups) -> None:
        for runs, stack in groups:
            if stack is not None:
                stack.during = partial(shared, runs)
        ready()

    def plan(run: Run) -> Rounds[dict[str, float]]:
        return run.rehearsal(steps)

    clocks = list(_train(spec, seeds, lambda _: None, threading.Event(), plan, begin))
    names = dict.fromkeys(name for clock in clocks for name in clock if name != WAITING)
    seconds = {name: sum(clock.get(name, 0.0) for clock in clocks) for name in names}
    if "noise" in seconds:  # which the stack has told apart, but not taken off
        seconds["training"] -= seconds["noise"]
    return seconds


def rehearse_apart(spec: Spec, seed: int, steps: int) -> dict[str, float]:
    """The same of one seed, eagerly; those of a Game's trainer are told apart."""
    with one_thread(), products(spec.precision):
        run = Run(spec, seed, lambda _: None, threading.Event())
        run.build()
        if isinstance(run.gan, Trainer):
            run.gan.during = run.env.clock.during
        return run.train_alone(run.rehearsal(steps))


def _stacks(spec: Spec, seeds: Sequence[int], report: Report, stop: Stop) -> Groups | None:
    """The seeds' runs in groups that have come equally far; None if they cannot be stacked.

    A run without a stack has nothing left to do.
    """
    runs: list[Run] = []
    for seed in seeds:
        run = Run(spec, seed, report, stop)
        run.build()
        if not isinstance(run.gan, Trainer):
            return None
        run.env.clock.switch(WAITING)
        runs.append(run)
    groups: dict[int, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.first, []).append(run)
    try:
        return [(group, _stack(group)) for _, group in sorted(groups.items())]
    except UnstackableError as error:
        runs[0].tell(0, {}, note=f"one seed after the other: {error}")
        return None


def _stack(runs: Sequence[Run]) -> Stack | None:
    """Of runs that have come equally far; None if they are at the end."""
    first = runs[0]
    if first.first >= first.env.budget.rounds:
        return None
    trainers = [run.gan for run in runs if isinstance(run.gan, Trainer)]
    shape = (first.env.budget.batch_size, *first.task.shape)
    with shared(runs, "warmup"):
        stack = Stack(trainers, shape)
        engine: Engine = "stacked"
        if first.spec.compiles(first.task):
            try:
                stack.compile()
                engine = "compiled"
            except UnstackableError as error:
                first.tell(0, {}, note=f"not compiled: {error}")
    for run in runs:
        run.engine = engine
    return stack


def _train_stack(
    runs: Sequence[Run], rounds: Sequence[Rounds[T]], stack: Stack | None
) -> Iterator[T]:
    """What the `rounds` of the runs return; these pause at the same steps, to be trained."""
    answers: list[Any] = [None] * len(runs)
    reals: dict[int, Batches] = {}
    active = list(range(len(runs)))
    while active:
        for place in list(active):
            with runs[place].awake():
                try:
                    block = rounds[place].send(answers[place])
                    reals[place] = block.real
                except StopIteration as end:
                    active.remove(place)
                    result: T = end.value
                    yield result
        if active:
            assert stack is not None
            # A run that has ended keeps its place in the stack, and what is learnt there is lost.
            given = [reals[place if place in active else active[0]] for place in range(len(runs))]
            try:
                answers = _train_batches([runs[place] for place in active], given, stack, block)
            except Exception as error:
                answers = [failure(f"step {stack.steps + 1}", error) for _ in runs]
                continue
            if stack.steps < block.step + len(block.real):
                reason = f"stopped before step {stack.steps + 1}"
                answers = [EndedError("interrupted", reason) for _ in runs]


def _train_batches(
    runs: Sequence[Run], batches: Sequence[Batches], stack: Stack, block: Block
) -> list[dict[str, Array]]:
    """The logs of a block in each place of the stack; `runs` are those that are charged for it."""
    stopped, size = runs[0].stop.is_set, stack.steps_at_once
    logs = []
    for first in range(0, len(block.real), size):
        with shared(runs, "data"):
            real = torch.stack([each[first : first + size] for each in batches])
        with shared(runs, block.label):
            if block.watched:
                logs.append(stack.train_apart(real))
            else:
                logs.append(stack.train(real, stopped=stopped))
        if stopped():
            break
    return [joined(parts) for parts in zip(*logs, strict=True)]


@contextmanager
def shared(runs: Sequence[Run], label: str) -> Iterator[None]:
    """Charge each of the waiting runs its share of the time inside."""
    start = time.perf_counter()
    yield
    share = (time.perf_counter() - start) / len(runs)
    for run in runs:
        run.env.clock.seconds[label] += share
