"""Whether the seeds of a GAN are trained at once, and what its steps cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from ganbench.check.subject import SEEDS, STEPS, Said, Subject, note, ok
from ganbench.engine.fidelity import tensors_of
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError

LONG = 0.3  # seconds that a measurement takes at least
FEW, MANY = 8, 1024  # steps of a measurement, compiled as many as a stack takes at once
UNITS = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"))  # noqa: RUF001 - a micro sign


def stacks(subject: Subject) -> Iterator[Said]:
    """Whether seeds train at once, or why not."""
    if not isinstance(subject.build(), Trainer):
        return
    stack = subject.stack
    if isinstance(stack, UnstackableError):
        yield note(f"seeds are trained one after the other: {stack}")
    else:
        yield ok(f"{SEEDS} seeds are trained at once, to the same end as one by one")


def own_bits(subject: Subject) -> Iterator[Said]:
    """Whether a seed trains to the same bits alone as beside others, on this machine."""
    if isinstance(subject.build(), Trainer) and isinstance(subject.stack, Stack):
        yield _own_bits(subject, subject.stack, compiled=False)  # which nobody has trained so far


def _own_bits(subject: Subject, together: Stack, *, compiled: bool) -> Said:
    """Whether the first seed of a stack, which is not trained yet, would do the same alone."""
    alone, how = subject.new_stack(1), "compiled, " if compiled else ""
    if compiled:
        alone.compile()
    for stack in (alone, together):
        real = subject.batches(stack.trainers[0].game.d_updates * STEPS)
        stack.train(real.expand(len(stack.trainers), *real.shape))
    one, other = (tensors_of(stack.trainers[0]) for stack in (alone, together))
    if all(torch.equal(one[key].nan_to_num(), other[key].nan_to_num()) for key in one):
        return ok(f"{how}a seed trains to the same bits alone as beside others")
    return note(
        f"{how}a seed's bits depend on how many are trained beside it, "
        "so results repeat bit by bit only with as many --workers"
    )


def compiles(subject: Subject) -> Iterator[Said]:
    """Whether torch's compiler can make a loop of the steps, or why not; and their bits."""
    if not isinstance(subject.build(), Trainer) or isinstance(subject.stack, UnstackableError):
        return
    stack = subject.new_stack()  # as one that has been trained cannot be held against anything
    try:
        stack.compile()
    except UnstackableError as error:
        yield note(f"its steps are not compiled: {error}")
    else:
        bits = _own_bits(subject, stack, compiled=True)
        count = max(1, min(MANY, stack.steps_at_once))
        each = _seconds_stacked(subject, stack, count)
        steps = subject.job.budget.steps
        yield ok(
            f"compiled, a step of each of {SEEDS} seeds takes {_shown(each)}, "
            f"the {steps:,} steps of all {_shown(SEEDS * each * steps)}"
        )
        yield bits


def takes(subject: Subject) -> Iterator[Said]:
    """What a step costs, and with it the task's budget."""
    alone, steps = _seconds_alone(subject), subject.job.budget.steps
    says = f"a step takes {_shown(alone)}"
    stack = subject.stack if isinstance(subject.build(), Trainer) else None
    if isinstance(stack, Stack):
        each = _seconds_stacked(subject, stack, FEW)
        says += f", of {SEEDS} seeds at once {_shown(each)} each"
        says += " before it is compiled (see --compile)" if subject.job.compiles else ""
        many = SEEDS * each * steps
    else:
        many = SEEDS * alone * steps
    yield ok(
        f"{says}: the {steps:,} steps of {subject.task.name} take {_shown(alone * steps)}, "
        f"of {SEEDS} seeds {_shown(many)}, on a core of its own and without scoring"
    )


def _seconds_alone(subject: Subject) -> float:
    """Of a step of one seed, eagerly."""
    gan = subject.trained(subject.build())
    real = subject.batches(gan.game.d_updates if isinstance(gan, Trainer) else 1)

    def play() -> None:
        for batch in real:
            gan.train_step(batch)

    return _seconds(play) / len(real)


def _seconds_stacked(subject: Subject, stack: Stack, count: int) -> float:
    """Of a step of each seed of a stack, of which it takes whole cycles."""
    count += -count % stack.trainers[0].game.d_updates
    real = subject.batches(count).expand(SEEDS, *([-1] * (2 + len(subject.task.shape))))

    def play() -> None:
        stack.train(real)

    play()
    return _seconds(play) / count / SEEDS


def _seconds(play: Callable[[], None]) -> float:
    """Of a core's time that a call takes: the least of as many as fit into LONG.

    Not of the clock's, which runs on while others use the core.
    """
    end, least = time.perf_counter() + LONG, float("inf")
    while time.perf_counter() < end or least == float("inf"):
        start = time.process_time()
        play()
        least = min(least, time.process_time() - start)
    return least


def _shown(seconds: float) -> str:
    """`0.45 ms`, `12 s`, `3.5 min`, `2.1 h`."""
    size, unit = next((each for each in UNITS if seconds < 100 * each[0]), UNITS[-1])
    return f"{seconds / size:.2g} {unit}"
