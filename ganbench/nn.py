"""Keras's layers, initialisers and optimiser for PyTorch, where the two differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

Initializer = Callable[[Tensor], object]
Group = Mapping[str, Any]  # an optimiser's settings
States = list[Mapping[str, Tensor]]  # what it keeps of each parameter

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": lambda width: BatchNorm(width, momentum=0.8),
    "layer": nn.LayerNorm,
}


glorot_uniform: Initializer = nn.init.xavier_uniform_


def normal(std: float) -> Initializer:
    """An initialiser that draws weights from N(0, std^2)."""
    return lambda weight: nn.init.normal_(weight, 0.0, std)


def dense(fan_in: int, fan_out: int, *, init: Initializer = glorot_uniform) -> nn.Linear:
    """Keras's Dense: Glorot-uniform weights and a zero bias (torch's Linear has neither)."""
    layer = nn.Linear(fan_in, fan_out)
    with torch.no_grad():
        init(layer.weight)
        layer.bias.zero_()
    return layer


def mlp(
    sizes: Sequence[int],
    *,
    activation: str = "leaky_relu",
    norm: str | None = None,
    dropout: float = 0.0,
    init: Initializer = glorot_uniform,
    first_init: Initializer | None = None,
) -> nn.Sequential:
    """Dense layers of those sizes, each but the last followed by activation, norm and dropout.

    `norm` is a name in `NORMS`; `first_init` is for the weights of the first layer alone.
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes[:-1]):
        layers.append(dense(fan_in, fan_out, init=init if layers else first_init or init))
        layers.append(ACTIVATIONS[activation]())
        if norm:
            layers.append(NORMS[norm](fan_out))
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, dense(sizes[-2], sizes[-1], init=init))


class BatchNorm(nn.BatchNorm1d):
    """Keras's BatchNormalization: epsilon 1e-3, and moving averages of the biased variance.

    `momentum` is Keras's: the share of a moving average that is kept, one minus torch's.
    """

    def __init__(self, width: int, *, momentum: float = 0.99, epsilon: float = 1e-3) -> None:
        super().__init__(width, eps=epsilon, momentum=1 - momentum)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) to (n, width)."""
        if not self.training:
            return super().forward(x)
        # Plain operations, which torch.func.vmap takes for all seeds at once, with the same bits.
        mean = x.mean(0)
        centered = x - mean
        variance = centered.square().mean(0)
        with torch.no_grad():
            for average, value in ((self.running_mean, mean), (self.running_var, variance)):
                average.mul_(1 - self.momentum).add_(value, alpha=self.momentum)  # type: ignore[union-attr, operator]
        return torch.addcmul(self.bias, centered, self.weight * (variance + self.eps).rsqrt())


class Affine(nn.Module):
    """x * scale + shift with fixed `scale` and `shift` (d,): to and from a task's own units."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, d)."""
        return torch.addcmul(self.shift, x, self.scale)  # type: ignore[arg-type]


class Maxout(nn.Module):
    """The greatest of `pieces` dense layers, number by number: Goodfellow et al. 2013."""

    def __init__(
        self, fan_in: int, fan_out: int, pieces: int, *, init: Initializer = glorot_uniform
    ) -> None:
        super().__init__()
        self.linear = dense(fan_in, pieces * fan_out, init=init)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """(n, fan_in) to (n, fan_out)."""
        # A piece's numbers lie side by side, so that whole rows are compared at once.
        made: Tensor = self.linear(x).unflatten(-1, (self.pieces, -1)).amax(-2)
        return made


class Margin(nn.Module):
    """Two class logits (n, 2) to the one logit (n, 1) of the second class.

    Softmax cross-entropy on the two is sigmoid cross-entropy on their difference.
    """

    def forward(self, logits: Tensor) -> Tensor:
        """(n, 2) to (n, 1)."""
        return logits[:, 1:] - logits[:, :1]


class Adam(torch.optim.Adam):
    """Adam with Keras's defaults and Keras's place for epsilon.

    Keras adds epsilon to sqrt(v), torch to sqrt(v / (1 - beta2^t)): early on that is a factor of
    up to 30. Kingma and Ba 2015 give Keras's form at the end of their section 2.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=epsilon, fused=True)
        for group in self.param_groups:
            group.update(epsilon=epsilon, steps=0)
            for p in group["params"]:
                self.state[p] = {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the gradients in place."""
        for group in self.param_groups:
            group["steps"] += 1
            group["eps"] = group["epsilon"] / (1 - group["betas"][1] ** group["steps"]) ** 0.5
        super().step()

    @staticmethod
    def rates(group: Group, count: int) -> tuple[float, ...]:
        """The learning rate of update `count`, from 1, corrected for averages that start at 0."""
        beta1, beta2 = group["betas"]
        return (group["lr"] * (1 - beta2**count) ** 0.5 / (1 - beta1**count),)

    @staticmethod
    def update(
        params: list[Tensor],
        grads: list[Tensor],
        states: States,
        group: Group,
        rates: Sequence[Tensor],
    ) -> None:
        """An update as `step` makes it, in operations for a graph, also of many seeds."""
        beta1, beta2 = group["betas"]
        means = [state["exp_avg"] for state in states]
        squares = [state["exp_avg_sq"] for state in states]
        torch._foreach_add_([state["step"] for state in states], 1)
        torch._foreach_lerp_(means, grads, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, grads, grads, 1 - beta2)
        roots = list(torch._foreach_sqrt(squares))
        torch._foreach_add_(roots, group["epsilon"])
        divisors: Any = [-rates[0]] * len(roots)
        torch._foreach_div_(roots, divisors)
        torch._foreach_addcdiv_(params, means, roots)


def _update(optimizer: OptimisticAdam | RMSprop, group: Group, count: int) -> None:
    """Update a group, for the `count`-th time, from the gradients in place."""
    params = [p for p in group["params"] if p.grad is not None]
    states = [optimizer.state[p] for p in params]
    rates = optimizer.rates(group, count)
    optimizer.update(params, [p.grad for p in params], states, group, rates)


class OptimisticAdam(torch.optim.Optimizer):
    """Adam that takes twice what it would change now, less what it changed last.

    Daskalakis et al. 2018, algorithm 1, with the settings of their GANs.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "steps": 0})
        for group in self.param_groups:
            for p in group["params"]:
                names = ("exp_avg", "exp_avg_sq", "last")
                self.state[p] = {name: torch.zeros_like(p) for name in names}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the gradients in place."""
        for group in self.param_groups:
            group["steps"] += 1
            _update(self, group, group["steps"])

    @staticmethod
    def rates(group: Group, count: int) -> tuple[float, ...]:
        """The learning rate of update `count`, from 1, and what corrects the root of squares."""
        beta1, beta2 = group["betas"]
        return group["lr"] / (1 - beta1**count), (1 - beta2**count) ** 0.5

    @staticmethod
    def update(
        params: list[Tensor],
        grads: list[Tensor],
        states: States,
        group: Group,
        rates: Sequence[Tensor | float],
    ) -> None:
        """An update of any parameters: also of those of many seeds, in a graph."""
        beta1, beta2 = group["betas"]
        for p, grad, state in zip(params, grads, states, strict=True):
            state["exp_avg"].lerp_(grad, 1 - beta1)
            state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            root = state["exp_avg_sq"].sqrt() / rates[1] + group["eps"]
            change = rates[0] * state["exp_avg"] / root
            p.sub_(2 * change - state["last"])
            state["last"].copy_(change)


class RMSprop(torch.optim.Optimizer):
    """RMSProp with TensorFlow's place for epsilon, inside the root, as in Keras.

    `initial` is where the mean squares start: at 0 in Keras, at 1 in TensorFlow 1's
    `RMSPropOptimizer` (seen in `tf.compat.v1`), which makes the first steps much smaller. Hinton
    2012, lecture 6e of "Neural networks for machine learning".
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        decay: float = 0.9,
        epsilon: float = 1e-7,
        initial: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "decay": decay, "epsilon": epsilon})
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = {"mean_square": torch.full_like(p, initial)}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the gradients in place."""
        for group in self.param_groups:
            _update(self, group, 1)

    @staticmethod
    def rates(group: Group, count: int) -> tuple[float, ...]:
        """The learning rate, at every update the same."""
        return (group["lr"],)

    @staticmethod
    def update(
        params: list[Tensor],
        grads: list[Tensor],
        states: States,
        group: Group,
        rates: Sequence[Tensor | float],
    ) -> None:
        """An update of any parameters: also of those of many seeds, in a graph."""
        squares = [state["mean_square"] for state in states]
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, grads, grads, 1 - group["decay"])
        roots = list(torch._foreach_add(squares, group["epsilon"]))
        torch._foreach_sqrt_(roots)
        divisors: Any = [-rates[0]] * len(roots)
        torch._foreach_div_(roots, divisors)
        torch._foreach_addcdiv_(params, grads, roots)
