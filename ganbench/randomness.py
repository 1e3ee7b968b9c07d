"""Random streams of a run: seeding them all, and borrowing them for an evaluation."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ganbench import checkpoint
from ganbench.core import GAN


def seed_global(seed: int) -> None:
    """Seed torch, NumPy and Python, whichever of them a GAN may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def own_randomness(gan: GAN, seed: int) -> Iterator[None]:
    """Draw from an evaluation stream, then put every stream back where training left it."""
    before = checkpoint.random_state()
    generators = checkpoint.torch_generators(gan)
    states = [rng.get_state() for rng in generators]
    seed_global(seed)
    for rng in generators:
        rng.manual_seed(seed)
    try:
        yield
    finally:
        checkpoint.restore_random(before)
        for rng, state in zip(generators, states, strict=True):
            rng.set_state(state)
