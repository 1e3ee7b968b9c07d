"""Plays a Game for one seed, eagerly."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.engine import contract
from ganbench.engine.game import Game, Loss
from ganbench.engine.player import Player
from ganbench.engine.precision import at_least_float32, autocast
from ganbench.engine.verdicts import shares_right, verdicts_of
from ganbench.randomness import EAGER_LATENT, generator
from ganbench.results.schema import Precision
from ganbench.system.places import within


class Trainer(Player):
    """One Game being trained for one seed: a `GAN` like any other to the harness.

    Latent noise comes from a stream of the seed's own; the schedule is that of a run of `total`
    steps. Logged: `d_loss` (the mean, if there are several) and `g_loss`, the discriminator's
    accuracy `d_accuracy` on the batches of its update, before the update, `g_accuracy`, the share
    of the generator's batch taken for real, and what the losses log themselves. `during(part)` is
    entered for each part of a step: noise, D, G, optimizers; `autocast()` for what is computed in
    the `precision`, all but samples and updates.
    """

    def __init__(
        self,
        game: Game,
        *,
        seed: int,
        device: str = "cpu",
        precision: Precision = "float32",
        total: int = 1,
    ) -> None:
        self.game = contract.checked(game)
        self.seed, self.total = seed, total
        self.generator, self.discriminator = game.generator, game.discriminator
        self.networks = game.networks
        for network in self.networks.values():
            network.to(device)
        self.optimizers = {
            who: contract.optimizer("d_optimizer" if who == "D" else "g_optimizer", game, network)
            for who, network in self.networks.items()
        }
        self._rates = {
            who: [group["lr"] for group in optimizer.param_groups]
            for who, optimizer in self.optimizers.items()
            if f"{'d' if who == 'D' else 'g'}_lr" in game.schedule
        }
        self.averaged = None if game.average is None else copy.deepcopy(game.generator)
        self.asks = {
            "D": [contract.asked(loss, game) for loss in game.d_losses],
            "G": [contract.asked(game.g_loss, game)],
        }
        self.rng = generator(seed, EAGER_LATENT, device=device)
        self.steps = 0
        self.snapshot: dict[str, Tensor] | None = None
        self.handed: list[Tensor] = []
        self.during: Callable[[str], AbstractContextManager[None]] = lambda part: nullcontext()
        self.device, self.precision = device, precision
        self.autocast = partial(autocast, precision, device)

    def state_dict(self) -> dict[str, Any]:
        """All that training changes."""
        averaged = {} if self.averaged is None else self.averaged.state_dict()
        return {
            "steps": self.steps,
            "rng": self.rng.get_state(),
            "networks": {who: each.state_dict() for who, each in self.networks.items()},
            "unkept": {who: _unkept(each) for who, each in self.networks.items()},
            "optimizers": {who: each.state_dict() for who, each in self.optimizers.items()},
            "averaged": averaged,
            "learns": {
                who: {name: each.requires_grad for name, each in network.named_parameters()}
                for who, network in self.networks.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where another one stood when it gave its `state_dict`."""
        self.steps = state["steps"]
        self.rng.set_state(state["rng"].cpu())
        for who, network in self.networks.items():
            network.load_state_dict(state["networks"][who])
            self.optimizers[who].load_state_dict(state["optimizers"][who])
            own, kept = _unkept(network), state.get("unkept", {}).get(who, {})
            for name, buffer in own.items():
                buffer.copy_(kept.get(name, buffer))
            learns = state.get("learns", {}).get(who, {})
            for name, each in network.named_parameters():
                each.requires_grad_(learns.get(name, each.requires_grad))
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])

    def copy(self) -> Trainer:
        """Another one that stands where this one does, with networks and optimisers of its own.

        What the networks share, their copies share too.
        """
        mine = (self.generator, self.discriminator, dict(self.game.more))
        generator, discriminator, more = copy.deepcopy(mine)
        game = replace(self.game, generator=generator, discriminator=discriminator, more=more)
        new = Trainer(
            game,
            seed=self.seed,
            device=self.device,
            precision=self.precision,
            total=self.total,
        )
        new.load_state_dict(copy.deepcopy(self.state_dict()))
        return new

    def train_step(self, real: Tensor) -> Mapping[str, Tensor]:
        """One update of D on `real` (batch_size, *shape), and of G if `updates_g`."""
        self.steps += 1
        return self.play(real, updates_g=self.steps % self.game.d_updates == 0)

    def sample(self, n: int) -> Tensor:
        """n samples from the generator, or from its average, in inference mode."""
        network = self.generator if self.averaged is None else self.averaged
        with inference(network):
            latent = contract.draw(self.game.latent, n, self.rng)
            samples: Tensor = contract.fakes(network, latent)
        return samples

    def learners(self, who: str) -> list[str]:
        """The networks that learn from a loss of D or G."""
        return [each for each in self.networks if (each == "D") == (who == "D")]

    def scheduled(self, step: int) -> dict[str, float]:
        """What the schedule says of a step, counted from 1."""
        return {name: f((step - 1) / self.total) for name, f in self.game.schedule.items()}

    def settings(self, who: str, step: int) -> list[dict[str, Any]]:
        """The groups of a network's optimizer with the learning rates of that step."""
        groups = self.optimizers[who].param_groups
        if who not in self._rates:
            return groups
        factor = self.scheduled(step)["d_lr" if who == "D" else "g_lr"]
        rates = zip(groups, self._rates[who], strict=True)
        return [{**group, "lr": rate * factor} for group, rate in rates]

    def rates(self, who: str) -> list[float]:
        """The learning rates of a network's optimizer, to which a schedule's are relative."""
        groups = self.optimizers[who].param_groups
        return self._rates.get(who) or [group["lr"] for group in groups]

    def kept(self, updates: int) -> float:
        """The share that the average of G keeps of itself at its update of that number, from 1."""
        assert self.game.average is not None
        return min(self.game.average, updates / (9 + updates))

    def _scalars(self) -> dict[str, Tensor]:
        if not self.game.schedule:
            return {}
        return {
            name: torch.tensor(value, device=self.device)
            for name, value in self.scheduled(self.steps).items()
        }

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

    def _differentiate(
        self,
        who: str,
        loss: Loss,
        asked: Sequence[str],
        real: Tensor,
        fake: Tensor,
        known: Mapping[str, Tensor],
    ) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
        learning = [self.networks[each] for each in self.learners(who)]
        known = {**known, **labelled(self.game, asked, real)}
        real, fake = self.game.packed(real), self.game.packed(fake)
        with self.during(who), within(f"{who.lower()}_loss", loss):
            with self.autocast(), verdicts_of(self.discriminator) as verdicts:
                handed = pick(asked, self.game.more, known)
                value, own = contract.scalars(
                    who, loss, loss(self.discriminator, real, fake, **handed)
                )
                value = at_least_float32(value)
            for each in self.learners(who):
                self.optimizers[each].zero_grad()
            params = [p for each in learning for p in each.parameters() if p.requires_grad]
            value.backward(inputs=None if who == "D" else params)
        contract.check_reached(who, loss, params)
        right = shares_right(verdicts, self.game.decision, who, real, fake)
        return value.detach(), right, {name: each.detach() for name, each in own.items()}

    def _update(self, who: str) -> None:
        for each in self.learners(who):
            optimizer = self.optimizers[each]
            with self.during("optimizers"), within(f"{who.lower()}_optimizer", optimizer):
                for group, scheduled in zip(
                    optimizer.param_groups, self.settings(each, self.steps), strict=True
                ):
                    group["lr"] = scheduled["lr"]
                optimizer.step()
        after = self.game.after_d if who == "D" else self.game.after_g
        if after is not None:
            with torch.no_grad(), within(f"after_{who.lower()}", after):
                after(self.networks[who])

    def _weights(self) -> list[Tensor]:
        networks = self.networks.values()
        return [p for each in networks for p in each.parameters() if p.requires_grad]

    def _average(self) -> None:
        assert self.averaged is not None
        kept = self.kept(self.steps // self.game.d_updates)
        average(self.averaged, self.generator, torch.tensor(1 - kept, device=self.device))

    def _look(self, when: str, real: Tensor, latent: Tensor) -> None:
        """Add the features of a batch and of the latent's fakes to the snapshot, if one is taken.

        In inference mode, so that looking changes neither weights nor random streams.
        """
        features = self.game.features
        if self.snapshot is None or features is None or self.discriminator is None:
            return
        with inference(self.generator), inference(self.discriminator):
            fake = self.generator(latent)
            for name, batch in (("real", real), ("fake", fake)):
                seen = features(self.discriminator, self.game.packed(batch))
                self.snapshot[f"{name}_{when}"] = seen


def _unkept(network: nn.Module) -> dict[str, Tensor]:
    """The buffers that a network's `state_dict` leaves out."""
    kept = network.state_dict().keys()
    return {name: each for name, each in network.named_buffers() if name not in kept}


def pick(
    names: Sequence[str], networks: Mapping[str, Any], known: Mapping[str, Tensor]
) -> dict[str, Any]:
    """What a loss asks for by name."""
    return {name: networks[name] if name in networks else known[name] for name in names}


def labelled(game: Game, asked: Sequence[str], real: Tensor) -> dict[str, Tensor]:
    """The labels of real samples, if a loss asks for them."""
    if "labels" not in asked or game.labels is None:
        return {}
    with torch.no_grad():
        return {"labels": contract.labels(game.labels, real)}


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, share: Tensor) -> None:
    """Move an average of a network by a share towards where it is; buffers are taken over."""
    for mine, its in zip(averaged.parameters(), network.parameters(), strict=True):
        mine.lerp_(its, share)
    for own, other in zip(averaged.buffers(), network.buffers(), strict=True):
        own.copy_(other)


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """The module in inference mode, without gradients; each of its parts as it was afterwards."""
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for each, training in modes:
            each.training = training
