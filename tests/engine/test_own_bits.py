"""A seed's bits are its own, whatever is stacked beside it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch import nn as torch_nn

from ganbench import nn, registry
from ganbench.core import Game, Task
from ganbench.engine import graph
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Trainer
from ganbench.system.threads import one_thread

STEPS = 12
ACTIVATIONS = {
    "sigmoid": torch_nn.Sigmoid,
    "silu": torch_nn.SiLU,
    "elu": torch_nn.ELU,
    "gelu": partial(torch_nn.GELU, approximate="tanh"),
    "mish": torch_nn.Mish,
    "softplus": torch_nn.Softplus,
}


def preset(task: Task, seed: int) -> Game:
    baseline = registry.load_baseline("mlp_gan")
    made: Game = baseline.make(task, **baseline.resolve(task, {}))
    return made


def odd(activation: str, task: Task, seed: int) -> Game:
    """Networks of odd widths, of which no whole vectors can be made."""
    layer = ACTIVATIONS[activation]
    loss = torch_nn.functional.binary_cross_entropy_with_logits

    def d_loss(D: torch_nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        on, off = D(real), D(fake)
        return loss(on, torch.ones_like(on)) + loss(off, torch.zeros_like(off))

    return Game(
        generator=torch_nn.Sequential(torch_nn.Linear(3, 7), layer(), torch_nn.Linear(7, 2)),
        discriminator=torch_nn.Sequential(torch_nn.Linear(2, 5), layer(), torch_nn.Linear(5, 1)),
        latent=lambda n, rng: torch.randn(n, 3, generator=rng),
        d_loss=d_loss,
        g_loss=lambda D, real, fake: -D(fake).mean(),
        d_optimizer=partial(nn.Adam, lr=0.01),
        g_optimizer=partial(nn.Adam, lr=0.01),
    )


MAKES = {
    **{name: (name, preset) for name in ("gaussian", "quadratic", "ring8")},
    **{name: ("gaussian", partial(odd, name)) for name in ACTIVATIONS},
}


def weights(case: str, seeds: list[int], *, compiled: bool = False) -> dict[int, Tensor]:
    """Those of each seed after some steps in one stack."""
    name, make = MAKES[case]
    task = registry.load_task(name)
    size = task.budget.batch_size
    trainers, real = [], []
    for seed in seeds:
        torch.manual_seed(seed)
        trainers.append(Trainer(make(task, seed), seed=seed))
        rng = torch.Generator().manual_seed(seed)
        real.append(task.sample(STEPS * size, rng).view(STEPS, size, *task.shape))
    with one_thread():
        stack = Stack(trainers, (size, *task.shape))
        if compiled:
            stack.compile()
        stack.train(torch.stack(real))
    return {
        each.seed: torch.cat(
            [p.detach().flatten() for n in each.networks.values() for p in n.parameters()]
        )
        for each in trainers
    }


SLOW = [name for name in MAKES if name != "softplus"]


@pytest.mark.parametrize(
    "case",
    ["softplus", *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW)],
)
def test_with_others_as_alone(case: str) -> None:
    together = weights(case, [0, 1, 2, 3, 4])
    for few in ([0], [3, 4], [1, 2, 0]):
        for seed, alone in weights(case, few).items():
            assert torch.equal(alone, together[seed]), (seed, few)


@pytest.mark.slow
def test_they_would_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of softplus on a CPU that computes it in vectors; else there is nothing to mend."""
    monkeypatch.setattr(graph, "own_bits", lambda step: step)
    together = weights("softplus", [0, 1, 2, 3, 4])
    same = [torch.equal(weights("softplus", [seed])[seed], together[seed]) for seed in range(5)]
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("no vectors")
    assert not all(same)
