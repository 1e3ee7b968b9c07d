"""Players of one game whose optimisers have other learning rates, in one stack."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn.functional import softplus

from ganbench import nn
from ganbench.core import Game
from ganbench.engine.stack import Stack, UnstackableError
from ganbench.engine.trainer import Trainer
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


@pytest.mark.parametrize(
    ("named", "make"),
    [
        ("betas", lambda value: game(partial(nn.Adam, betas=(value, 0.9)))),
        ("weight_decay", lambda value: game(partial(torch.optim.Adam, weight_decay=value))),
        ("momentum", lambda value: game(partial(torch.optim.SGD, lr=0.1, momentum=value))),
    ],
)
def test_what_is_a_constant_of_the_graph_may_not_differ(named: str, make: Any) -> None:
    with pytest.raises(UnstackableError, match=f"{named} of an optimizer differs from seed to"):
        Stack(players(make, [0.1, 0.2]), (N, 2))


def test_a_number_of_the_loss_may_not_differ() -> None:
    def make(weight: float) -> Game:
        return game(nn.Adam, g_loss=lambda D, real, fake: weight * softplus(-D(fake)).mean())

    with pytest.raises(UnstackableError, match=r"g_loss\.weight differs from seed to seed"):
        Stack(players(make, [0.1, 0.2]), (N, 2))


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
