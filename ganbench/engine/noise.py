"""Random numbers of a training step, drawn for each seed by itself, many steps at a time.

A step's latents come in chunks of CHUNK steps, and so do the numbers that its networks and losses
draw: the i-th such call of a step is slot i, with a stream of its own. A chunk is drawn from the
seed and its index alone, so nothing need be saved to go on from any step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import CodeType, FrameType
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ganbench.errors import InputError
from ganbench.randomness import STACKED_LATENT, Sampler, generator, stream

CHUNK = 64  # steps
WHOLE = 16  # numbers that torch draws at once
Handler = Callable[..., Tensor]
LEVELS = 2**16  # of the words that decide what dropout keeps


class UnsuppliedError(InputError):
    """A draw that has no place in a supply."""


@dataclass(frozen=True)
class Call:
    """One random tensor of a step: its slot, its law and its shape.

    Of the law "kept", `dropped` are the zeros among LEVELS, the others being ones.
    """

    slot: int
    law: Literal["kept", "uniform", "normal"]
    shape: tuple[int, ...]
    dropped: int = 0

    @property
    def dtype(self) -> torch.dtype:
        """The type of its numbers."""
        return torch.uint8 if self.law == "kept" else torch.float32


class NoiseSource(Protocol):
    """Random numbers of some seeds, step by step."""

    def take(self, steps: Sequence[int]) -> Tensor:
        """Numbers of these steps, which are evenly spaced and ascend: (seeds, steps, *shape)."""


class ChunkedNoise:
    """Numbers that `draw`, of a chunk's index, makes of each seed for CHUNK steps: (CHUNK, *shape).

    Memory: that of a chunk.
    """

    def __init__(self, draw: Callable[[int], list[Tensor]]) -> None:
        self._draw, self._index = draw, -1
        self._chunk: list[Tensor] = []

    def take(self, steps: Sequence[int]) -> Tensor:
        """The numbers of these steps: (seeds, steps, *shape)."""
        done, taken = 0, torch.empty(0)
        for index, mine in groupby(steps, lambda step: step // CHUNK):
            if index != self._index:
                self._index, self._chunk = index, self._draw(index)
            if done == 0:
                shape = (len(self._chunk), len(steps), *self._chunk[0].shape[1:])
                taken = self._chunk[0].new_empty(shape)
            at = [step % CHUNK for step in mine]
            apart = at[1] - at[0] if len(at) > 1 else 1
            for seed, numbers in enumerate(self._chunk):
                taken[seed, done : done + len(at)] = numbers[at[0] : at[-1] + 1 : apart]
            done += len(at)
        return taken


def latent_source(
    laws: Sequence[Sampler],
    seeds: Sequence[int],
    *,
    each: int,
    per_step: int,
    device: torch.device,
) -> ChunkedNoise:
    """Latents of a law for each seed: `each` for every one of a step's `per_step` draws.

    Those of a chunk are drawn at once only of a law by which rows follow one another: not where
    they depend on one another, as antithetic or stratified ones do.
    """
    count = CHUNK * per_step
    draws = [1 if _rows_follow(law, each, count * each) else count for law in laws]

    def draw_all(index: int) -> list[Tensor]:
        drawn = []
        for law, seed, times in zip(laws, seeds, draws, strict=True):
            rng = generator(seed, STACKED_LATENT, index, device=str(device))
            numbers = torch.cat([law(count * each // times, rng) for _ in range(times)])
            drawn.append(numbers.unflatten(0, (CHUNK, per_step, each)))
        return drawn

    return ChunkedNoise(draw_all)


def _rows_follow(law: Sampler, few: int, many: int) -> bool:
    """Whether a law makes of many rows, WHOLE times so many as few are, what it makes of less.

    Not of few themselves, as torch draws less than WHOLE numbers by other means, to other bits: for
    these Python must do the same, instruction by instruction.
    """
    at_once = law(many, torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(0)  # on the CPU, where a law shows what it is
    parts = [law(WHOLE * few, rng) for _ in range(many // (WHOLE * few))]
    if not torch.equal(at_once, torch.cat(parts)):
        return False
    return _path(law, few, rng) == _path(law, many, rng)


def _path(law: Sampler, n: int, rng: torch.Generator) -> list[tuple[CodeType, int]]:
    """The instructions that Python executes for n rows, by their code and place."""
    path: list[tuple[CodeType, int]] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes = True
        path.append((frame.f_code, frame.f_lasti))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        law(n, rng)
    finally:
        sys.settrace(before)
    return path


def number_source(call: Call, seeds: Sequence[int], device: torch.device) -> NoiseSource:
    """The numbers of a call, from where they cost least: on a GPU, a chunk at once."""
    return (
        StreamedNoise(call, seeds) if device.type == "cpu" else device_source(call, seeds, device)
    )


def device_source(call: Call, seeds: Sequence[int], device: torch.device) -> ChunkedNoise:
    """The numbers of a call, drawn by torch on the device."""

    def draw(index: int) -> list[Tensor]:
        name = f"random-{call.slot}"
        rngs = [generator(seed, name, index, device=str(device)) for seed in seeds]
        return [drawn(call, rng, (CHUNK, *call.shape)) for rng in rngs]

    return ChunkedNoise(draw)


def drawn(call: Call, rng: torch.Generator, shape: Sequence[int]) -> Tensor:
    """Numbers of a call's law, drawn by torch where `rng` is."""
    if call.law == "kept":
        words = torch.randint(LEVELS, shape, generator=rng, device=rng.device, dtype=torch.int32)
        return (words >= call.dropped).to(call.dtype)
    law = torch.rand if call.law == "uniform" else torch.randn
    return law(shape, generator=rng, device=rng.device)


class StreamedNoise:
    """The numbers of a call, drawn by numpy, faster than by torch; no more than are asked for."""

    def __init__(self, call: Call, seeds: Sequence[int]) -> None:
        self._call, self._seeds = call, seeds
        self._dtype = np.uint8 if call.law == "kept" else np.float32
        self._index, self._step = -1, 0
        self._rngs: list[np.random.Generator] = []

    def take(self, steps: Sequence[int]) -> Tensor:
        """The numbers of these steps: (seeds, steps, *shape)."""
        shape = (len(self._seeds), len(steps), *self._call.shape)
        out: np.ndarray[Any, Any] = np.empty(shape, self._dtype)
        for i, step in enumerate(steps):
            self._go_to(step)
            self._draw(out[:, i])
        return torch.from_numpy(out)

    def _go_to(self, step: int) -> None:
        index, offset = divmod(step, CHUNK)
        if index != self._index or step < self._step:
            name = f"random-{self._call.slot}"
            states = [np.random.SFC64(stream(seed, name, index)) for seed in self._seeds]
            self._rngs = [np.random.Generator(state) for state in states]
            self._index, self._step = index, step - offset
        while self._step < step:  # a step without the call, or one before a resumed run's first
            self._draw(np.empty((len(self._seeds), *self._call.shape), self._dtype))

    def _draw(self, out: np.ndarray[Any, Any]) -> None:
        self._step += 1
        for rng, mine in zip(self._rngs, out, strict=True):
            if self._call.law == "uniform":
                rng.random(out=mine, dtype=np.float32)
            elif self._call.law == "normal":
                rng.standard_normal(out=mine, dtype=np.float32)
            else:
                words = rng.bit_generator.random_raw(-(-mine.size // 4)).view(np.int16)
                words = words[: mine.size].reshape(mine.shape)  # from -LEVELS / 2
                np.greater_equal(words, self._call.dropped - LEVELS // 2, out=mine)


class SuppliedNoise(TorchFunctionMode):
    """Inside, random calls of torch get their numbers from `give`, a function of the Call.

    Dropout, rand, randn, rand_like and randn_like are such calls; other draws from torch's global
    stream raise UnsuppliedError. `handlers` are further functions of torch to be replaced, by
    functions whose first argument is this.
    """

    def __init__(
        self, give: Callable[[Call], Tensor], handlers: Mapping[Any, Handler] | None = None
    ) -> None:
        self._give = give
        self._handlers = {**HANDLERS, **(handlers or {})}
        self._slot = 0

    def new_step(self) -> None:
        """Count slots from 0 again."""
        self._slot = 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._handlers:
            return self._handlers[func](self, *args, **kwargs)
        if func in UNSUPPLIED and kwargs.get("generator") is None:
            raise UnsuppliedError(f"draws by {getattr(func, '__name__', func)}")
        return func(*args, **kwargs)

    def number(self, law: Any, shape: Sequence[int], dropped: int = 0) -> Tensor:
        """The next slot's."""
        self._slot += 1
        return self._give(Call(self._slot - 1, law, tuple(shape), dropped))


def _dropout(
    supply: SuppliedNoise,
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    if not training or p == 0:
        return input
    dropped = round(p * LEVELS)
    kept = supply.number("kept", input.shape, dropped)
    scale = LEVELS / (LEVELS - dropped) if dropped < LEVELS else 0.0
    by = (kept * scale).to(input.dtype)
    return input.mul_(by) if inplace else input * by


def _dropout_of_channels(dimensions: int) -> Callable[..., Tensor]:
    """Dropout of whole channels of batches with so many dimensions."""

    def drop(
        supply: SuppliedNoise,
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        if input.ndim != dimensions:
            raise UnsuppliedError(f"drops channels of {input.ndim} dimensions")
        ones = input.new_ones(*input.shape[:2], *[1] * (dimensions - 2))
        by = _dropout(supply, ones, p, training)
        return input.mul_(by) if inplace else input * by

    return drop


def _filled(law: str) -> Callable[..., Tensor]:
    def draw(supply: SuppliedNoise, *size: Any, **options: Any) -> Tensor:
        if options.pop("generator", None) is not None:
            raise UnsuppliedError("draws from a generator inside of a network or a loss")
        if options.pop("dtype", None) not in (None, torch.float32):
            raise UnsuppliedError("draws numbers other than float32")
        shape = options.pop(
            "size", size[0] if len(size) == 1 and not isinstance(size[0], int) else size
        )
        _check_options(options)
        return supply.number(law, shape)

    return draw


def _filled_like(law: str) -> Callable[..., Tensor]:
    def draw(supply: SuppliedNoise, input: Tensor, **options: Any) -> Tensor:
        if input.dtype != torch.float32 or options.get("dtype") not in (None, torch.float32):
            raise UnsuppliedError("draws numbers other than float32")
        _check_options(options)
        return supply.number(law, input.shape)

    return draw


def _check_options(options: Mapping[str, Any]) -> None:
    """UnsuppliedError for what would make of the numbers another tensor than the supplied one."""
    for name, value in options.items():
        usual = value is None or value is False or value is torch.strided
        if name not in ("device", "dtype") and not usual:
            raise UnsuppliedError(f"draws numbers with {name}")


HANDLERS: dict[Any, Handler] = {
    functional.dropout: _dropout,
    functional.dropout1d: _dropout_of_channels(3),
    functional.dropout2d: _dropout_of_channels(4),
    functional.dropout3d: _dropout_of_channels(5),
    torch.rand: _filled("uniform"),
    torch.randn: _filled("normal"),
    torch.rand_like: _filled_like("uniform"),
    torch.randn_like: _filled_like("normal"),
}
UNSUPPLIED = frozenset(
    {
        functional.alpha_dropout,
        functional.feature_alpha_dropout,
        functional.gumbel_softmax,
        functional.rrelu,
        torch.bernoulli,
        torch.multinomial,
        torch.normal,
        torch.poisson,
        torch.randint,
        torch.randint_like,
        torch.randperm,
        Tensor.bernoulli_,
        Tensor.bernoulli,
        Tensor.normal_,
        Tensor.uniform_,
        Tensor.random_,
        Tensor.exponential_,
        Tensor.multinomial,
    }
)
RANDOM = UNSUPPLIED | HANDLERS.keys()
