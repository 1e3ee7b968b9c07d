"""The traced half of a stack: steps of `Player.play` on stacked tensors, as one graph.

Networks and losses are written for one seed and mapped over the seeds by `torch.func.vmap`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from ganbench.core import Loss
from ganbench.engine.invariant import own_bits
from ganbench.engine.loop import Loop, traced
from ganbench.engine.noise import Call, Handler, SuppliedNoise
from ganbench.engine.optimizers import rule_of
from ganbench.engine.precision import at_least_float32
from ganbench.engine.trainer import ObservedDiscriminator, Player, Trainer, inference

Key = tuple[str, ...]  # "G" or "D", a parameter's or buffer's name, and a state's of its optimiser
MAX_STEPS, MAX_BYTES = 64, 2**25  # of a call of compiled code, and of what it is given
PART_BYTES = 2**18  # of the seeds that a compiled step takes at once, to stay in a core's cache


class Inputs(NamedTuple):
    """What cycles of as many steps each need beside the memory.

    The learning rates of their updates (cycles, updates); batches (cycles, seeds, steps,
    batch_size, *shape); latents (cycles, seeds, steps, draws, batch_size, *shape); numbers
    (cycles, seeds, calls, *shape) of each slot.
    """

    rates: Tensor
    real: Tensor
    latents: Tensor
    numbers: dict[int, Tensor]

    def flat(self) -> list[Tensor]:
        """All tensors, in order."""
        return [self.rates, self.real, self.latents, *self.numbers.values()]

    def of(self, seeds: slice) -> Inputs:
        """The inputs of some seeds."""
        numbers = {slot: each[:, seeds] for slot, each in self.numbers.items()}
        return Inputs(self.rates, self.real[:, seeds], self.latents[:, seeds], numbers)


class Graph:
    """A cycle of some steps, traced.

    Called with the inputs of up to `cycles` cycles it changes the memory and returns the logged
    values (cycles, values, seeds), of which `places` says where each name's are. It is of all seeds
    at once, or of equal parts of them, whose memory and inputs are at most `part_bytes` unless one
    seed alone has more.
    """

    def __init__(
        self,
        trainer: Trainer,
        updates_g: Sequence[bool],
        memory: Mapping[Key, Tensor],
        inputs: Inputs,
        *,
        part_bytes: float = math.inf,
    ) -> None:
        self.cycles = 1
        self._parts = _parts([*memory.values(), *inputs.flat()], inputs.real.shape[1], part_bytes)
        self._input_bytes = sum(each.nbytes for each in inputs.flat())
        self._memories = [[each[part] for each in memory.values()] for part in self._parts]
        inputs = inputs.of(self._parts[0])
        names: list[str] = []
        keys, slots = list(memory), list(inputs.numbers)

        def steps(*flat: Tensor) -> tuple[Tensor]:
            tensors = dict(zip(keys, flat, strict=False))
            rates, real, latents, *drawn = flat[len(keys) :]
            numbers = dict(zip(slots, drawn, strict=True))
            player = _Mapped(trainer, tensors, Inputs(rates, real, latents, numbers))
            names.clear()
            values: list[Tensor] = []
            for i, which in enumerate(updates_g):
                log = player.play(real[:, i], updates_g=which)
                player.end_step()
                names.extend(log)
                values += log.values()
            return (torch.stack(values),)

        self._steps, self._cycle = len(updates_g), [each[0] for each in inputs.flat()]
        self._module = traced(steps, [*self._memories[0], *self._cycle])
        self._module.graph.eliminate_dead_code()
        self._module.recompile()
        self._plain = own_bits(self._module)
        self.places = {name: [i for i, each in enumerate(names) if each == name] for name in names}
        self._loop: Loop | None = None

    def loop(self, *, compiled: bool) -> None:
        """Take many cycles at once; compiled, with some sums in another order."""
        cycles = max(1, min(MAX_STEPS // self._steps, MAX_BYTES // self._input_bytes))
        step = self._module if compiled else self._plain
        with torch.no_grad():
            self._loop = Loop(step, self._memories, self._cycle, cycles, compiled=compiled)
        self.cycles = cycles

    def __call__(self, inputs: Inputs) -> Tensor:
        """The values of as many cycles as there are inputs."""
        with torch.no_grad():
            if len(self._parts) == 1:
                return self._play(0, inputs)
            parts = [inputs.of(part) for part in self._parts]
            return torch.cat([self._play(place, each) for place, each in enumerate(parts)], 2)

    def _play(self, place: int, inputs: Inputs) -> Tensor:
        """The values of one part of the seeds."""
        if self._loop is not None:
            return self._loop(inputs.flat(), place)
        (first,) = zip(*inputs.flat(), strict=True)
        values: Tensor = self._plain(*self._memories[place], *first)[0]
        return values.unsqueeze(0)


def _parts(tensors: Sequence[Tensor], seeds: int, part_bytes: float) -> list[slice]:
    """Equal parts of the seeds, as large as may be, where all seeds have the `tensors`."""
    most = part_bytes * seeds / sum(each.nbytes for each in tensors)
    size = max(n for n in range(1, seeds + 1) if seeds % n == 0 and n <= max(1, most))
    return [slice(first, first + size) for first in range(0, seeds, size)]


class _Mapped(Player):
    """Plays steps on stacked tensors (seeds, ...), while they are traced."""

    def __init__(self, trainer: Trainer, tensors: Mapping[Key, Tensor], inputs: Inputs) -> None:
        self.game, self._trainer = trainer.game, trainer
        self._tensors, self._latents, self._numbers = tensors, inputs.latents, inputs.numbers
        self._sides = sides(trainer)
        self._rules = {who: rule_of(optimizer) for who, (_, optimizer) in self._sides.items()}
        self._groups = {who: _groups(*side) for who, side in self._sides.items()}
        self._within = _Within(trainer.discriminator)
        self._rates = iter(inputs.rates.unbind())
        self._step, self._drawn = 0, 0
        self._used: Counter[int] = Counter()
        self._supply = SuppliedNoise(self._give, HANDLERS)
        self._given: Mapping[int, Tensor] = {}
        self._leaves: dict[str, Tensor] = {}

    def end_step(self) -> None:
        """The next step's latents and numbers come next."""
        self._step, self._drawn = self._step + 1, 0
        self._supply.new_step()

    def _give(self, call: Call) -> Tensor:
        self._used[call.slot] += 1
        return self._given[call.slot][self._used[call.slot] - 1]

    def _latent(self, real: Tensor) -> Tensor:
        self._drawn += 1
        return self._latents[:, self._step, self._drawn - 1]

    def _fakes(self, latent: Tensor, *, trains: bool, keep_graph: bool) -> Tensor:
        module = self._trainer.generator
        leaves = self._leaves = self._parameters("G", grad=keep_graph)
        mode = nullcontext() if trains else inference(module)
        with torch.set_grad_enabled(keep_graph), mode, self._trainer.autocast():
            fakes: Tensor = self._map(
                lambda tensors, latent: functional_call(module, tensors, (latent,)),
                {**leaves, **self._buffers("G")},
                latent,
            )
        return fakes

    def _learn(
        self, who: str, loss: Loss, real: Tensor, fake: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        parameters = self._parameters("D", grad=who == "D")
        leaves = parameters if who == "D" else self._leaves
        decision = self.game.decision

        def judged(D: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, list[Tensor]]:
            observed = ObservedDiscriminator(D)
            value = at_least_float32(loss(observed, real, fake))  # type: ignore[arg-type]
            return value.reshape(()), observed.right(decision, who, real, fake)

        def one(
            tensors: Mapping[str, Tensor], real: Tensor, fake: Tensor
        ) -> tuple[Tensor, list[Tensor]]:
            found: tuple[Tensor, list[Tensor]] = self._within.call(judged, tensors, real, fake)
            return found

        with torch.enable_grad():
            with self._trainer.autocast():
                values, right = self._map(one, {**parameters, **self._buffers("D")}, real, fake)
            learning = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
            grads = torch.autograd.grad(values.sum(), list(learning.values()), allow_unused=True)
        found = zip(learning, grads, strict=True)
        self._update(who, {name: grad for name, grad in found if grad is not None})
        return values.detach(), [share.detach() for share in right]

    def _look(self, when: str, real: Tensor, latent: Tensor) -> None:
        """Nothing: who wants to look trains step by step (`Stack.train_apart`)."""

    def _map(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function` of each seed's slices, with its random numbers."""

        def with_numbers(numbers: Mapping[int, Tensor], *args: Any) -> Any:
            self._given = numbers
            with self._supply:
                return function(*args)

        return vmap(with_numbers, randomness="error")(dict(self._numbers), *args)

    def _update(self, who: str, grads: Mapping[str, Tensor]) -> None:
        rule = self._rules[who]
        for group, names in self._groups[who]:
            learning = [name for name in names if name in grads]
            params = [self._tensors[who, name] for name in learning]
            states = [self._state(who, name) for name in learning]
            rates = list(islice(self._rates, len(rule.rates(group, 1))))
            with torch.no_grad():
                rule.update(params, [grads[name] for name in learning], states, group, rates)

    def _state(self, who: str, name: str) -> Mapping[str, Tensor]:
        mine = (who, name)
        return {
            k[2]: tensor for k, tensor in self._tensors.items() if len(k) == 3 and k[:2] == mine
        }

    def _parameters(self, who: str, *, grad: bool) -> dict[str, Tensor]:
        return {
            name: self._tensors[who, name].detach().requires_grad_(grad and p.requires_grad)
            for name, p in self._sides[who][0].named_parameters()
        }

    def _buffers(self, who: str) -> dict[str, Tensor]:
        return {name: self._tensors[who, name] for name, _ in self._sides[who][0].named_buffers()}


class _Within(nn.Module):
    """Calls functions of a module while its parameters and buffers are others."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function` of the module."""
        return function(self.module, *args)

    def call(self, function: Callable[..., Any], tensors: Mapping[str, Tensor], *args: Any) -> Any:
        """A function of the module with its tensors replaced by name."""
        named = {f"module.{name}": tensor for name, tensor in tensors.items()}
        return functional_call(self, named, (function, *args))


def _linear(supply: SuppliedNoise, *args: Any, **kwargs: Any) -> Tensor:
    """Dense layers of a batch as one operation of all seeds, not a product, a view and a sum."""
    if len(args) == 3 and args[0].ndim == 2 and args[2] is not None:
        dense: Tensor = _Dense.apply(*args)  # type: ignore[no-untyped-call]
        return dense
    return functional.linear(*args, **kwargs)


def _normalize(
    supply: SuppliedNoise, *args: Any, out: Tensor | None = None, **kwargs: Any
) -> Tensor:
    """Norms as vmap can take them: spectral normalisation writes its own to a buffer."""
    normal = functional.normalize(*args, **kwargs)
    return normal if out is None else out.copy_(normal)


def _convolution(convolve: Callable[..., Tensor]) -> Handler:
    def lowered(
        supply: SuppliedNoise, input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any
    ) -> Tensor:
        kind = input.device.type
        if torch.is_autocast_enabled(kind):  # which vmap keeps from convolutions
            low = torch.get_autocast_dtype(kind)
            input, weight = input.to(low), weight.to(low)
            bias = None if bias is None else bias.to(low)
        return convolve(input, weight, bias, *rest)

    return lowered


HANDLERS: dict[Any, Handler] = {
    functional.linear: _linear,
    functional.normalize: _normalize,
    **{
        each: _convolution(each)
        for each in (
            functional.conv1d,
            functional.conv2d,
            functional.conv3d,
            functional.conv_transpose1d,
            functional.conv_transpose2d,
            functional.conv_transpose3d,
        )
    },
}


class _Dense(torch.autograd.Function):
    """x (n, k), weight (m, k), bias (m,) to (n, m)."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight = (each.to(grad.dtype) for each in ctx.saved_tensors)
        return grad @ weight, grad.T @ x, grad.sum(0)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor, int]:
        x, weight, bias = (
            each.expand(info.batch_size, *each.shape) if dim is None else each.movedim(dim, 0)
            for each, dim in zip((x, weight, bias), in_dims, strict=True)
        )
        if weight.shape[1] == 1:  # as a product, its bits would depend on how many seeds there are
            return (x * weight).sum(2, keepdim=True) + bias.unsqueeze(1), 0
        return _StackedDense.apply(x, weight, bias), 0  # type: ignore[no-untyped-call]


class _StackedDense(torch.autograd.Function):
    """x (s, n, k), weight (s, m, k), bias (s, m) of all seeds to (s, n, m)."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = (each.to(grad.dtype) for each in ctx.saved_tensors)
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            torch.bmm(grad, weight) if of_x else None,
            # Laid out as the weight, which autograd's own transposed gradient is not.
            torch.bmm(grad.transpose(1, 2), x) if of_weight else None,
            grad.sum(1) if of_bias else None,
        )


def sides(trainer: Trainer) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
    """Each network with its optimiser."""
    return {
        "G": (trainer.generator, trainer.g_optimizer),
        "D": (trainer.discriminator, trainer.d_optimizer),
    }


def _groups(
    module: nn.Module, optimizer: torch.optim.Optimizer
) -> list[tuple[dict[str, Any], list[str]]]:
    """The optimiser's settings, and the names of the parameters that they are for."""
    names = {p: name for name, p in module.named_parameters()}
    return [
        ({**group, "params": None}, [names[p] for p in group["params"]])
        for group in optimizer.param_groups
    ]
