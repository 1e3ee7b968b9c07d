"""An engine that is wrong on purpose does not get past being held against the eager player."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn import functional
from torch.nn.functional import softplus
from torch.nn.utils import parametrizations

from ganbench import nn
from ganbench.core import Game
from ganbench.engine import graph, operations, optimizers, stack
from ganbench.engine.gradients import StackedGradients
from ganbench.engine.graph import Graph, _Mapped
from ganbench.engine.inputs import Inputs
from ganbench.engine.settings import Settings
from ganbench.engine.stack import Stack
from ganbench.engine.trainer import Player, Trainer
from ganbench.engine.unstackable import UnstackableError
from ganbench.randomness import stream
from ganbench.system.threads import one_thread

from ..tiers import every

N, SEEDS = 8, (0, 4)
Patch = pytest.MonkeyPatch
Make = Callable[[], Game]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


# Games, each with what a mutation is about.


def latent(n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=rng)


def d_loss(D: Any, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def g_loss(D: Any, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(fake)).mean()


def penalised(D: Any, real: Tensor, fake: Tensor) -> Tensor:
    real = real.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(D(real).sum(), real, create_graph=True)
    return d_loss(D, real, fake) + slope.square().sum(1).mean()


def game(**changes: Any) -> Game:
    """A plain one, but for the changes."""
    parts: dict[str, Any] = {
        "generator": nn.mlp([2, 6, 2]),
        "discriminator": nn.mlp([2, 6, 1]),
        "latent": latent,
        "d_loss": d_loss,
        "g_loss": g_loss,
        "d_optimizer": partial(torch.optim.Adam, lr=1e-3),
        "g_optimizer": partial(torch.optim.Adam, lr=1e-3),
    }
    return Game(**{**parts, **changes})


def by(make: Any, **options: Any) -> Make:
    """Both networks trained by that optimiser."""
    return lambda: game(d_optimizer=partial(make, **options), g_optimizer=partial(make, **options))


def with_groups() -> Game:
    def optimizer(params: Any) -> torch.optim.Optimizer:
        first, *rest = params
        return torch.optim.Adam([{"params": [first], "lr": 1e-3}, {"params": rest, "lr": 2e-3}])

    return game(d_optimizer=optimizer)


def frozen() -> Game:
    D = nn.mlp([2, 6, 1])
    D[0].weight.requires_grad_(False)
    return game(discriminator=D)


def batch_norm() -> Game:
    layers = nn.dense(2, 6), torch_nn.BatchNorm1d(6), torch_nn.ReLU(), nn.dense(6, 2)
    return game(generator=torch_nn.Sequential(*layers))


def in_inference() -> Game:
    return game(generator=batch_norm().generator, inference_fakes=True)


def paired(D: Any, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(D(fake) - D(real)).mean()


def spectral_norm() -> Game:
    layers = parametrizations.spectral_norm(nn.dense(2, 6)), torch_nn.Tanh(), nn.dense(6, 1)
    return game(discriminator=torch_nn.Sequential(*layers))


def dropout() -> Game:
    return game(discriminator=nn.mlp([2, 6, 1], dropout=0.5))


def two_losses() -> Game:
    return game(d_loss=[d_loss, penalised])


# Mutations.

MUTATIONS: dict[str, tuple[Callable[[Patch], None], Make]] = {}


def mutation(name: str, make: Make = game) -> Callable[[Any], Any]:
    """Note a function that makes the engine wrong, and a Game that is to show it."""

    def note(function: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTATIONS[name] = function, make
        return function

    return note


def regroup(patch: Patch, rule: Any, method: str, **settings: Any) -> None:
    """Have a rule see other settings of its group."""
    right = getattr(rule, method)

    def wrong(self: Any, *args: Any) -> Any:
        return right(self, *({**a, **settings} if _is_group(a) else a for a in args))

    patch.setattr(rule, method, wrong)


def _is_group(value: Any) -> bool:
    return isinstance(value, Mapping) and "lr" in value


@mutation("weight decay is dropped", by(torch.optim.Adam, weight_decay=0.01))
def _(patch: Patch) -> None:
    regroup(patch, optimizers._Torchs, "update", weight_decay=0.0)


@mutation("decoupled weight decay is dropped", by(torch.optim.AdamW, weight_decay=0.01))
def _(patch: Patch) -> None:
    regroup(patch, optimizers._Torchs, "update", weight_decay=0.0)


@mutation("weight decay is not decoupled", by(torch.optim.AdamW, weight_decay=0.01))
def _(patch: Patch) -> None:
    regroup(patch, optimizers._Torchs, "update", decoupled_weight_decay=False)


@mutation("beta1 is another", by(torch.optim.Adam))
def _(patch: Patch) -> None:
    regroup(patch, optimizers._Adam, "change", betas=(0.8999, 0.999))


@mutation("beta2 is another", by(torch.optim.Adam))
def _(patch: Patch) -> None:
    regroup(patch, optimizers._Adam, "change", betas=(0.9, 0.9991))


@mutation("Keras's beta2 is another", by(nn.Adam))
def _(patch: Patch) -> None:
    right = nn.Adam.update

    def update(params: Any, grads: Any, states: Any, group: Any, rates: Any) -> None:
        right(params, grads, states, {**group, "betas": (0.9, 0.9991)}, rates)

    patch.setattr(nn.Adam, "update", staticmethod(update))


@mutation("momentum is dropped", by(torch.optim.SGD, lr=0.01, momentum=0.9))
def _(patch: Patch) -> None:
    regroup(patch, optimizers._SGD, "change", momentum=0.0)


@mutation("RMSprop's alpha is another", by(torch.optim.RMSprop, lr=1e-3))
def _(patch: Patch) -> None:
    regroup(patch, optimizers._RMSprop, "change", alpha=0.991)


@mutation("epsilon is inside of the root", by(torch.optim.Adam))
def _(patch: Patch) -> None:
    def change(self: Any, grad: Tensor, state: Any, group: Any, rates: Any) -> Tensor:
        beta1, beta2 = group["betas"]
        state["step"].add_(1)
        state["exp_avg"].lerp_(grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        root: Tensor = (state["exp_avg_sq"] / rates[1] ** 2 + group["eps"]).sqrt()
        return rates[0] * state["exp_avg"] / root

    patch.setattr(optimizers._Adam, "change", change)


@mutation("epsilon is beside the uncorrected root", by(torch.optim.Adam, eps=1e-6))
def _(patch: Patch) -> None:
    def change(self: Any, grad: Tensor, state: Any, group: Any, rates: Any) -> Tensor:
        beta1, beta2 = group["betas"]
        state["step"].add_(1)
        state["exp_avg"].lerp_(grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        root: Tensor = (state["exp_avg_sq"].sqrt() + group["eps"]) / rates[1]
        return rates[0] * state["exp_avg"] / root

    patch.setattr(optimizers._Adam, "change", change)


@mutation("steps are not counted", by(torch.optim.Adam))
def _(patch: Patch) -> None:
    right = optimizers._Adam.change

    def change(self: Any, grad: Tensor, state: Any, group: Any, rates: Any) -> Tensor:
        return right(self, grad, {**state, "step": state["step"].clone()}, group, rates)

    patch.setattr(optimizers._Adam, "change", change)


def skip(patch: Patch, skipped: str) -> None:
    right = _Mapped._update_network

    def update(self: Any, who: str) -> None:
        if who != skipped:
            right(self, who)

    patch.setattr(_Mapped, "_update_network", update)


@mutation("D is not updated", by(nn.RMSprop))
def _(patch: Patch) -> None:
    skip(patch, "D")


@mutation("G is not updated", by(nn.RMSprop))
def _(patch: Patch) -> None:
    skip(patch, "G")


@mutation("G learns from stale fakes")
def _(patch: Patch) -> None:
    patch.setattr(_Mapped, "_latent", lambda self, real: self._latents[:, self._step, 0])


@mutation("G learns from fresh fakes", lambda: game(reuse_latent=True))
def _(patch: Patch) -> None:
    def latent(self: Any, real: Tensor) -> Tensor:
        flipped: Tensor = self._latents[:, self._step, 0].flip(1) + 0.01
        return flipped

    patch.setattr(_Mapped, "_latent", latent)


@mutation("G is updated at every step", lambda: game(d_updates=2))
def _(patch: Patch) -> None:
    right = Graph.__init__

    def made(
        self: Any, trainer: Any, updates: Any, memory: Any, inputs: Any, *rest: Any, **more: Any
    ) -> None:
        rates = inputs.rates
        if not all(updates):
            inputs = inputs._replace(rates=torch.cat([rates, rates], 1))
        right(self, trainer, [True] * len(updates), memory, inputs, *rest, **more)

    patch.setattr(Graph, "__init__", made)
    right_rates = Stack._rates

    def twice(self: Any, cycle: Any, cycles: int) -> Tensor:
        rates = right_rates(self, cycle, cycles)
        return rates if all(cycle) else torch.cat([rates, rates], 1)

    patch.setattr(Stack, "_rates", twice)


@mutation("buffers are not updated", batch_norm)
def _(patch: Patch) -> None:
    right = _Mapped._buffers
    patch.setattr(
        _Mapped, "_buffers", lambda self, who: {k: v.clone() for k, v in right(self, who).items()}
    )


@mutation("the statistics of a batch norm have another momentum", batch_norm)
def _(patch: Patch) -> None:
    another_batch_norm(patch, momentum=0.11)


@mutation("a batch norm has another epsilon", batch_norm)
def _(patch: Patch) -> None:
    another_batch_norm(patch, eps=2e-5)


def another_batch_norm(patch: Patch, **settings: float) -> None:
    names = "input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"

    def other(supply: Any, *args: Any, **options: Any) -> Tensor:
        return functional.batch_norm(
            **{**dict(zip(names, args, strict=False)), **options, **settings}
        )

    patch.setitem(operations.HANDLERS, functional.batch_norm, other)


@mutation("inference mode is forgotten", in_inference)
def _(patch: Patch) -> None:
    patch.setattr(graph, "inference", lambda module: nullcontext())


@mutation("spectral norm does not iterate", spectral_norm)
def _(patch: Patch) -> None:
    def normalize(supply: Any, *args: Any, out: Tensor | None = None, **options: Any) -> Tensor:
        return functional.normalize(*args, **options) if out is None else out

    patch.setitem(operations.HANDLERS, functional.normalize, normalize)


@mutation("masks of dropout are those of another call", dropout)
def _(patch: Patch) -> None:
    def give(self: Any, call: Any) -> Tensor:
        alike = [k for k, each in self._given.items() if tuple(each.shape[1:]) == call.shape]
        first: Tensor = self._given[alike[0]][0]
        return first

    patch.setattr(_Mapped, "_give", give)


@mutation("masks of dropout are all ones", dropout)
def _(patch: Patch) -> None:
    patch.setattr(_Mapped, "_give", lambda self, call: torch.ones_like(self._given[call.slot][0]))


@mutation("latents are another seed's")
def _(patch: Patch) -> None:
    given(patch, lambda inputs: inputs._replace(latents=inputs.latents.roll(1, 1)))


@mutation("batches are another seed's")
def _(patch: Patch) -> None:
    given(patch, lambda inputs: inputs._replace(real=inputs.real.roll(1, 1)))


@mutation("masks are another seed's", dropout)
def _(patch: Patch) -> None:
    def rolled(inputs: Inputs) -> Inputs:
        numbers = {slot: each.roll(1, 1) for slot, each in inputs.numbers.items()}
        return inputs._replace(numbers=numbers)

    given(patch, rolled)


@mutation("the order of rows is another", lambda: game(d_loss=paired))
def _(patch: Patch) -> None:
    given(patch, lambda inputs: inputs._replace(latents=inputs.latents.flip(-2)))


def given(patch: Patch, change: Callable[[Inputs], Inputs]) -> None:
    """Change what a graph is called with."""
    right = Graph.__call__
    patch.setattr(Graph, "__call__", lambda self, inputs: right(self, change(inputs)))


@mutation("learning rates are those of a step later", by(torch.optim.Adam))
def _(patch: Patch) -> None:
    right = Stack._rates

    def late(self: Any, cycle: Any, cycles: int) -> Tensor:
        self.steps += 1
        try:
            return right(self, cycle, cycles)
        finally:
            self.steps -= 1

    patch.setattr(Stack, "_rates", late)


@mutation("one group's rate is used for all", with_groups)
def _(patch: Patch) -> None:
    right = _Mapped._update_network

    def update(self: Any, who: str) -> None:
        rates = [*self._rates]
        groups = len(self._groups[who])
        self._rates = iter([*rates[:3] * groups, *rates[3 * groups :]])
        right(self, who)

    patch.setattr(_Mapped, "_update_network", update)


@mutation("a learning rate is off by a thousandth", by(torch.optim.SGD, lr=0.01))
def _(patch: Patch) -> None:
    right = Stack._rates
    patch.setattr(Stack, "_rates", lambda self, *cycles: right(self, *cycles) * 1.001)


@mutation("frozen weights are trained", frozen)
def _(patch: Patch) -> None:
    def parameters(self: Any, who: str, *, grad: bool) -> dict[Any, Tensor]:
        names = [(who, name) for name, _ in self._trainer.networks[who].named_parameters()]
        return {key: self._tensors[key].detach().requires_grad_(grad) for key in names}

    patch.setattr(_Mapped, "_parameters", parameters)


@mutation("the gradient of a penalty is dropped", lambda: game(d_loss=penalised))
def _(patch: Patch) -> None:
    right = StackedGradients._grad

    def grad(self: Any, *args: Any, **options: Any) -> Any:
        return tuple(each.detach() for each in right(self, *args, **options))

    patch.setattr(StackedGradients, "_grad", grad)


@mutation("the second loss is dropped", two_losses)
def _(patch: Patch) -> None:
    right = Player._update_d

    def update(self: Any, real: Tensor, fake: Tensor, known: Any) -> Any:
        if isinstance(self, Trainer):
            return right(self, real, fake, known)
        first, asked = self.game.d_losses[0], self.asks["D"][0]
        loss, said, _ = self._differentiate("D", first, asked, real, fake, known)
        self._update("D")
        list(zip(range(self._skipped()), self._rates, strict=False))  # those of the second
        return {"d_loss": loss, "d_accuracy": said[0]}

    def skipped(self: Any) -> int:
        return sum(len(self._rules["D"].rates(group, 1)) for group, _ in self._groups["D"])

    patch.setattr(_Mapped, "_skipped", skipped, raising=False)

    patch.setattr(Player, "_update_d", update)


def graded(patch: Patch, change: Callable[[Tensor], Tensor]) -> None:
    """Change the gradients that updates are made from."""
    right = _Mapped._update

    def update(self: Any, who: str) -> None:
        self._grads = {key: change(grad) for key, grad in self._grads.items()}
        right(self, who)

    patch.setattr(_Mapped, "_update", update)


@mutation("gradients are those of a mean over seeds", by(torch.optim.SGD, lr=0.01))
def _(patch: Patch) -> None:
    graded(patch, lambda grad: grad / len(SEEDS))


@mutation("gradients are scaled where that is not seen in weights", by(torch.optim.Adam))
def _(patch: Patch) -> None:
    graded(patch, lambda grad: grad * 1.01)


@mutation("gradients are mixed between seeds", by(torch.optim.Adam))
def _(patch: Patch) -> None:
    graded(patch, lambda grad: grad + 0.01 * grad.roll(1, 0))


@mutation("gradients are off by a thousandth", by(torch.optim.SGD, lr=0.01))
def _(patch: Patch) -> None:
    graded(patch, lambda grad: grad * 1.001)


@mutation("gradients are clipped", by(torch.optim.SGD, lr=0.01))
def _(patch: Patch) -> None:
    graded(patch, lambda grad: grad.clamp(-0.05, 0.05))


def rounded(patch: Patch, change: Callable[[Tensor], Tensor]) -> None:
    patch.setitem(
        operations.HANDLERS,
        functional.linear,
        lambda supply, *args: change(functional.linear(*args)),
    )


def own_numbers() -> Game:
    """With a weight and betas that follow from the seed."""
    weight, beta = (float(x) for x in torch.rand(2))
    adam = partial(torch.optim.Adam, lr=1e-3, betas=(beta, 0.9))
    return game(g_loss=lambda D, real, fake: weight * g_loss(D, real, fake), d_optimizer=adam)


@mutation("a seed has the first one's numbers", own_numbers)
def _(patch: Patch) -> None:
    right = Settings.values

    def first(self: Settings, *args: Any) -> Tensor:
        values = right(self, *args)
        assert values is not None
        return values[:, :1].expand_as(values)

    patch.setattr(Settings, "values", first)


@mutation("numbers change places", own_numbers)
def _(patch: Patch) -> None:
    right = Settings.values
    patch.setattr(Settings, "values", lambda self, *args: right(self, *args).flip(2))


@mutation("products are bfloat16's")
def _(patch: Patch) -> None:
    rounded(patch, lambda x: x.bfloat16().float())


@mutation("products are off by a thousandth")
def _(patch: Patch) -> None:
    rounded(patch, lambda x: x * 1.001)


@mutation("products are off by a ten thousandth")
def _(patch: Patch) -> None:
    rounded(patch, lambda x: x * 1.0001)


def build(make: Make) -> Stack:
    trainers = []
    for seed in SEEDS:
        torch.manual_seed(stream(seed, "init"))
        trainers.append(Trainer(make(), seed=seed))
    return stack.Stack(trainers, (N, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", every(3, MUTATIONS))
def test_a_wrong_engine_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, make = MUTATIONS[name]
    build(make)
    mutate(monkeypatch)
    with pytest.raises(UnstackableError, match="from what the eager player makes of it"):
        build(make)
