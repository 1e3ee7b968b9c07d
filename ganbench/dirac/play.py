"""The DiracGAN as a Game, trained by the engine like any other, and what it does beside theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
RATE, STEPS, START = 0.2, 500, (1.0, 1.0)  # of the paper's pictures


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

    Alternating, D is updated first.
    """
    played, (theta, psi) = METHODS[method], start
    descent = partial(torch.optim.SGD, lr=rate)
    return Game(
        generator=Point(theta),
        discriminator=Slope(psi),
        latent=latent,
        d_loss=played.d_loss,
        g_loss=played.g_loss,
        d_optimizer=descent,
        g_optimizer=descent,
        after_d=played.after_d,
        simultaneous=updates == "simultaneous",
        extragradient=updates == "extragradient",
    )


def trajectory(played: Game, steps: int = STEPS) -> Array:
    """Where (theta, psi) is before the first and after each step, (steps + 1, 2)."""
    trainer, real = Trainer(played, seed=0, total=steps), torch.zeros(1, 1, dtype=torch.float64)
    places = [_place(trainer)]
    for _ in range(steps):
        trainer.train_step(real)
        places.append(_place(trainer))
    return np.array(places)


def _place(trainer: Trainer) -> list[float]:
    return [float(p.detach()) for who in ("G", "D") for p in trainer.networks[who].parameters()]


class Row(NamedTuple):
    """What a method does with these updates, by theory and here, and how far from 0 it ends."""

    method: str
    updates: Updates
    theory: Behaviour
    ours: Behaviour
    distance: float

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
        theory, distance = THEORY[method, updates].behaviour, float(np.hypot(*way[-1]))
        rows.append(Row(METHODS[method].title, updates, theory, classify(way), distance))
    return rows
