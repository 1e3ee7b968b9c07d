"""Random streams: each purpose of a run has one of its own, a pure function of seed and name.

The names for `stream(seed, name, index)`; `seed` is the run's, unless another is said:

- "init": torch's, NumPy's and Python's global streams, for weights and whatever a GAN draws
- "latent" (EAGER_LATENT): latents of a seed trained eagerly, and those of samples
- "latents" (STACKED_LATENT): latents of a seed trained in a stack; index: block of steps
- "random-K": the K-th random tensor of a stacked step, as of dropout; index: block of steps
- "examples": real samples on which an engine is tried; seed: 0
- "episode": the seed of an environment's next episode, where none is given
- "pool": the training samples, of a task with a pool
- "data": a round's batches, or their places in the pool; index: round
- "epoch": the order of the pool, of a task that shuffles; index: epoch
- "evaluation": samples to be scored; index: round
- "picture": samples for pictures; index: step
- "sample": samples that somebody asks for, real ones or a trained generator's; seed: theirs
- "floor-real", "floor-fake", "uniform", "gaussian", "own": draws for floors and ceilings; seed:
  pair
- "hidden": the hidden parameters of a task; "hidden-known": its own real samples, to be judged on
  these; seed: that of the hidden parameters
- "audit-...": samples spoilt on purpose, by `ganbench audit`; seed: pair

A name is part of the bits that follow from it: renaming a stream changes results. A task's
reference is drawn from REFERENCE_SEED itself. Imports nothing of the package.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Sampler = Callable[[int, torch.Generator], Tensor]  # draws so many

REFERENCE_SEED = 20_260_101
EAGER_LATENT, STACKED_LATENT = "latent", "latents"  # frozen names, as all are
MODULE_INTERNALS = frozenset(vars(nn.Module()))


def stream(seed: int, name: str, index: int = 0) -> int:
    """A 63-bit seed for the stream `name` of run `seed`, independent of every other stream.

    `index` numbers the parts of a stream (its rounds, its epochs), so that any part can be
    drawn without drawing the ones before it: a resumed run needs no saved position.
    """
    entropy = [seed, index, *name.encode()]
    word = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    return int(word) >> 1


def generator(seed: int, name: str, index: int = 0, device: str = "cpu") -> torch.Generator:
    """A `torch.Generator` on `device` at the start of that stream."""
    return torch.Generator(device).manual_seed(stream(seed, name, index))


def seed_global(seed: int) -> None:
    """Seed torch, NumPy and Python, whichever of them a GAN may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def left_where_it_was() -> Iterator[None]:
    """Put the global streams back afterwards, whatever is drawn from them inside."""
    before = random_state()
    try:
        yield
    finally:
        restore_random(before)


def random_state() -> dict[str, Any]:
    """Where the global random streams of torch, NumPy and Python stand."""
    legacy: Any = np.random.get_state()
    kind, keys, *rest = legacy
    state = {
        "torch": torch.get_rng_state(),
        "numpy": (kind, keys.tolist(), *rest),
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random(state: Mapping[str, Any]) -> None:
    """Put the global random streams back."""
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    random.setstate(state["python"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state:
        torch.mps.set_rng_state(state["mps"])


def attributes(gan: object) -> list[tuple[str, Any]]:
    """A GAN's attributes by name, without those that make it an `nn.Module`."""
    hidden = MODULE_INTERNALS if isinstance(gan, nn.Module) else frozenset()
    return [(k, v) for k, v in getattr(gan, "__dict__", {}).items() if k not in hidden]
