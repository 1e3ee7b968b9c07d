"""Plays a Game: who is updated when and by what, what is logged; one seed, eagerly."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.core import Game, Loss
from ganbench.engine import contract
from ganbench.engine.precision import at_least_float32, autocast
from ganbench.engine.provenance import Rows
from ganbench.randomness import EAGER_LATENT, generator
from ganbench.results.schema import Precision
from ganbench.system.places import within


class Player(ABC):
    """The order of play in a step of a Game, for one seed or for many stacked in a dimension."""

    game: Game

    def play(self, real: Tensor, *, updates_g: bool) -> dict[str, Tensor]:
        """One update of D on `real` (batch_size, *shape), and of G if `updates_g`."""
        game = self.game
        latent = self._latent(real)
        keep = updates_g and game.reuse_latent and not game.inference_fakes
        fake = self._fakes(latent, trains=not game.inference_fakes, keep_graph=keep)
        contract.check_fakes(game.generator, fake, real)
        self._look("before_d", real, latent)
        log = self._update_d(real, fake.detach())
        if not updates_g:
            return log
        if not game.reuse_latent:
            latent = self._latent(real)
        if not keep:
            fake = self._fakes(latent, trains=True, keep_graph=True)
        self._look("before_g", real, latent)
        log |= self._update_g(real, fake)
        self._look("after_g", real, latent)
        return log

    def _update_d(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        losses, right = [], []
        for d_loss in self.game.d_losses:
            loss, said = self._learn("D", d_loss, real, fake)
            losses.append(loss)
            right += said
        return {"d_loss": _mean(losses), **({"d_accuracy": _mean(right)} if right else {})}

    def _update_g(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        loss, right = self._learn("G", self.game.g_loss, real, fake)
        return {"g_loss": loss, **({"g_accuracy": _mean(right)} if right else {})}

    @abstractmethod
    def _latent(self, real: Tensor) -> Tensor:
        """A latent for as many fakes as there are `real`."""

    @abstractmethod
    def _fakes(self, latent: Tensor, *, trains: bool, keep_graph: bool) -> Tensor:
        """What G makes of it, in inference mode unless it `trains`."""

    @abstractmethod
    def _learn(
        self, who: str, loss: Loss, real: Tensor, fake: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Update D or G by its loss; the loss before, and the shares of verdicts that are right."""

    @abstractmethod
    def _look(self, when: str, real: Tensor, latent: Tensor) -> None:
        """Note what the features are at this moment, if that is asked for."""


class Trainer(Player):
    """One Game being trained for one seed: a `GAN` like any other to the harness.

    Latent noise comes from a stream of the seed's own. Logged: `d_loss` (the mean, if there are
    several) and `g_loss`, the discriminator's accuracy `d_accuracy` on the batches of its update,
    before the update, and `g_accuracy`, the share of the generator's batch taken for real.
    `during(part)` is entered for each part of a step: noise, D, G, optimizers; `autocast()` for
    what is computed in the `precision`, all but samples and updates.
    """

    def __init__(
        self, game: Game, *, seed: int, device: str = "cpu", precision: Precision = "float32"
    ) -> None:
        self.game = contract.checked(game)
        self.seed = seed
        self.generator = game.generator.to(device)
        self.discriminator = game.discriminator.to(device)
        self.g_params = [p for p in self.generator.parameters() if p.requires_grad]
        self.d_optimizer = contract.optimizer("d_optimizer", game, self.discriminator)
        self.g_optimizer = contract.optimizer("g_optimizer", game, self.generator)
        self.rng = generator(seed, EAGER_LATENT, device=device)
        self.steps = 0
        self.snapshot: dict[str, Tensor] | None = None
        self.handed: list[Tensor] = []
        self.during: Callable[[str], AbstractContextManager[None]] = lambda part: nullcontext()
        self.device, self.precision = device, precision
        self.autocast = partial(autocast, precision, device)

    def copy(self) -> Trainer:
        """Another one that stands where this one does, with networks and optimisers of its own.

        What the networks share, their copies share too.
        """
        generator, discriminator = copy.deepcopy((self.generator, self.discriminator))
        game = replace(self.game, generator=generator, discriminator=discriminator)
        new = Trainer(game, seed=self.seed, device=self.device, precision=self.precision)
        new.d_optimizer.load_state_dict(copy.deepcopy(self.d_optimizer.state_dict()))
        new.g_optimizer.load_state_dict(copy.deepcopy(self.g_optimizer.state_dict()))
        new.steps = self.steps
        return new

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """One update of D on `real` (batch_size, *shape), and of G if `updates_g`."""
        self.steps += 1
        return self.play(real, updates_g=self.steps % self.game.d_updates == 0)

    def sample(self, n: int) -> Tensor:
        """n samples from the generator in inference mode."""
        with inference(self.generator):
            latent = contract.draw(self.game.latent, n, self.rng)
            samples: Tensor = contract.fakes(self.generator, latent)
        return samples

    def _latent(self, real: Tensor) -> Tensor:
        """One of those handed out beforehand, while there are any."""
        with self.during("noise"):
            if self.handed:
                return self.handed.pop(0)
            return contract.draw(self.game.latent, len(real), self.rng)

    def _fakes(self, latent: Tensor, *, trains: bool, keep_graph: bool) -> Tensor:
        mode = nullcontext() if trains else inference(self.generator)
        with self.during("G"), torch.set_grad_enabled(keep_graph), mode, self.autocast():
            fake: Tensor = contract.fakes(self.generator, latent)
        return fake

    def _learn(
        self, who: str, loss: Loss, real: Tensor, fake: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        optimizer = self.d_optimizer if who == "D" else self.g_optimizer
        with self.during(who), within(f"{who.lower()}_loss", loss):
            with self.autocast(), verdicts_of(self.discriminator) as verdicts:
                found = loss(self.discriminator, real, fake)
                value = at_least_float32(contract.scalar(who, loss, found))
            optimizer.zero_grad()
            value.backward(inputs=None if who == "D" else self.g_params)
        contract.check_reached(who, loss, optimizer)
        with self.during("optimizers"), within(f"{who.lower()}_optimizer", optimizer):
            optimizer.step()
        return value.detach(), shares_right(verdicts, self.game.decision, who, real, fake)

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


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean(0)


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """The module in inference mode, without gradients; in training mode again afterwards."""
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train()


@contextmanager
def verdicts_of(discriminator: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """The batches that it is called on inside, each with what it says of it (n,) or (n, 1).

    So that losses need not return accuracies. Of several tensors that it returns, the verdict is
    the one of that shape.
    """
    said: list[tuple[Tensor, Tensor]] = []

    def hear(module: nn.Module, batches: tuple[Any, ...], output: Any) -> None:
        if module is discriminator and batches:  # not a copy of it, which has this hook too
            said.extend((batches[0], verdict) for verdict in _verdicts(output, len(batches[0])))

    hook = discriminator.register_forward_hook(hear)
    try:
        yield said
    finally:
        hook.remove()


def _verdicts(output: Any, n: int) -> list[Tensor]:
    """The verdict on n samples, if it can be told."""
    if isinstance(output, Tensor):
        return [output]
    several = output.values() if isinstance(output, Mapping) else output
    found = [x for x in several if isinstance(x, Tensor) and tuple(x.shape) in ((n,), (n, 1))]
    return found if len(found) == 1 else []


def shares_right(
    verdicts: Sequence[tuple[Tensor, Tensor]],
    decision: float | None,
    who: str,
    real: Tensor,
    fake: Tensor,
    origins: Callable[[Tensor], Rows] = lambda batch: [],
) -> list[Tensor]:
    """Shares of verdicts that D wants, real for `real`, or that G wants, real for `fake`.

    Where neither of the two has been judged itself, of batches that are made of them, by `origins`.
    """
    if decision is None:
        return []
    known: list[tuple[Tensor, Rows]] = [
        (verdict, [(len(verdict), "real" if batch is real else "fake")])
        for batch, verdict in verdicts
        if batch is real or batch is fake
    ]
    known = known or [(verdict, origins(batch)) for batch, verdict in verdicts]
    wanted = "real" if who == "D" else "fake"
    shares = []
    for verdict, rows in known:
        counts = [count for count, _ in rows]
        if sum(counts) != len(verdict):  # nothing that can be told apart
            continue
        for part, (_, origin) in zip(verdict.detach().split(counts), rows, strict=True):
            if origin == wanted or (origin == "fake" and who == "D"):
                shares.append(((part > decision) == (origin == wanted)).float().mean())
    return shares
