"""The DiracGAN as a Game, trained by the engine like any other, and what it does beside theory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ganbench.core import Game
from ganbench.dirac.methods import METHODS
from ganbench.dirac.theory import THEORY, Array, Behaviour, Updates, classify
from ganbench.engine.trainer import Trainer

Ways = Mapping[tuple[str, Updates], Array]
RATE, STEPS = 0.2, 500  # of the paper's pictures
START = (1.0, 1.0)  # (theta, psi); the paper's is (1, -1) in these signs


class Point(nn.Module):
    """The generator: theta, whatever the latent."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([theta], dtype=torch.float64))

    def forward(self, latent: Tensor) -> Tensor:
        """The same sample for each row, (n, 1)."""
        return self.theta.expand(len(latent), 1)


class Slope(nn.Module):
    """The discriminator: psi x."""

    def __init__(self, psi: float) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor([psi], dtype=torch.float64))

    def forward(self, batch: Tensor) -> Tensor:
        """A logit for each of the samples (n, 1)."""
        return self.psi * batch


class OptimisticDescent(torch.optim.Optimizer):
    """Gradient descent by twice the gradient, less the last one: Daskalakis et al. 2018.

    As `ganbench.nn.OptimisticAdam` is of Adam.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr})
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = {"last": torch.zeros_like(p)}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the gradients in place."""
        for group in self.param_groups:
            for p in group["params"]:
                last = self.state[p]["last"]
                p.sub_(2 * p.grad - last, alpha=group["lr"])
                last.copy_(p.grad)


def latent(n: int, rng: torch.Generator) -> Tensor:
    """Nothing, n times."""
    return torch.zeros(n, 1, dtype=torch.float64, device=rng.device)


def game(
    method: str,
    updates: Updates = "simultaneous",
    start: tuple[float, float] = START,
    rate: float = RATE,
) -> Game:
    """The method's game from `start`, (theta, psi), by gradient descent at that `rate`.

    Alternating, D is updated first, as everywhere here, and G in the paper's own code. Optimistic
    updates are simultaneous.
    """
    played, (theta, psi) = METHODS[method], start
    kind = OptimisticDescent if updates == "optimistic" else torch.optim.SGD
    descent = partial(kind, lr=rate)
    return Game(
        generator=Point(theta),
        discriminator=Slope(psi),
        latent=latent,
        d_loss=played.d_loss,
        g_loss=played.g_loss,
        d_optimizer=descent,
        g_optimizer=descent,
        after_d=played.after_d,
        simultaneous=updates in ("simultaneous", "optimistic"),
        extragradient=updates == "extragradient",
    )


def trajectory(played: Game, steps: int = STEPS, batch_size: int = 1) -> Array:
    """Where (theta, psi) is before the first and after each step, (steps + 1, 2).

    All samples of a batch are the same, so that its size makes no difference.
    """
    trainer = Trainer(played, seed=0, total=steps)
    real = torch.zeros(batch_size, 1, dtype=torch.float64)
    places = [_place(trainer)]
    for _ in range(steps):
        trainer.train_step(real)
        places.append(_place(trainer))
    return np.array(places)


def _place(trainer: Trainer) -> list[float]:
    return [float(p.detach()) for who in ("G", "D") for p in trainer.networks[who].parameters()]


class Row(NamedTuple):
    """What a method does with these updates, by theory and here, and how far from 0 it ends.

    `why` is what theory says it by.
    """

    method: str
    updates: Updates
    theory: Behaviour
    ours: Behaviour
    distance: float
    why: str

    @property
    def agrees(self) -> bool:
        """Whether it does what theory says."""
        return self.theory == self.ours


def ways() -> Ways:
    """The trajectory of every method with each of its updates, from (1, 1)."""
    return {each: trajectory(game(*each)) for each in THEORY}


def table(found: Ways | None = None) -> Sequence[Row]:
    """Every method with each of its updates, from (1, 1), 500 steps at a rate of 0.2.

    `found` are the trajectories, if they are known already.
    """
    rows = []
    for (method, updates), way in (found or ways()).items():
        (theory, why), distance = THEORY[method, updates], float(np.hypot(*way[-1]))
        rows.append(Row(METHODS[method].title, updates, theory, classify(way), distance, why))
    return rows
