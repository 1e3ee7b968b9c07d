"""The updates of torch's own optimisers as operations for a graph, also of many seeds.

`ganbench.nn`'s optimisers have `rates` and `update` themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from ganbench.nn import Group, States


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


def rule_of(optimizer: Optimizer) -> Rule | None:
    """The optimiser's rule, if it has one and its settings are among those of the rule."""
    kind: Any = type(optimizer)
    if hasattr(kind, "update"):
        return kind  # type: ignore[no-any-return]
    rule = RULES.get(kind)
    plain = rule and all(not group.get(name) for group in optimizer.param_groups for name in OTHER)
    return rule if plain else None


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


class _Adam:
    """Adam and AdamW, which differ in a setting."""

    def states(self, group: Group) -> tuple[str, ...]:
        return ("step", "exp_avg", "exp_avg_sq")

    def rates(self, group: Group, count: int) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        return group["lr"] / (1 - beta1**count), math.sqrt(1 - beta2**count)

    def update(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        states: States,
        group: Group,
        rates: Sequence[Tensor],
    ) -> None:
        beta1, beta2 = group["betas"]
        decay, decoupled = group["weight_decay"], group["decoupled_weight_decay"]
        for p, given, state in zip(params, grads, states, strict=True):
            if decay and decoupled:
                p.mul_(1 - group["lr"] * decay)
            grad = given + decay * p if decay and not decoupled else given
            state["step"].add_(1)
            state["exp_avg"].lerp_(grad, 1 - beta1)
            state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            root = state["exp_avg_sq"].sqrt() / rates[1] + group["eps"]
            p.sub_(rates[0] * state["exp_avg"] / root)


class _SGD:
    """Gradient descent, with momentum if asked for."""

    def states(self, group: Group) -> tuple[str, ...]:
        # At 0, as after no step: torch's first momentum is the first gradient itself.
        return ("momentum_buffer",) if group["momentum"] else ()

    def rates(self, group: Group, count: int) -> tuple[float, ...]:
        return (group["lr"],)

    def update(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        states: States,
        group: Group,
        rates: Sequence[Tensor],
    ) -> None:
        for p, given, state in zip(params, grads, states, strict=True):
            grad = given + group["weight_decay"] * p if group["weight_decay"] else given
            if group["momentum"]:
                grad = state["momentum_buffer"].mul_(group["momentum"]).add_(grad)
            p.sub_(rates[0] * grad)


class _RMSprop:
    """RMSprop, with torch's place for epsilon."""

    def states(self, group: Group) -> tuple[str, ...]:
        return ("step", "square_avg", *(("momentum_buffer",) if group["momentum"] else ()))

    def rates(self, group: Group, count: int) -> tuple[float, ...]:
        return (group["lr"],)

    def update(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        states: States,
        group: Group,
        rates: Sequence[Tensor],
    ) -> None:
        for p, given, state in zip(params, grads, states, strict=True):
            grad = given + group["weight_decay"] * p if group["weight_decay"] else given
            state["step"].add_(1)
            square = state["square_avg"].mul_(group["alpha"])
            square.addcmul_(grad, grad, value=1 - group["alpha"])
            change = grad / (square.sqrt() + group["eps"])
            if group["momentum"]:
                change = state["momentum_buffer"].mul_(group["momentum"]).add_(change)
            p.sub_(rates[0] * change)


RULES: dict[type, Any] = {
    Adam: _Adam(),
    AdamW: _Adam(),
    SGD: _SGD(),
    RMSprop: _RMSprop(),
}
