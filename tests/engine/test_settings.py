"""Players of one game that differ in numbers, in one stack: learning rates and all others."""

from __future__ import annotations

import functools
import math
import re
import types
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus

from ganbench import nn
from ganbench.core import Game
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.system.threads import one_thread

N, STEPS = 8, 10
LEARNING = [0.003, 0.01, 0.03, 0.01]  # of four players, of which two are of one setting
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "Keras's Adam": nn.Adam,
    "Adam": partial(torch.optim.Adam, weight_decay=0.1),
    "AdamW": partial(torch.optim.AdamW, weight_decay=0.1),
    "SGD": partial(torch.optim.SGD, momentum=0.5),
    "RMSprop": partial(torch.optim.RMSprop, momentum=0.5),
    "Keras's RMSprop": nn.RMSprop,
    "OptimisticAdam": nn.OptimisticAdam,
}


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def game(optimizer: Callable[..., Any], **changes: Any) -> Game:
    made: dict[str, Any] = {
        "generator": nn.mlp([2, 7, 2]),
        "discriminator": nn.mlp([2, 5, 1]),
        "latent": lambda n, rng: torch.randn(n, 2, generator=rng),
        "d_loss": lambda D, real, fake: softplus(-D(real)).mean() + softplus(D(fake)).mean(),
        "g_loss": lambda D, real, fake: softplus(-D(fake)).mean(),
        "d_optimizer": optimizer,
        "g_optimizer": optimizer,
    }
    return Game(**made | changes)


def players(make: Callable[[float], Game], rates: list[float]) -> list[Trainer]:
    """One for each rate, with a seed of its own."""
    made = []
    for seed, rate in enumerate(rates):
        torch.manual_seed(seed)
        made.append(Trainer(make(rate), seed=seed, total=STEPS))
    return made


def data(count: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(count, STEPS, N, 2, generator=rng) + 1


def weights(trainer: Trainer) -> Tensor:
    networks = [trainer.generator, trainer.discriminator, trainer.averaged]
    return torch.cat([p.detach().flatten() for each in networks if each for p in each.parameters()])


def trained(trainers: list[Trainer], real: Tensor, *, compiled: bool = False) -> list[Tensor]:
    stack = Stack(trainers, (N, 2))
    if compiled:
        stack.compile()
    stack.train(real)
    return [weights(each) for each in trainers]


def check_together_as_alone(make: Callable[[float], Game]) -> None:
    real, place = data(len(LEARNING)), 2
    together = trained(players(make, LEARNING), real)
    alone = trained([players(make, LEARNING)[place]], real[place : place + 1])
    assert torch.equal(together[place], alone[0])
    assert not torch.equal(together[place], weights(players(make, LEARNING)[place]))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_learns_at_its_own_rate_as_alone(name: str) -> None:
    optimizer = OPTIMIZERS[name]
    check_together_as_alone(lambda rate: game(partial(optimizer, lr=rate)))


def test_with_a_schedule_an_average_and_more_updates_of_d() -> None:
    schedule = {"g_lr": lambda share: 1 - share, "d_lr": lambda share: 1 + share}
    more = {"schedule": schedule, "average": 0.9, "d_updates": 2}
    check_together_as_alone(lambda rate: game(partial(nn.Adam, lr=rate), **more))


def test_only_one_network_at_its_own_rate() -> None:
    fixed = partial(nn.Adam, lr=0.01)
    check_together_as_alone(lambda rate: game(partial(nn.Adam, lr=rate), d_optimizer=fixed))


@pytest.mark.slow
def test_compiled_too() -> None:
    """As among others with the same rate: the compiler's sums are of stacks of one size."""

    def make(rate: float) -> Game:
        return game(partial(nn.Adam, lr=rate))

    real = data(len(LEARNING))
    together = trained(players(make, LEARNING), real, compiled=True)
    alike = trained(players(make, LEARNING[:1] * len(LEARNING)), real, compiled=True)
    assert torch.equal(together[0], alike[0])
    assert not torch.equal(together[1], alike[1])


def test_no_number_is_left_out() -> None:
    """Parameters without a dimension, and such as not every player's own rate fits by itself."""

    class Shifted(torch_nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = torch_nn.Parameter(torch.zeros(()))
            self.inner = nn.mlp([2, 4, 2])

        def forward(self, latent: Tensor) -> Tensor:
            return self.inner(latent) + self.shift

    check_together_as_alone(
        lambda rate: game(partial(torch.optim.Adam, lr=rate), generator=Shifted())
    )


# What a number may be, by what it is of: a loss, an optimiser, a network.


def of_loss(g_loss: Callable[[float], Any]) -> Callable[[float], Game]:
    return lambda w: game(partial(nn.Adam, lr=0.01), g_loss=g_loss(w))


def of_optimizer(make: Callable[..., Any], *names: str) -> Callable[[float], Game]:
    return lambda w: game(partial(make, lr=0.01, **dict.fromkeys(names, w)))


def fooled(D: Any, fake: Tensor) -> Tensor:
    return softplus(-D(fake)).mean()


def halves(w: float) -> Any:
    def penalty(x: Tensor, w: float = w, *, by: float = w) -> Tensor:
        return by * x.square().mean() - w / 3

    return lambda D, real, fake: (2 - w) * fooled(D, fake) + penalty(fake)


class Weighted:
    def __init__(self, w: float) -> None:
        self.w = {"of": [1, w]}

    def __call__(self, D: Any, real: Tensor, fake: Tensor) -> Tensor:
        return fooled(D, fake) * self.w["of"][1]


class Gated(torch_nn.Module):
    def __init__(self, w: float) -> None:
        super().__init__()
        self.w, self.inner = w, nn.mlp([2, 4, 2])

    def forward(self, latent: Tensor) -> Tensor:
        return self.w * self.inner(latent)


def named_twice(w: float) -> Any:
    """A function with an attribute that is called as what it encloses."""
    v = 0.3

    def g_loss(D: Any, real: Tensor, fake: Tensor) -> Tensor:
        return fooled(D, fake) * v + g_loss.v * D(fake).square().mean()  # type: ignore

    g_loss.v = w  # type: ignore[attr-defined]
    return g_loss


def of_layer(make: Callable[[float], torch_nn.Module]) -> Callable[[float], Game]:
    def made(w: float) -> Game:
        layers = torch_nn.Sequential(torch_nn.Linear(2, 4), make(w), torch_nn.Linear(4, 2))
        return game(partial(nn.Adam, lr=0.01), generator=layers)

    return made


def clipped(w: float) -> Game:
    def clip(D: torch_nn.Module) -> None:
        for p in D.parameters():
            p.clamp_(-w, w)

    return game(partial(nn.Adam, lr=0.01), after_d=clip)


def penalised(w: float) -> Game:
    """A slope of D inside of its loss, of which the square is weighted."""

    def d_loss(D: Any, real: Tensor, fake: Tensor) -> Tensor:
        at = real.requires_grad_()
        verdict = D(at)
        (slope,) = torch.autograd.grad(verdict.sum(), at, create_graph=True)
        return fooled(D, real) + softplus(D(fake)).mean() + w / 2 * slope.square().sum(1).mean()

    return game(partial(nn.Adam, lr=0.01), d_loss=d_loss, pack=1)


def scheduled(w: float) -> Game:
    def g_loss(D: Any, real: Tensor, fake: Tensor, *, gamma: Tensor) -> Tensor:
        return gamma * fooled(D, fake) + D(fake).square().mean()

    schedule = {"gamma": lambda share: w * (1 - share), "d_lr": lambda share: w + share}
    return game(partial(nn.Adam, lr=0.01), g_loss=g_loss, schedule=schedule)


def all_of_it(w: float) -> Game:
    schedule = {"g_lr": lambda share: 1 - share}
    return game(
        partial(nn.OptimisticAdam, lr=w / 10, betas=(w, 0.9)),
        g_loss=halves(w),
        **{"schedule": schedule, "average": 0.9, "extragradient": True},
    )


NUMBERS: dict[str, Callable[[float], Game]] = {
    "closure": of_loss(lambda w: lambda D, real, fake: w * fooled(D, fake)),
    "defaults": of_loss(halves),
    "partial": of_loss(
        lambda w: partial(lambda D, real, fake, w: fooled(D, fake) / w + D(fake).mean(), w=w)
    ),
    "inside of an object": of_loss(Weighted),
    "noise": of_loss(lambda w: lambda D, real, fake: fooled(D, fake + w * torch.randn_like(fake))),
    "same branch": of_loss(
        lambda w: lambda D, real, fake: fooled(D, fake) + (w * D(fake).mean() if w > 0 else 0)
    ),
    "bound": of_loss(lambda w: lambda D, real, fake: D(fake).clamp(-w, w).mean() - fooled(D, fake)),
    "label": of_loss(
        lambda w: lambda D, real, fake: (D(fake) - w * torch.ones_like(D(fake))).square().mean()
    ),
    "clipping": clipped,
    "slope": penalised,
    "network": lambda w: game(partial(nn.Adam, lr=0.01), generator=Gated(w)),
    "Keras's Adam, beta 1": lambda w: game(partial(nn.Adam, lr=0.01, betas=(w, 0.9))),
    "Keras's Adam, beta 2": lambda w: game(partial(nn.Adam, lr=0.01, betas=(0.5, w))),
    "Keras's Adam, epsilon": of_optimizer(nn.Adam, "epsilon"),
    "Keras's RMSprop": of_optimizer(nn.RMSprop, "decay", "epsilon"),
    "Adam, both": lambda w: game(partial(torch.optim.Adam, lr=0.01, betas=(w, 1 - w / 10))),
    "Adam, decay": of_optimizer(torch.optim.Adam, "weight_decay", "eps"),
    "AdamW, decay": of_optimizer(torch.optim.AdamW, "weight_decay"),
    "SGD": of_optimizer(torch.optim.SGD, "momentum", "weight_decay"),
    "RMSprop": of_optimizer(torch.optim.RMSprop, "alpha", "momentum"),
    "a name of two parts": of_loss(named_twice),
    "average": lambda w: game(partial(nn.Adam, lr=0.01), average=w),
    "schedule": scheduled,
    "all at once": all_of_it,
}


def slow_but(few: set[str], names: Iterable[str]) -> list[Any]:
    return [pytest.param(n, marks=[] if n in few else pytest.mark.slow) for n in names]


@pytest.mark.parametrize("name", slow_but({"closure", "Keras's Adam, beta 1"}, NUMBERS))
def test_each_has_numbers_of_its_own_as_alone(name: str) -> None:
    make, values = NUMBERS[name], [0.2, 0.5, 0.9]
    real = data(len(values))
    together = trained(players(make, values), real)
    alone, others = (
        trained([players(make, [*values[:2], w])[2]], real[2:])[0] for w in (values[2], values[0])
    )
    assert torch.equal(together[2], alone)
    assert not torch.equal(together[2], others)


@pytest.mark.slow
def test_compiled_with_numbers_of_their_own() -> None:
    """Beside others of one number, as the compiler's sums are of stacks of one size."""
    make, real = all_of_it, data(3)
    together = trained(players(make, [0.2, 0.5, 0.9]), real, compiled=True)
    again = trained(players(make, [0.9, 0.5, 0.2]), real, compiled=True)
    plain = trained(players(make, [0.2, 0.5, 0.9]), real)
    assert torch.equal(together[1], again[1])
    assert not torch.equal(together[0], again[0])
    for one, other in zip(together, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def of_length(w: float) -> Any:
    def g_loss(D: Any, real: Tensor, fake: Tensor) -> Tensor:
        for _ in range(int(10 * w)):
            fake = 0.9 * fake
        return fooled(D, fake)

    return g_loss


def late(of: Callable[[float], Any]) -> Callable[[float], Game]:
    """Of a number at a time when the steps that are held against the eager player's are over."""

    def make(w: float) -> Game:
        def g_loss(D: Any, real: Tensor, fake: Tensor, *, gamma: Tensor) -> Tensor:
            made = of(w)
            return fooled(D, fake) + gamma * (made() if callable(made) else made) * fake.mean()

        schedule = {"gamma": lambda share: float(share > 0.7)}
        return game(partial(nn.Adam, lr=0.01), g_loss=g_loss, schedule=schedule)

    return make


def kept(w: float) -> Game:
    @functools.cache
    def twice() -> float:
        return 2 * w

    return late(lambda _: twice)(w)


def backwards(w: float) -> Any:
    class Thresholded(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            return torch.where(x.abs() > w, 0.0, grad)

    return lambda D, real, fake: fooled(D, Thresholded.apply(fake))


def shared_with_a_schedule(w: float) -> Game:
    config = types.SimpleNamespace(w=w)

    def clip(D: torch_nn.Module) -> None:
        for p in D.parameters():
            p.clamp_(-config.w, config.w)

    schedule = {"g_lr": lambda share: 1 - share * config.w}
    return game(partial(nn.Adam, lr=0.01), after_d=clip, schedule=schedule)


def grouped(w: float) -> Game:
    def optimizer(params: Any) -> torch.optim.Optimizer:
        params = [*params]
        first = 1 if w < 0.4 else 2
        groups = [{"params": params[:first], "weight_decay": 0.1}, {"params": params[first:]}]
        return torch.optim.AdamW(groups, lr=0.01)

    return game(optimizer)


def own_optimizer(w: float) -> Game:
    class Scaled(nn.RMSprop):
        @staticmethod
        def rates(group: Any, count: int) -> tuple[float, ...]:
            return (group["lr"],)

        @staticmethod
        def update(params: Any, grads: Any, states: Any, group: Any, rates: Any) -> None:
            for p, grad in zip(params, grads, strict=True):
                p.sub_(w * rates[0] * grad)

    return game(partial(Scaled, lr=0.01))


REFUSED: dict[str, tuple[Callable[[float], Game], str]] = {
    "another branch": (
        of_loss(lambda w: lambda D, real, fake: fooled(D, fake) * (2 if w > 0.4 else 1)),
        "g_loss.w differs from seed to seed: it decides what is done",
    ),
    "draws of some": (
        of_loss(
            lambda w: (
                lambda D, real, fake: fooled(D, fake + (torch.randn_like(fake) if w > 0.4 else 0))
            )
        ),
        "it decides what is done",
    ),
    "a function of Python's": (
        of_loss(lambda w: lambda D, real, fake: math.sqrt(w) * fooled(D, fake)),
        "g_loss.w differs from seed to seed: more follows from it than tensors",
    ),
    "a function of NumPy's": (
        of_loss(lambda w: lambda D, real, fake: np.float64(2) * w * fooled(D, fake)),
        "more follows from it than tensors",
    ),
    "turned into a float": (
        of_loss(lambda w: lambda D, real, fake: float(w) * fooled(D, fake)),
        "more follows from it than tensors",
    ),
    "a count": (of_loss(of_length), "more follows from it than tensors"),
    "a whole number": (
        lambda w: NUMBERS["closure"](int(10 * w)),
        "g_loss.w differs from seed to seed",
    ),
    "a tuple": (
        of_loss(lambda w: partial(lambda w, D, real, fake: w[1] * fooled(D, fake), (1, w))),
        "it is in what cannot change",
    ),
    "an exponent": (
        of_loss(lambda w: lambda D, real, fake: (fooled(D, fake) ** w).mean()),
        "it is not for pow",
    ),
    "a share dropped": (of_layer(torch_nn.Dropout), "more follows from it than tensors"),
    "a slope": (of_layer(torch_nn.LeakyReLU), "generator.1.negative_slope differs from seed to s"),
    "a tensor": (
        of_loss(lambda w: partial(lambda D, real, fake, w: w * fooled(D, fake), w=torch.tensor(w))),
        "g_loss.w differs from seed to seed",
    ),
    "another schedule": (
        lambda w: game(nn.Adam, schedule={("g_lr", "d_lr")[w > 0.4]: lambda share: share}),
        "schedule differs from seed to seed",
    ),
    "its size, later": (late(lambda w: min(1.0, abs(w))), "more follows from it than tensors"),
    "its text, later": (late(lambda w: float(f"{w:.1f}")), "more follows from it than tensors"),
    "a key, later": (late(lambda w: {0.2: 1.0}.get(w, 0.0)), "it decides what is done"),
    "its kind, later": (
        late(lambda w: w if type(w) is float else 2 * w),
        "g_loss.w differs from seed to seed: it is asked what it is",
    ),
    "what is kept of it, later": (kept, "more follows from it than tensors"),
    "another function in the same line": (
        lambda w: game(nn.Adam, after_d=(lambda D: None) if w < 0.4 else (lambda D: D.zero_grad())),
        "after_d differs from seed to seed",
    ),
    "in a backward pass": (of_loss(backwards), "more follows from it than tensors"),
    "of what a schedule shares": (shared_with_a_schedule, "more follows from it than tensors"),
    "who is in a group": (grouped, "its optimizers differ from seed to seed"),
    "of an optimizer's closure": (own_optimizer, "its optimizers differ from seed to seed"),
    "a threshold": (lambda w: game(nn.Adam, decision=w), "decision differs from seed to seed"),
    "a flag": (
        lambda w: game(partial(torch.optim.Adam, lr=0.1, maximize=w > 0.4)),
        "so set up, has no update for graphs",
    ),
}


@pytest.mark.parametrize("name", slow_but({"another branch", "a share dropped"}, REFUSED))
def test_what_is_more_than_a_number_may_not_differ(name: str) -> None:
    make, words = REFUSED[name]
    trainers = players(make, [0.2, 0.5, 0.9])
    before = [weights(each) for each in trainers]
    with pytest.raises(UnstackableError, match=re.escape(words)):
        Stack(trainers, (N, 2))
    assert all(torch.equal(weights(each), old) for each, old in zip(trainers, before, strict=True))
    trainers[0].train_step(data(1)[0, 0])  # with its own numbers again
    assert weights(trainers[0]).isfinite().all()
