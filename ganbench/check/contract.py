"""Whether a GAN can be built, trained and sampled, and be made again from its result."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ganbench import hparams
from ganbench.check.subject import Said, Subject, fails, finite, note, ok, several, steps_of
from ganbench.core import GAN
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError

ODD = 7  # samples


def builds(subject: Subject) -> Iterator[Said]:
    """That `GAN(task)` returns what can be trained."""
    gan, name = subject.build(), subject.task.name
    if isinstance(gan, Trainer):
        sizes = [
            f"{who} of {sum(p.numel() for p in network.parameters()):,} parameters"
            for who, network in gan.networks.items()
        ]
        yield ok(f"a Game on {name}: {', '.join(sizes)}")
    else:
        yield ok(f"an object with train_step and sample on {name}, no Game")


def keeps_settings(subject: Subject) -> Iterator[Said]:
    """That the hyper-parameters of a result make the same GAN again."""
    baseline, used = subject.job.baseline, subject.job.hparams
    stored = baseline.stored(used)
    if others := [name for name, value in used.items() if not hparams.is_json(value)]:
        yield note(f"a result holds only the name of {several(others)}, which is no JSON")
    try:
        again = baseline.stored(baseline.resolve(subject.task, stored))
    except InputError as error:
        yield fails(f"the hyper-parameters of a result cannot be given again: {error}")
        return
    if wrong := [name for name in stored if again.get(name) != stored[name]]:
        yield fails(
            f"{several(wrong)} of a result becomes {again.get(wrong[0])!r} when it is given again"
        )
    elif not others:
        yield ok(f"a result keeps {', '.join(stored)}" if stored else "no hyper-parameters")


def trains(subject: Subject) -> Iterator[Said]:
    """That the first steps log finite scalars."""
    gan = subject.build()
    count = steps_of(gan)
    names: dict[str, None] = {}
    for number, real in enumerate(subject.batches(count), 1):
        log = subject.step(gan, real)
        names |= dict.fromkeys(log)
        if bad := [name for name, value in log.items() if not math.isfinite(value)]:
            yield fails(f"{bad[0]} is {log[bad[0]]} at step {number}")
            return
    logged = f"log {', '.join(names)}" if names else "log nothing"
    yield ok(f"{count} steps of {subject.batch_size} real samples {logged}")


def samples(subject: Subject) -> Iterator[Said]:
    """That any number of samples can be had."""
    gan: GAN = subject.trained(subject.build())
    sizes = (1, ODD, subject.job.budget.evaluation_size)
    for n in sizes:
        if not finite(subject.sample(gan, n)):
            yield fails(f"sample({n}) holds NaN or Inf after {steps_of(gan)} steps")
            return
    shape = "".join(f", {size}" for size in subject.task.shape)
    yield ok(f"shape (n{shape}) and finite for n = {', '.join(map(str, sizes))}")
