"""The updates of torch's own optimisers as operations for a graph, also of many seeds.

`ganbench.nn`'s optimisers have `rates` and `update` themselves.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim import optimizer as torch_optimizer

from ganbench.engine.state import ImpureError
from ganbench.errors import InputError
from ganbench.nn import Group, States

State = Mapping[str, Tensor]


class Rule(Protocol):
    """How an optimiser's group of parameters is updated."""

    def rates(self, group: Group, count: int) -> tuple[float, ...]:
        """What `update` needs that changes with its `count`, from 1."""

    def update(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        states: States,
        group: Group,
        rates: Sequence[Tensor],
    ) -> None:
        """Change parameters and states in place."""


def rule_of(optimizer: Optimizer) -> Rule:
    """The optimiser's rule; InputError if it has none, or for what changes its step besides."""
    kind: Any = type(optimizer)
    if hooked := _hooked(optimizer):
        raise ImpureError(f"{kind.__qualname__} has {hooked}", keeps=True)
    if "update" in vars(kind):  # its own, not that of a class whose step it may have changed
        return kind  # type: ignore[no-any-return]
    rule = RULES.get(kind)
    if rule is None or any(group.get(name) for group in optimizer.param_groups for name in OTHER):
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise InputError(f"{name}, so set up, has no update for graphs")
    return rule


def _hooked(optimizer: Optimizer) -> str | None:
    """What is called at an optimiser's step beside it, or instead."""
    if "step" in vars(optimizer):
        return "a step of its own, as under a scheduler of learning rates"
    hooks = (
        optimizer._optimizer_step_pre_hooks,
        optimizer._optimizer_step_post_hooks,
        torch_optimizer._global_optimizer_pre_hooks,
        torch_optimizer._global_optimizer_post_hooks,
    )
    return "hooks of its step" if any(hooks) else None


def start(optimizer: Optimizer) -> None:
    """Make the states that torch's optimisers make at their first update."""
    rule = RULES.get(type(optimizer))
    if rule is None:
        return
    for group in optimizer.param_groups:
        for p in group["params"]:
            for name in rule.states(group):
                # As torch keeps them; those that are there, of a run that goes on, stay.
                new = torch.zeros(()) if name == "step" else torch.zeros_like(p)
                optimizer.state[p].setdefault(name, new)


# Settings that would change a rule.
OTHER = ("amsgrad", "maximize", "differentiable", "capturable", "nesterov", "dampening", "centered")


class _Torchs(ABC):
    """What they have in common: weight decay, and the learning rate at every update the same."""

    @abstractmethod
    def states(self, group: Group) -> tuple[str, ...]:
        """Names of what is kept of each parameter."""

    @abstractmethod
    def change(self, grad: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        """What is taken off a parameter, whose states change in place."""

    def rates(self, group: Group, count: int) -> tuple[float, ...]:
        """The learning rate, what the rule makes of it, and what decoupled decay leaves."""
        decay = group["weight_decay"] if group.get("decoupled_weight_decay") else 0.0
        return (*self.own_rates(group, count), 1 - group["lr"] * decay)

    def own_rates(self, group: Group, count: int) -> tuple[float, ...]:
        return (group["lr"],)

    def update(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        states: States,
        group: Group,
        rates: Sequence[Tensor],
    ) -> None:
        decay, decoupled = group["weight_decay"], group.get("decoupled_weight_decay")
        for p, given, state in zip(params, grads, states, strict=True):
            if decay and decoupled:
                p.mul_(rates[-1])
            grad = given + decay * p if decay and not decoupled else given
            p.sub_(self.change(grad, state, group, rates))


class _Adam(_Torchs):
    """Adam and AdamW, which differ in a setting."""

    def states(self, group: Group) -> tuple[str, ...]:
        return ("step", "exp_avg", "exp_avg_sq")

    def own_rates(self, group: Group, count: int) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        return group["lr"] / (1 - beta1**count), math.sqrt(1 - beta2**count)

    def change(self, grad: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        beta1, beta2 = group["betas"]
        state["step"].add_(1)
        state["exp_avg"].lerp_(grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        root = state["exp_avg_sq"].sqrt() / rates[1] + group["eps"]
        change: Tensor = rates[0] * state["exp_avg"] / root
        return change


class _SGD(_Torchs):
    """Gradient descent, with momentum if asked for."""

    def states(self, group: Group) -> tuple[str, ...]:
        # At 0, as after no step: torch's first momentum is the first gradient itself.
        return ("momentum_buffer",) if group["momentum"] else ()

    def change(self, grad: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        if group["momentum"]:
            grad = state["momentum_buffer"].mul_(group["momentum"]).add_(grad)
        return rates[0] * grad


class _RMSprop(_SGD):
    """RMSprop, with torch's place for epsilon: descent along the gradient by its own size."""

    def states(self, group: Group) -> tuple[str, ...]:
        return ("step", "square_avg", *super().states(group))

    def change(self, grad: Tensor, state: State, group: Group, rates: Sequence[Tensor]) -> Tensor:
        state["step"].add_(1)
        square = state["square_avg"].mul_(group["alpha"])
        square.addcmul_(grad, grad, value=1 - group["alpha"])
        return super().change(grad / (square.sqrt() + group["eps"]), state, group, rates)


RULES: dict[type, _Torchs] = {Adam: _Adam(), AdamW: _Adam(), SGD: _SGD(), RMSprop: _RMSprop()}
