"""The random generators of a GAN's own, wherever it keeps them, seeded for each of its samples."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench.engine.state import GLOBAL, Parts, State, UnwatchableError
from ganbench.randomness import attributes, left_where_it_was, seed_global

Own = torch.Generator | np.random.Generator | np.random.RandomState | random.Random


@contextmanager
def own_randomness(generators: Sequence[Own], seed: int) -> Iterator[None]:
    """Draw from an evaluation stream, then put every stream back where training left it."""
    back = [_way_back(each) for each in generators]
    with left_where_it_was():
        seed_global(seed)
        for each in generators:
            _seed(each, seed)
        try:
            yield
        finally:
            for put_back in back:
                put_back()


def generators_of(gan: object) -> list[Own]:
    """Those that a GAN can reach: by its attributes, its code's globals, and what these hold.

    Of a GAN that holds what cannot be looked into, only its attributes.
    """
    try:
        reached = list(_Reach({"gan": gan}).seen.values())
    except UnwatchableError:
        reached = [value for _, value in attributes(gan)]
    others = {id(each) for each in GLOBAL}
    others |= {id(each) for each in reached if isinstance(each, random.SystemRandom)}
    return [each for each in reached if isinstance(each, Own) and id(each) not in others]


class _Reach(State):
    """What can be reached, but for the numbers of arrays, which may be many."""

    def _look(self, value: Any, path: str) -> tuple[str, Parts]:
        numeric = isinstance(value, np.ndarray) and not value.dtype.hasobject
        if numeric or isinstance(value, Tensor):
            return "", [(f".{k}", v) for k, v in getattr(value, "__dict__", {}).items()]
        return super()._look(value, path)


def _way_back(generator: Own) -> Callable[[], Any]:
    """What puts a generator back where it is."""
    if isinstance(generator, torch.Generator):
        return partial(generator.set_state, generator.get_state())
    if isinstance(generator, np.random.Generator):
        return partial(setattr, generator.bit_generator, "state", generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return partial(generator.set_state, generator.get_state())
    return partial(generator.setstate, generator.getstate())


def _seed(generator: Own, seed: int) -> None:
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = type(generator.bit_generator)(seed).state
    else:
        generator.seed(seed % 2**32)
