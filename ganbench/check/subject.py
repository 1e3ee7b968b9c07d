"""The GAN that is checked, and what checks say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ganbench.core import GAN
from ganbench.engine.generators import generators_of, own_randomness
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.errors import ContractError, InputError
from ganbench.harness.log import columns
from ganbench.harness.spec import Job, build
from ganbench.randomness import attributes, generator
from ganbench.system.places import named, within

STEPS = 3  # that are taken where one may not show it
SEEDS = 10  # of a full entry, in one stack

Verdict = Literal["ok", "note", "fails"]


class Said(NamedTuple):
    """A verdict and its reason, one sentence."""

    verdict: Verdict
    says: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A line of the checker; `error` is what a check raised."""

    check: str
    verdict: Verdict
    says: str
    error: BaseException | None = None

    @property
    def line(self) -> str:
        """`fails latent: ...`."""
        return f"{self.verdict} {self.check}: {self.says}"


class Subject:
    """A GAN to be checked: built anew for each check, and fed the same real batches."""

    def __init__(self, job: Job) -> None:
        self.job, self.task = job, job.task

    def build(self, seed: int = 0) -> GAN:
        """The GAN of a seed, as a run builds it."""
        return build(self.job, seed)

    @cached_property
    def batch_size(self) -> int:
        """Real samples of a step: the task's, times what a Game packs."""
        gan = self.build()
        return self.job.budget.batch_size * (gan.game.pack if isinstance(gan, Trainer) else 1)

    def batches(self, steps: int, size: int | None = None) -> Tensor:
        """Real batches (steps, size, *task.shape), of the task's size unless another is given."""
        size = size or self.batch_size
        drawn = self.task.sample(steps * size, generator(0, "examples"))
        return drawn.view(steps, size, *self.task.shape)

    def step(self, gan: GAN, real: Tensor) -> Mapping[str, float]:
        """Take a step; what it logs, if that is as it must be."""
        with within("train_step", gan.train_step):
            log: Any = gan.train_step(real.clone())
        log = {} if log is None else log
        if not isinstance(log, Mapping):
            where, kind = named("train_step", gan.train_step), type(log).__name__
            raise ContractError(f"{where} must return a mapping of named scalars, got {kind}")
        try:
            return {name: float(column[-1]) for name, column in columns([log]).items()}
        except InputError as error:
            where = named("train_step", gan.train_step)
            raise ContractError(f"{error}: see {where}") from error

    def trained(self, gan: GAN) -> GAN:
        """The GAN after its first steps."""
        for real in self.batches(steps_of(gan)):
            self.step(gan, real)
        return gan

    def sample(self, gan: GAN, n: int) -> Tensor:
        """n samples, drawn as those that are scored."""
        with own_randomness(generators_of(gan), 1), within("sample", gan.sample):
            drawn = gan.sample(n)
        where = named("sample", gan.sample).replace("sample", f"sample({n})", 1)
        return self.task.check(drawn, n, where)

    @cached_property
    def stack(self) -> Stack | UnstackableError:
        """Ten seeds of a Game stacked, or why they cannot be."""
        try:
            return self.new_stack()
        except UnstackableError as error:
            return error

    def new_stack(self, seeds: int = SEEDS) -> Stack:
        """The first seeds of a Game, not trained, stacked; else UnstackableError."""
        trainers = [each for seed in range(seeds) if isinstance(each := self.build(seed), Trainer)]
        shape = (self.batch_size, *self.task.shape)
        return Stack(trainers, shape, lambda n: self.task.sample(n, generator(0, "examples")))


Check = Callable[[Subject], Iterator[Said]]


def ok(says: str) -> Said:
    """All is well."""
    return Said("ok", says)


def note(says: str) -> Said:
    """Something to know, and nothing to be ashamed of."""
    return Said("note", says)


def fails(says: str) -> Said:
    """Something to put right."""
    return Said("fails", says)


def steps_of(gan: GAN) -> int:
    """Steps in which each network is updated, at least STEPS."""
    return max(STEPS, gan.game.d_updates) if isinstance(gan, Trainer) else STEPS


def networks_of(gan: GAN) -> dict[str, nn.Module]:
    """The networks of a GAN by name: a Game's, or those that are attributes."""
    if isinstance(gan, Trainer):
        return gan.networks
    whole = {"GAN": gan} if isinstance(gan, nn.Module) else {}
    return whole | {name: v for name, v in attributes(gan) if isinstance(v, nn.Module)}


def several(names: list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def finite(tensor: Tensor) -> bool:
    """Whether all numbers are."""
    return bool(torch.isfinite(tensor).all())
