"""Trains one Game for many seeds at once: their tensors stacked, a step traced into one graph.

The graph is that of `Player.play`, whose networks and losses are written for one seed and mapped
over the seeds by `torch.func.vmap`. Each seed's modules and optimisers look at their slices of the
stacked memory, so that sampling, looking at features and checkpoints know nothing of it.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from ganbench.core import Loss
from ganbench.engine import Judge, Player, Trainer, inference
from ganbench.errors import InputError, first_line
from ganbench.supply import Call, Latents, Numbers, Supplied

Array = np.ndarray[Any, np.dtype[np.float64]]
Key = tuple[str, ...]  # "G" or "D", a parameter's or buffer's name, and a state's of its optimiser
MAX_STEPS = 5  # in a compiled graph; more make it little faster, but long to compile


class UnstackableError(InputError):
    """A Game that has to be trained seed by seed; the message says why."""


class Stack:
    """Trainers of one Game for several seeds, which have all taken as many steps.

    `batch_shape` is (batch_size, *task.shape). `during(part)` is entered for the noise.

    Raises UnstackableError, before anything has changed, for what cannot be traced or stacked:
    games that differ in their parts, optimisers without an `update` for graphs, draws from torch's
    global stream, control flow that depends on data.
    """

    def __init__(self, trainers: Sequence[Trainer], batch_shape: Sequence[int]) -> None:
        first = trainers[0]
        self.trainers, self.steps = trainers, first.steps
        self.during: Callable[[str], AbstractContextManager[None]] = lambda part: nullcontext()
        self._game, self._batch_shape = first.game, tuple(batch_shape)
        self._device = next(first.discriminator.parameters()).device
        tensors = _alike(trainers)
        seeds = [each.seed for each in trainers]
        self._latents = Latents(
            [each.game.latent for each in trainers],
            seeds,
            each=self._batch_shape[0],
            per_step=1 if self._game.reuse_latent else 2,
            device=self._device,
        )
        self._calls = {turn: self._probe(turn) for turn in {True, self._game.d_updates == 1}}
        self._numbers = {
            call.slot: Numbers(call, seeds, self._device) for call in self._calls[True]
        }
        with torch.no_grad():
            self._memory = {key: torch.stack(each) for key, each in tensors.items()}
        self._graphs: dict[tuple[bool, ...], Graph] = {
            (turn,): self._trace((turn,)) for turn in self._calls
        }
        self._whole: tuple[bool, ...] = ()
        for key, each in tensors.items():
            for tensor, mine in zip(each, self._memory[key], strict=True):
                tensor.data = mine  # so that the trainers look at it

    def compile(self, *, pause: int = 1) -> None:
        """Have torch's compiler make one function of some steps, for where so many are left.

        As many as divide `pause`, the steps after which training pauses. Raises UnstackableError
        if the compiler cannot; the stack is then as it was.
        """
        updates = self._game.d_updates
        steps = updates
        if updates == 1:
            steps = next((n for n in range(MAX_STEPS, 1, -1) if pause % n == 0), MAX_STEPS)
        whole = tuple((i + 1) % updates == 0 for i in range(steps))
        graph = self._trace(whole)
        with _reasons("torch's compiler fails: "):
            graph.compile()
        self._graphs[whole], self._whole = graph, whole

    def train(
        self, real: Tensor, *, stopped: Callable[[], bool] = lambda: False
    ) -> list[dict[str, Array]]:
        """Train on the batches `real` (seeds, steps, batch_size, *shape); each seed's logs.

        A log has the values of each name over the steps that have one, fewer once `stopped`.
        """
        done = 0
        names: list[str] = []
        values: list[Tensor] = []
        while done < real.shape[1] and not stopped():
            turns = self._next_turns(real.shape[1] - done)
            graph, count = self._graphs[turns], len(turns)
            values.append(graph(self._memory, self._inputs(turns, real[:, done : done + count])))
            names += graph.names
            self._count(turns)
            done += count
        return _logs(names, values, len(self.trainers))

    def train_apart(self, real: Tensor) -> list[dict[str, Array]]:
        """The same for one step of `real` (seeds, 1, ...), seed by seed, so that these may look."""
        inputs = self._inputs(self._next_turns(1), real)
        logs: list[dict[str, Array]] = []
        for place, trainer in enumerate(self.trainers):
            trainer.handed = list(inputs.latents[place, 0])
            mine = {slot: drawn[place, 0] for slot, drawn in inputs.numbers.items()}
            with Supplied(lambda call, mine=mine: mine[call.slot]):  # type: ignore[misc]
                log = trainer.train_step(real[place, 0])
            logs.append({name: value.double().cpu().numpy()[None] for name, value in log.items()})
        self.steps += 1
        return logs

    def _next_turns(self, most: int) -> tuple[bool, ...]:
        """Of the next steps that are one graph, which are G's turn too."""
        updates = self._game.d_updates
        if 0 < len(self._whole) <= most and self.steps % updates == 0:
            return self._whole
        return ((self.steps + 1) % updates == 0,)

    def _count(self, turns: Sequence[bool]) -> None:
        """Tell the trainers and their optimisers what steps have been taken."""
        self.steps += len(turns)
        d_count = len(turns) * len(self._game.d_losses)
        for trainer in self.trainers:
            trainer.steps = self.steps
            for optimizer, count in (
                (trainer.d_optimizer, d_count),
                (trainer.g_optimizer, sum(turns)),
            ):
                for group in optimizer.param_groups:
                    if "steps" in group:
                        group["steps"] += count

    def _probe(self, turn: bool) -> list[Call]:
        """The random calls of a step, from a copy of the first seed's that takes one."""
        calls: list[Call] = []

        def give(call: Call) -> Tensor:
            calls.append(call)
            dtype = torch.int16 if call.law == "words" else torch.float32
            return torch.zeros(call.shape, dtype=dtype, device=self._device)

        first = self.trainers[0]
        with _reasons():
            game = replace(
                first.game,
                generator=copy.deepcopy(first.generator),
                discriminator=copy.deepcopy(first.discriminator),
            )
            trainer = Trainer(game, seed=first.seed, device=str(self._device))
            trainer.handed = list(self._latents.take(0, 1)[0, 0])
            with Supplied(give):
                trainer.play(torch.zeros(self._batch_shape, device=self._device), g_turn=turn)
        return calls

    def _draw(self, turns: Sequence[bool]) -> dict[int, Tensor]:
        """The numbers of these steps: of each slot (seeds, steps that have it, *shape)."""
        steps = {
            call.slot: [self.steps + i for i, turn in enumerate(turns) if call in self._calls[turn]]
            for call in self._calls[True]
        }
        return {slot: self._numbers[slot].take(those) for slot, those in steps.items() if those}

    def _rates(self, turns: Sequence[bool]) -> Tensor:
        """The learning rates of these steps' updates, in the order in which they are made.

        Computed in a graph, they would be computed once for each number that is updated.
        """
        d, g = self.trainers[0].d_optimizer, self.trainers[0].g_optimizer
        d_count = self.steps * len(self._game.d_losses)
        g_count = self.steps // self._game.d_updates
        rates: list[float] = []
        for turn in turns:
            for _ in self._game.d_losses:
                d_count += 1
                rates += [type(d).rate(group, d_count) for group in d.param_groups]  # type: ignore[attr-defined]
            if turn:
                g_count += 1
                rates += [type(g).rate(group, g_count) for group in g.param_groups]  # type: ignore[attr-defined]
        return torch.tensor(rates, device=self._device)

    def _inputs(self, turns: Sequence[bool], real: Tensor) -> Inputs:
        """Of the next steps, with these turns and batches (seeds, steps, batch_size, *shape)."""
        with self.during("noise"):
            latents, numbers = self._latents.take(self.steps, len(turns)), self._draw(turns)
        return Inputs(self._rates(turns), real.contiguous(), latents, numbers)

    def _trace(self, turns: tuple[bool, ...]) -> Graph:
        shape = (len(self.trainers), len(turns), *self._batch_shape)
        with _reasons():
            inputs = self._inputs(turns, torch.zeros(shape, device=self._device))
            return Graph(self.trainers[0], turns, self._memory, inputs)


class Inputs(NamedTuple):
    """What steps need beside the memory, contiguous, as a compiled graph wants it.

    The learning rates of their updates; batches (seeds, steps, batch_size, *shape); latents
    (seeds, steps, draws, batch_size, *shape); numbers (seeds, calls, *shape) of each slot.
    """

    rates: Tensor
    real: Tensor
    latents: Tensor
    numbers: dict[int, Tensor]

    def flat(self) -> list[Tensor]:
        """All of them in order."""
        return [self.rates, self.real, self.latents, *self.numbers.values()]


class Graph:
    """Some steps of all seeds, traced: call it with the memory, which it changes, and the data."""

    def __init__(
        self,
        trainer: Trainer,
        turns: Sequence[bool],
        memory: Mapping[Key, Tensor],
        inputs: Inputs,
    ) -> None:
        self.names: list[str] = []
        keys, slots = list(memory), list(inputs.numbers)

        def steps(*flat: Tensor) -> tuple[Tensor]:
            tensors = dict(zip(keys, flat, strict=False))
            rates, real, latents, *drawn = flat[len(keys) :]
            numbers = dict(zip(slots, drawn, strict=True))
            player = _Mapped(trainer, tensors, Inputs(rates, real, latents, numbers))
            self.names.clear()
            values: list[Tensor] = []
            for i, turn in enumerate(turns):
                log = player.play(real[:, i], g_turn=turn)
                player.end_step()
                self.names += log
                values += log.values()
            return (torch.stack(values),)

        self._examples: list[Any] = [*memory.values(), *inputs.flat()]
        trace = make_fx(steps, tracing_mode="fake", _allow_non_fake_inputs=True)
        module = trace(*self._examples)
        module.graph.eliminate_dead_code()
        module.recompile()
        self._module = module
        self._run: Callable[..., Any] = module

    def compile(self) -> None:
        """Have torch's compiler make one function of it, with some sums in another order."""
        from torch._inductor import standalone_compile  # slow to import

        options = {"config_patches": {"cpp_wrapper": self._examples[0].device.type == "cpu"}}
        self._run = standalone_compile(self._module, self._examples, options=options)

    def __call__(self, memory: Mapping[Key, Tensor], inputs: Inputs) -> Tensor:
        """The logged values (values, seeds), in the order of `names`."""
        with torch.no_grad():
            out: Tensor = self._run(*memory.values(), *inputs.flat())[0]
        return out


class _Mapped(Player):
    """Plays steps on stacked tensors (seeds, ...), while they are traced."""

    def __init__(self, trainer: Trainer, tensors: Mapping[Key, Tensor], inputs: Inputs) -> None:
        self.game, self._trainer = trainer.game, trainer
        self._tensors, self._latents, self._numbers = tensors, inputs.latents, inputs.numbers
        self._sides = _sides(trainer)
        self._rules: dict[str, Any] = {
            who: type(optimizer).update  # type: ignore[attr-defined]
            for who, (_, optimizer) in self._sides.items()
        }
        self._groups = {who: _groups(*side) for who, side in self._sides.items()}
        self._within = _Within(trainer.discriminator)
        self._rates = iter(inputs.rates.unbind())
        self._step, self._drawn = 0, 0
        self._used: Counter[int] = Counter()
        self._supply = Supplied(self._give, {functional.linear: _linear})
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
        with torch.set_grad_enabled(keep_graph), mode:
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
            judge = Judge(D)
            value = loss(judge, real, fake)  # type: ignore[arg-type]
            return value.reshape(()), judge.right(decision, who, real, fake)

        def one(
            tensors: Mapping[str, Tensor], real: Tensor, fake: Tensor
        ) -> tuple[Tensor, list[Tensor]]:
            found: tuple[Tensor, list[Tensor]] = self._within.call(judged, tensors, real, fake)
            return found

        with torch.enable_grad():
            values, right = self._map(one, {**parameters, **self._buffers("D")}, real, fake)
            learning = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
            grads = torch.autograd.grad(values.sum(), list(learning.values()), allow_unused=True)
        found = zip(learning, grads, strict=True)
        self._update(who, {name: grad for name, grad in found if grad is not None})
        return values.detach(), [share.detach() for share in right]

    def _map(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function` of each seed's slices, with its random numbers."""

        def with_numbers(numbers: Mapping[int, Tensor], *args: Any) -> Any:
            self._given = numbers
            with self._supply:
                return function(*args)

        return vmap(with_numbers, randomness="error")(dict(self._numbers), *args)

    def _update(self, who: str, grads: Mapping[str, Tensor]) -> None:
        for group, names in self._groups[who]:
            learning = [name for name in names if name in grads]
            params = [self._tensors[who, name] for name in learning]
            states = [self._state(who, name) for name in learning]
            found, rate = [grads[name] for name in learning], next(self._rates)
            with torch.no_grad():
                self._rules[who](params, found, states, group, rate)

    def _state(self, who: str, name: str) -> dict[str, Tensor]:
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
        """The same with the module's tensors replaced by name."""
        named = {f"module.{name}": tensor for name, tensor in tensors.items()}
        return functional_call(self, named, (function, *args))


def _linear(supply: Supplied, *args: Any, **kwargs: Any) -> Tensor:
    """Dense layers of a batch as one operation of all seeds, not a product, a view and a sum."""
    if len(args) == 3 and args[0].ndim == 2 and args[2] is not None:
        dense: Tensor = _Dense.apply(*args)  # type: ignore[no-untyped-call]
        return dense
    return functional.linear(*args, **kwargs)


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
        x, weight = ctx.saved_tensors
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
    """The same of all seeds, (s, n, k), (s, m, k) and (s, m) to (s, n, m)."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            grad @ weight if of_x else None,
            # Laid out as the weight, which autograd's own transposed gradient is not.
            grad.transpose(1, 2) @ x if of_weight else None,
            grad.sum(1) if of_bias else None,
        )


def _sides(trainer: Trainer) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
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


def _tensors(trainers: Sequence[Trainer]) -> dict[Key, list[Tensor]]:
    """All that a step may change, of each trainer."""
    found: dict[Key, list[Tensor]] = {}
    for trainer in trainers:
        for who, (module, optimizer) in _sides(trainer).items():
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                found.setdefault((who, name), []).append(tensor)
                for state, value in optimizer.state.get(tensor, {}).items():
                    found.setdefault((who, name, state), []).append(value)
    return found


def _alike(trainers: Sequence[Trainer]) -> dict[Key, list[Tensor]]:
    """Their tensors, if these are of one game that a graph can update."""
    for _, optimizer in _sides(trainers[0]).values():
        if not hasattr(type(optimizer), "update"):
            kind = type(optimizer)
            name = f"{kind.__module__}.{kind.__qualname__}"
            raise UnstackableError(f"{name} has no update for graphs, as those of ganbench.nn have")
    tensors = _tensors(trainers)
    shapes = [[tensor.shape for tensor in each] for each in tensors.values()]
    if any(len(each) != len(trainers) or len(set(each)) > 1 for each in shapes):
        raise UnstackableError("its networks differ from seed to seed")
    return tensors


@contextmanager
def _reasons(what: str = "") -> Iterator[None]:
    """Whatever goes wrong inside is a reason not to stack, not an end."""
    try:
        with warnings.catch_warnings():
            # What torch takes seed by seed, and what its compiler imports, is no user's concern.
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise UnstackableError(f"{what}{kind}{first_line(error)}") from error


def _logs(names: Sequence[str], values: Sequence[Tensor], seeds: int) -> list[dict[str, Array]]:
    """Each seed's values by name."""
    if not values:
        return [{} for _ in range(seeds)]
    table = torch.cat(list(values)).double().cpu().numpy()
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    return [{name: table[which, seed] for name, which in rows.items()} for seed in range(seeds)]
