"""Whether the numbers in which seeds differ are all in which their steps do.

Steps of each setting are played eagerly three times, and what torch is asked for is written down.
As written, and with a Setting that is handed on as the seed's own number, it must be the same: or
code has asked what kind of thing the number is. With Settings that are tensors it must be the same
of all seeds: or something else than a tensor follows from the number.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganbench.engine.digests import checksum
from ganbench.engine.fidelity import tensors_of
from ganbench.engine.noise import Call, SuppliedNoise
from ganbench.engine.purity import functions_state, numbers_of
from ganbench.engine.settings import Settings
from ganbench.engine.state import PLAIN, memory_of
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError
from ganbench.randomness import generator


def check_same_steps(
    trainers: Sequence[Trainer],
    like: Sequence[int],
    settings: Settings,
    shape: Sequence[int],
    updates: Collection[bool],
) -> None:
    """InputError if more than `settings` and rates differs in steps on batches of a shape.

    Those of equal rates are `like` the first of them.
    """
    rows = [*zip(*settings.differing.values(), strict=True)] or [()] * len(trainers)
    keys = [*zip(like, rows, strict=True)]
    places = sorted({keys.index(key) for key in keys})
    for updates_g in updates if len(places) > 1 else ():
        found = []
        for place in places:
            play = partial(_played, trainers[place], settings, place, shape, updates_g)
            written = play("as written")
            if settings.differing and play("as numbers") != written:
                raise InputError("it is asked what it is")
            found.append(play("as tensors") if settings.differing else written)
            if found[-1] != found[0]:
                raise InputError("more follows from it than tensors")


def _played(
    trainer: Trainer,
    settings: Settings,
    place: int,
    shape: Sequence[int],
    updates_g: bool,
    kind: str,
) -> list[Any]:
    """What a step asks torch for, and the names that it logs."""
    copy, device = trainer.copy(), torch.device(trainer.device)
    real, rng = (
        torch.zeros(tuple(shape), device=device),
        generator(0, "latents", device=str(device)),
    )
    copy.handed = [copy.game.latent(len(real), rng) for _ in range(copy.game.latents_a_step)]
    scalars = {name: torch.ones((), device=device) for name in copy.game.schedule}
    copy._scalars = lambda: scalars  # type: ignore[method-assign]
    copy._average = lambda: None  # type: ignore[method-assign]
    for optimizer in copy.optimizers.values():
        optimizer.step = lambda closure=None: None  # type: ignore
    values = settings.values(1, device)
    known = [*tensors_of(copy).values(), real, *copy.handed, *scalars.values()]
    known += [] if values is None else [values]
    log = _Log(known)

    def give(call: Call) -> Tensor:
        return torch.zeros(call.shape, dtype=call.dtype, device=device)

    def play() -> Mapping[str, Tensor]:
        with SuppliedNoise(give), log:
            return copy.play(real, updates_g=updates_g)

    if kind == "as written" or values is None:
        logged = [*play()]
        return [*log.lines, logged]
    before = functions_state(copy)
    settings.plain = kind == "as numbers"
    try:
        with settings.in_place(numbers_of(copy), place), settings.being(values[0, place]):
            logged = [*play()]
    finally:
        settings.plain = False
    if kept := before.changed(functions_state(copy)):
        raise InputError(f"{kept[0]} keeps what follows from it")
    return [*log.lines, logged]


class _Log(TorchDispatchMode):
    """The calls of torch inside, with all that they are given but tensors that are known.

    Known are some beforehand, and what the calls return; of others the content is written down.
    """

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines: list[Any] = []
        self._known, self._alive = {memory_of(each) for each in known} | {None}, [*known]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        line: list[Any] = [str(func)]
        for each in tree_leaves((args, kwargs or {})):
            if not isinstance(each, Tensor):
                line.append(repr(each) if isinstance(each, PLAIN) else type(each).__name__)
            elif memory_of(each) not in self._known:
                line.append((str(each.dtype), tuple(each.shape), checksum(each)))
                self._know(each)
        self.lines.append(line)
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, Tensor):
                self._know(each)
        return made

    def _know(self, tensor: Tensor) -> None:
        self._known.add(memory_of(tensor))
        self._alive.append(tensor)  # or other tensors would come to lie there
