"""Small trainings that fail in known ways, and what the harness would have kept of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench.core import GAN, Game, Task
from ganbench.diagnosis.evidence import of_result, of_run
from ganbench.diagnosis.facts import Evidence
from ganbench.diagnosis.rules import Verdict, diagnose
from ganbench.engine.trainer import Trainer
from ganbench.env import Env
from ganbench.randomness import seed_global
from ganbench.results.schema import Point

EVALUATED = 1024  # samples: the floors are those of 4,096, and no threshold is so fine


@dataclass
class Run:
    """A finished training."""

    task: Task
    seed: int
    status: str = "ok"
    reason: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    frames: list[tuple[int, np.ndarray]] = field(default_factory=list)
    samples: Tensor | None = None

    def evidence(self) -> Evidence:
        return of_run(
            self.task,
            self.alone(),
            samples=self.samples,
            frames=self.frames,
            training=self.task.draw_pool(self.seed),
        )

    def alone(self) -> Evidence:
        """By its result alone."""
        return of_result(
            self.metrics,
            self.task.bounds,
            self.curve,
            views=self.task.positions(self.metrics) if self.status == "ok" else {},
            status=self.status,
            reason=self.reason,
        )

    def verdict(self) -> Verdict:
        return diagnose(self.evidence())


def train(
    task: Task, make: Callable[[Task], GAN | Game], *, steps: int, rounds: int = 8, seed: int = 0
) -> Run:
    """Train for so many steps, with all that the harness notes of it."""
    budget = replace(
        task.budget, steps=steps, evaluations=rounds, evaluation_size=EVALUATED, log_every=steps
    )
    task = replace(task, budget=budget)  # with a reference as large as the samples
    env = Env(task, budget=budget, thorough=False, threshold=None)
    seed_global(seed)
    gan = make(task)
    if isinstance(gan, Game):
        gan = Trainer(gan, seed=seed, total=steps)
    run, over = Run(task, seed), False
    env.reset(seed=seed)
    env.round = 0
    while not over:
        losses = learn(gan, env.batches())
        step = min((env.round + 1) * budget.steps_per_round, steps)
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            run.status, run.reason = "diverged", f"{bad[0]} is {losses[bad[0]]} at step {step}"
            return run
        run.samples = gan.sample(EVALUATED).detach()
        _, _, over, info = env.score_round(run.samples)
        run.metrics = info["metrics"]
        point = Point(step=step, train_seconds=0, losses=losses, metrics=run.metrics)
        run.curve.append(point)
        run.frames.append((step, run.samples.numpy()))
    return run


def learn(gan: GAN, batches: Iterable[Tensor]) -> dict[str, float]:
    """Mean losses over a round."""
    sums: dict[str, list[float]] = {}
    for batch in batches:
        for name, value in gan.train_step(batch).items():
            sums.setdefault(name, []).append(float(value))
    return {name: float(np.mean(values)) for name, values in sums.items()}


@dataclass
class Drawn:
    """Learns nothing: its samples are `draw(task, n, rng, round)`, from round 0."""

    task: Task
    draw: Callable[[Task, int, torch.Generator, int], Tensor]
    losses: Mapping[str, float] = field(default_factory=dict)
    rng: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(5))
    round: int = -1

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        return {name: torch.tensor(value) for name, value in self.losses.items()}

    def sample(self, n: int) -> Tensor:
        self.round += 1
        return self.draw(self.task, n, self.rng, self.round)


def drawn(draw: Callable[..., Tensor], **losses: float) -> Callable[[Task], Drawn]:
    return lambda task: Drawn(task, draw, losses)


class Affine(nn.Module):
    """x * scale + shift."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def d_loss(D: Any, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(real)).mean() + softplus(D(fake)).mean()


def g_loss(D: Any, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(fake)).mean()


def saturating(D: Any, real: Tensor, fake: Tensor) -> Tensor:
    """The minimax loss, flat where D is certain: Goodfellow et al. 2014, section 3."""
    return -softplus(D(fake)).mean()


def game(
    task: Task,
    *,
    d_lr: float = 1e-3,
    g_lr: float = 1e-3,
    latent: int = 8,
    width: int = 64,
    far: float = 0.0,
    loss: Callable[..., Tensor] = g_loss,
    **more: Any,
) -> Game:
    """Two small networks that see data of mean 0 and deviation 1; G starts `far` from them."""
    center, scale = task.center, task.scale
    return Game(
        generator=nn.Sequential(
            mlp(latent, width, width, task.width), Affine(scale, center + far * scale)
        ),
        discriminator=nn.Sequential(
            Affine(1 / scale, -center / scale), mlp(task.width, width, width, 1)
        ),
        latent=lambda n, rng: torch.randn(n, latent, generator=rng, device=rng.device),
        d_loss=d_loss,
        g_loss=loss,
        d_optimizer=partial(torch.optim.Adam, lr=d_lr, betas=(0.5, 0.999)),
        g_optimizer=partial(torch.optim.Adam, lr=g_lr, betas=(0.5, 0.999)),
        **more,
    )
