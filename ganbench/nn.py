"""Keras's layers, initialisers and optimiser for PyTorch, where the two differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

Initializer = Callable[[Tensor], object]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def normal(std: float) -> Initializer:
    """An initialiser that draws weights from N(0, std^2)."""
    return lambda weight: nn.init.normal_(weight, 0.0, std)


def dense(fan_in: int, fan_out: int, *, init: Initializer = nn.init.xavier_uniform_) -> nn.Linear:
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
    dropout: float = 0.0,
    init: Initializer = nn.init.xavier_uniform_,
) -> nn.Sequential:
    """Dense layers of those sizes, each but the last followed by activation and dropout."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes[:-1]):
        layers += [dense(fan_in, fan_out, init=init), ACTIVATIONS[activation]()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, dense(sizes[-2], sizes[-1], init=init))


class Affine(nn.Module):
    """x * scale + shift with fixed `scale` and `shift` (d,): to and from a task's own units."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, d)."""
        return torch.addcmul(self.shift, x, self.scale)  # type: ignore[arg-type]


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

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the gradients in place."""
        for group in self.param_groups:
            group["steps"] += 1
            group["eps"] = group["epsilon"] / (1 - group["betas"][1] ** group["steps"]) ** 0.5
        super().step()
