"""What the steps of a stack need beside its memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Inputs(NamedTuple):
    """What cycles of as many steps each need beside the memory.

    The learning rates of their updates (cycles, updates), or (cycles, seeds, updates) where they
    differ; batches (cycles, seeds, steps, batch_size, *shape); latents (cycles, seeds, steps,
    draws, batch_size, *shape); numbers (cycles, seeds, calls, *shape) of each slot; the settings
    (cycles, seeds, settings) in which seeds differ, if they do.
    """

    rates: Tensor
    real: Tensor
    latents: Tensor
    numbers: dict[int, Tensor]
    settings: Tensor | None = None

    def flat(self) -> list[Tensor]:
        """All tensors, in order."""
        settings = [] if self.settings is None else [self.settings]
        return [self.rates, self.real, self.latents, *settings, *self.numbers.values()]

    def from_flat(self, tensors: Sequence[Tensor]) -> Inputs:
        """Inputs like these from all their tensors in order."""
        rates, real, latents, *more = tensors
        settings = None if self.settings is None else more.pop(0)
        return Inputs(rates, real, latents, dict(zip(self.numbers, more, strict=True)), settings)

    def of(self, seeds: slice) -> Inputs:
        """The inputs of some seeds."""
        numbers = {slot: each[:, seeds] for slot, each in self.numbers.items()}
        rates = self.rates if self.rates.ndim == 2 else self.rates[:, seeds]
        settings = None if self.settings is None else self.settings[:, seeds]
        return Inputs(rates, self.real[:, seeds], self.latents[:, seeds], numbers, settings)
