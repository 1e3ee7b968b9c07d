"""Trains a Game: today one seed, eagerly; the losses stay formulas, so this can change alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.core import Game, generator


class Trainer:
    """One Game being trained for one seed: a `GAN` like any other to the harness.

    Latent noise comes from a stream of the seed's own. Logged: `d_loss` and `g_loss`, the
    discriminator's accuracy `d_accuracy` on the batches of its update, before the update, and
    `g_accuracy`, the share of the generator's batch that is taken for real.
    """

    def __init__(self, game: Game, *, seed: int, device: str = "cpu", compiled: bool = False):
        self.game = game
        self.generator = game.generator.to(device)
        self.discriminator = game.discriminator.to(device)
        if compiled:
            self.generator.compile()
            self.discriminator.compile()
        self.g_params = list(self.generator.parameters())
        self.d_optimizer = game.d_optimizer(self.discriminator.parameters())
        self.g_optimizer = game.g_optimizer(self.g_params)
        self.rng = generator(seed, "latent", device=device)
        self.steps = 0

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """One update of D on `real` (batch_size, *shape), and of G when it is its turn."""
        game, n = self.game, len(real)
        self.steps += 1
        g_turn = self.steps % game.d_updates == 0
        with torch.set_grad_enabled(g_turn and game.reuse_latent):
            fake = self.generator(game.latent(n, self.rng))

        judge, frozen = _Judge(self.discriminator), fake.detach()
        d_loss = game.d_loss(judge, real, frozen)  # type: ignore[arg-type]
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()
        right = judge.share("d_accuracy", game.decision, real=real, fake=frozen)
        log = {"d_loss": d_loss.detach(), **right}
        if not g_turn:
            return log

        if not game.reuse_latent:
            fake = self.generator(game.latent(n, self.rng))
        judge = _Judge(self.discriminator)
        g_loss = game.g_loss(judge, real, fake)  # type: ignore[arg-type]
        self.g_optimizer.zero_grad()
        g_loss.backward(inputs=self.g_params)
        self.g_optimizer.step()
        taken = judge.share("g_accuracy", game.decision, real=fake)
        return {**log, "g_loss": g_loss.detach(), **taken}

    def sample(self, n: int) -> Tensor:
        """n samples from the generator in inference mode."""
        self.generator.eval()
        with torch.no_grad():
            samples: Tensor = self.generator(self.game.latent(n, self.rng))
        self.generator.train()
        return samples


class _Judge:
    """A discriminator that remembers what it said, so that losses need not return accuracies."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._said: list[tuple[Tensor, Tensor]] = []

    def __call__(self, batch: Tensor) -> Tensor:
        verdict: Tensor = self._module(batch)
        self._said.append((batch, verdict))
        return verdict

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def __getitem__(self, index: int | slice) -> nn.Module:
        return self._module[index]  # type: ignore[index, no-any-return]

    def share(
        self, name: str, decision: float | None, *, real: Tensor, fake: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Share of verdicts that call `real` real and `fake` fake; other batches do not count."""
        if decision is None:
            return {}
        right = [
            ((verdict.detach() > decision) == (batch is real)).float().mean()
            for batch, verdict in self._said
            if batch is real or batch is fake
        ]
        return {name: sum(right[1:], right[0]) / len(right)} if right else {}
