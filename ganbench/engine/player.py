"""The order of play in a step of a Game, whoever plays it: one seed eagerly, or many in a graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ganbench.engine import contract
from ganbench.engine.game import Game, Loss


class Player(ABC):
    """The order of play in a step of a Game, for one seed or for many stacked in a dimension.

    `asks` are the names of what each loss of D, and the one of G, is to be handed besides D, real
    and fake.
    """

    game: Game
    asks: Mapping[str, Sequence[Sequence[str]]]

    def play(self, real: Tensor, *, updates_g: bool) -> dict[str, Tensor]:
        """One update of D on `real` (batch_size, *shape), and of G if `updates_g`.

        An extragradient step is two, of which the second begins where the first did, by the
        gradients of where that has led. The log is of where it began.
        """
        scalars = self._scalars()
        if self.game.extragradient:
            with torch.no_grad():
                before = [each.clone() for each in self._weights()]
            log = self._turn(real, scalars, updates_g=updates_g)
            self._turn(real, scalars, updates_g=updates_g, before=before)
        else:
            log = self._turn(real, scalars, updates_g=updates_g)
        if updates_g and self.game.average is not None:
            self._average()
        return log

    def _turn(
        self,
        real: Tensor,
        scalars: Mapping[str, Tensor],
        *,
        updates_g: bool,
        before: Sequence[Tensor] = (),
    ) -> dict[str, Tensor]:
        """The updates of a step, made of the weights `before` if there are any."""
        game = self.game
        latent = self._latent(real)
        if game.discriminator is None:
            return self._update_g(real, scalars, latent, None, before) if updates_g else {}
        keep = updates_g and game.reuse_latent and not game.inference_fakes
        fake = self._fakes(latent, trains=not game.inference_fakes, keep_graph=keep)
        contract.check_fakes(game.generator, fake, real)
        if not before:
            self._look("before_d", real, latent)
        log = self._update_d(real, fake.detach(), {**scalars, "latent": latent})
        if not updates_g:
            return log
        if not game.reuse_latent:
            latent = self._latent(real)
        of_g = self._update_g(real, scalars, latent, fake if keep else None, before)
        contract.check_names_apart(log, of_g)
        return log | of_g

    def _update_d(
        self, real: Tensor, fake: Tensor, known: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        losses, right, logs = [], [], []
        for d_loss, asked in zip(self.game.d_losses, self.asks["D"], strict=True):
            loss, said, log = self._differentiate("D", d_loss, asked, real, fake, known)
            if not self.game.at_once:
                self._update("D")
            losses.append(loss)
            logs.append(log)
            right += said
        own = {
            name: _mean([log[name] for log in logs if name in log]) for log in logs for name in log
        }
        return {
            "d_loss": _mean(losses),
            **({"d_accuracy": _mean(right)} if right else {}),
            **own,
        }

    def _update_g(
        self,
        real: Tensor,
        scalars: Mapping[str, Tensor],
        latent: Tensor,
        fake: Tensor | None,
        before: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        if fake is None:
            fake = self._fakes(latent, trains=True, keep_graph=True)
            contract.check_fakes(self.game.generator, fake, real)
        if not before:
            self._look("before_g", real, latent)
        (asked,), known = self.asks["G"], {**scalars, "latent": latent}
        loss, right, own = self._differentiate("G", self.game.g_loss, asked, real, fake, known)
        if before:
            with torch.no_grad():
                for weight, old in zip(self._weights(), before, strict=True):
                    weight.copy_(old)
        if self.game.at_once and self.game.discriminator is not None:
            self._update("D")
        self._update("G")
        self._look("after_g", real, latent)
        return {"g_loss": loss, **({"g_accuracy": _mean(right)} if right else {}), **own}

    @abstractmethod
    def _scalars(self) -> dict[str, Tensor]:
        """What the schedule says of this step."""

    @abstractmethod
    def _latent(self, real: Tensor) -> Tensor:
        """A latent for as many fakes as there are `real`."""

    @abstractmethod
    def _fakes(self, latent: Tensor, *, trains: bool, keep_graph: bool) -> Tensor:
        """What G makes of it, in inference mode unless it `trains`."""

    @abstractmethod
    def _differentiate(
        self,
        who: str,
        loss: Loss,
        asked: Sequence[str],
        real: Tensor,
        fake: Tensor,
        known: Mapping[str, Tensor],
    ) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
        """Have the gradients of a loss of D or G, handed what it asked for, ready for its update.

        Returns the loss, the shares of verdicts that are right, and what the loss logs itself.
        """

    @abstractmethod
    def _update(self, who: str) -> None:
        """Update D, or G and what learns with it, by the gradients that are ready."""

    @abstractmethod
    def _weights(self) -> list[Tensor]:
        """All that learns."""

    @abstractmethod
    def _average(self) -> None:
        """Have the average of G follow."""

    @abstractmethod
    def _look(self, when: str, real: Tensor, latent: Tensor) -> None:
        """Note what the features are at this moment, if that is asked for."""


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean(0)
