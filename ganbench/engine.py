"""Trains a Game: today one seed, eagerly; the losses stay formulas, so this can change alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.core import Game, generator


class Trainer:
    """One Game being trained for one seed: a `GAN` like any other to the harness.

    Latent noise comes from a stream of the seed's own. Logged: `d_loss` (the mean, if there are
    several) and `g_loss`, the discriminator's accuracy `d_accuracy` on the batches of its update,
    before the update, and `g_accuracy`, the share of the generator's batch taken for real.
    `during(part)` is entered for each part of a step: noise, D, G, optimizers.
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
        self.snapshot: dict[str, Tensor] | None = None
        self.during: Callable[[str], AbstractContextManager[None]] = lambda part: nullcontext()

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """One update of D on `real` (batch_size, *shape), and of G when it is its turn."""
        game = self.game
        self.steps += 1
        g_turn = self.steps % game.d_updates == 0
        latent = self._latent(len(real))
        keep = g_turn and game.reuse_latent and not game.inference_fakes
        fake = self._fakes_for_d(latent, keep_graph=keep)
        self._look("before_d", real, latent)
        log = self._update_d(real, fake.detach())
        if not g_turn:
            return log
        if not game.reuse_latent:
            latent = self._latent(len(real))
        if not keep:
            with self.during("G"):
                fake = self.generator(latent)
        self._look("before_g", real, latent)
        log |= self._update_g(real, fake)
        self._look("after_g", real, latent)
        return log

    def sample(self, n: int) -> Tensor:
        """n samples from the generator in inference mode."""
        with inference(self.generator):
            samples: Tensor = self.generator(self.game.latent(n, self.rng))
        return samples

    def _latent(self, n: int) -> Tensor:
        with self.during("noise"):
            return self.game.latent(n, self.rng)

    def _fakes_for_d(self, latent: Tensor, *, keep_graph: bool) -> Tensor:
        with self.during("G"):
            if self.game.inference_fakes:
                with inference(self.generator):
                    fake: Tensor = self.generator(latent)
                return fake
            with torch.set_grad_enabled(keep_graph):
                fake = self.generator(latent)
            return fake

    def _update_d(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        judge, losses = _Judge(self.discriminator), []
        for d_loss in self.game.d_losses:
            with self.during("D"):
                loss = d_loss(judge, real, fake)  # type: ignore[arg-type]
                self.d_optimizer.zero_grad()
                loss.backward()
            with self.during("optimizers"):
                self.d_optimizer.step()
            losses.append(loss.detach())
        mean = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
        right = judge.share("d_accuracy", self.game.decision, real=real, fake=fake)
        return {"d_loss": mean, **right}

    def _update_g(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        judge = _Judge(self.discriminator)
        with self.during("G"):
            loss = self.game.g_loss(judge, real, fake)  # type: ignore[arg-type]
            self.g_optimizer.zero_grad()
            loss.backward(inputs=self.g_params)
        with self.during("optimizers"):
            self.g_optimizer.step()
        taken = judge.share("g_accuracy", self.game.decision, real=fake)
        return {"g_loss": loss.detach(), **taken}

    def _look(self, when: str, real: Tensor, latent: Tensor) -> None:
        """Add the features of a batch and of the latent's fakes to the snapshot, if one is taken.

        In inference mode, so that looking changes neither weights nor random streams.
        """
        features = self.game.features
        if self.snapshot is None or features is None:
            return
        with inference(self.generator), inference(self.discriminator):
            fake = self.generator(latent)
            self.snapshot[f"real_{when}"] = features(self.discriminator, real)
            self.snapshot[f"fake_{when}"] = features(self.discriminator, fake)


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """The module in inference mode, without gradients; in training mode again afterwards."""
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train()


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
