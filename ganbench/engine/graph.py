"""The traced half of a stack: steps of `Player.play` on stacked tensors, as one graph.

Networks and losses are written for one seed and mapped over the seeds by `torch.func.vmap`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ganbench.engine import contract
from ganbench.engine.game import Loss
from ganbench.engine.gradients import StackedGradients
from ganbench.engine.inputs import Inputs
from ganbench.engine.invariant import PRODUCTS, own_bits
from ganbench.engine.loop import Loop, traced
from ganbench.engine.noise import Call, SuppliedNoise
from ganbench.engine.operations import HANDLERS
from ganbench.engine.optimizers import rule_of
from ganbench.engine.player import Player
from ganbench.engine.precision import at_least_float32, fast_products
from ganbench.engine.settings import Settings
from ganbench.engine.trainer import Trainer, inference, labelled, pick
from ganbench.engine.verdicts import Provenance, shares_right, verdicts_of

aten = torch.ops.aten
ALL_PRODUCTS = PRODUCTS | {aten.mm, aten.addmm}  # stacked by seeds or not
Key = tuple[str, ...]  # "G" or "D", a parameter's or buffer's name, and a state's of its optimiser
MAX_STEPS, MAX_BYTES = 64, 2**25  # of a call of compiled code, and of what it is given
PART_BYTES = 2**18  # of the seeds that a compiled step takes at once, to stay in a core's cache


class Graph:
    """A cycle of some steps, traced.

    Called with the inputs of up to `cycles` cycles it changes the memory and returns the logged
    values (cycles, values, seeds), of which `places` says where each name's are. It is of all seeds
    at once, or of equal parts of them, whose memory and inputs are at most `part_bytes` unless one
    seed alone has more. The `settings` stand in the trainer's functions, networks and optimisers.
    """

    def __init__(
        self,
        trainer: Trainer,
        updates_g: Sequence[bool],
        memory: Mapping[Key, Tensor],
        inputs: Inputs,
        settings: Settings,
        *,
        part_bytes: float = math.inf,
    ) -> None:
        self.cycles = 1
        tensors, seeds = [*memory.values(), *inputs.flat()], inputs.real.shape[1]
        self._parts = _parts(tensors, seeds, part_bytes)
        self._fills_part = _fitting(tensors, seeds, part_bytes) < 2  # one seed, whatever is beside
        self._input_bytes = sum(each.nbytes for each in inputs.flat())
        self._memories = [[each[part] for each in memory.values()] for part in self._parts]
        inputs = inputs.of(self._parts[0])
        names: list[str] = []
        keys = list(memory)

        def steps(*flat: Tensor) -> tuple[Tensor]:
            tensors = dict(zip(keys, flat, strict=False))
            given = inputs.from_flat(flat[len(keys) :])
            player = _Mapped(trainer, tensors, given, settings)
            names.clear()
            values: list[Tensor] = []
            for i, which in enumerate(updates_g):
                log = player.play(given.real[:, i], updates_g=which)
                player.end_step()
                names.extend(log)
                values += log.values()
            return (torch.stack(values),)

        self._steps, self._cycle = len(updates_g), [each[0] for each in inputs.flat()]
        self._module = traced(steps, [*self._memories[0], *self._cycle])
        for node in self._module.graph.find_nodes(op="call_function", target=aten.view.default):
            node.target = aten.reshape.default  # as strides are not always what a trace has shown
        for node in self._module.graph.find_nodes(op="call_function", target=aten.detach.default):
            node.replace_all_uses_with(node.args[0])  # without autograd of no use
        self._module.graph.eliminate_dead_code()
        self._module.recompile()
        self._plain = own_bits(self._module)
        self.places = {name: [i for i, each in enumerate(names) if each == name] for name in names}
        self._loop: Loop | None = None
        self._products: Callable[[], AbstractContextManager[None]] = nullcontext

    def loop(self, *, compiled: bool) -> None:
        """Take many cycles at once; compiled, with some sums in another order."""
        cycles = max(1, min(MAX_STEPS // self._steps, MAX_BYTES // self._input_bytes))
        step = self._module if compiled else self._plain
        with torch.no_grad():
            self._loop = Loop(step, self._memories, self._cycle, cycles, compiled=compiled)
        if compiled and self._fills_part:  # as products may round by how many seeds they are of
            self._products = partial(fast_products, self._largest_product())
        self.cycles = cycles

    def _largest_product(self) -> int:
        """The multiplications in the largest product of two matrices of one seed."""
        seeds = self._parts[0].stop
        pairs = [
            [each.meta["val"] for each in node.args[-2:]]
            for node in self._module.graph.nodes
            if getattr(node.target, "overloadpacket", None) in ALL_PRODUCTS
        ]
        return max((a.numel() * b.shape[-1] // seeds for a, b in pairs), default=0)

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
            with self._products():
                return self._loop(inputs.flat(), place)
        (first,) = zip(*inputs.flat(), strict=True)
        values: Tensor = self._plain(*self._memories[place], *first)[0]
        return values.unsqueeze(0)


def _parts(tensors: Sequence[Tensor], seeds: int, part_bytes: float) -> list[slice]:
    """Equal parts of the seeds, as large as may be, where all seeds have the `tensors`."""
    most = max(1, _fitting(tensors, seeds, part_bytes))
    size = max(n for n in range(1, seeds + 1) if seeds % n == 0 and n <= most)
    return [slice(first, first + size) for first in range(0, seeds, size)]


def _fitting(tensors: Sequence[Tensor], seeds: int, part_bytes: float) -> float:
    """How many of the seeds a part has room for."""
    return part_bytes * seeds / sum(each.nbytes for each in tensors)


class _Mapped(Player):
    """Plays steps on stacked tensors (seeds, ...), while they are traced."""

    def __init__(
        self,
        trainer: Trainer,
        tensors: Mapping[Key, Tensor],
        inputs: Inputs,
        settings: Settings,
    ) -> None:
        self.game, self.asks, self._trainer = trainer.game, trainer.asks, trainer
        self._tensors, self._latents, self._numbers = tensors, inputs.latents, inputs.numbers
        self._settings = settings
        self._differing = () if inputs.settings is None else (inputs.settings,)
        self._rules = {who: rule_of(each) for who, each in trainer.optimizers.items()}
        self._groups = {
            who: _groups(trainer.networks[who], each) for who, each in trainer.optimizers.items()
        }
        judges = {who: each for who, each in trainer.networks.items() if who != "G"}
        self._within = _Within(judges)
        self._rates = iter(inputs.rates.unbind(-1))  # each of all seeds, or (seeds,)
        self._step, self._drawn = 0, 0
        self._used: Counter[int] = Counter()
        self._supply = SuppliedNoise(self._give, HANDLERS)
        self._given: Mapping[int, Tensor] = {}
        self._leaves: dict[Key, Tensor] = {}
        self._grads: dict[Key, Tensor] = {}

    def end_step(self) -> None:
        """The next step's latents and numbers come next."""
        self._step, self._drawn = self._step + 1, 0
        self._supply.new_step()

    def _give(self, call: Call) -> Tensor:
        self._used[call.slot] += 1
        return self._given[call.slot][self._used[call.slot] - 1]

    def _scalars(self) -> dict[str, Tensor]:
        return {name: next(self._rates) for name in self.game.schedule}

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
                {name: each for (_, name), each in (leaves | self._buffers("G")).items()},
                latent,
            )
        return fakes

    def _differentiate(
        self,
        who: str,
        loss: Loss,
        asked: Sequence[str],
        real: Tensor,
        fake: Tensor,
        known: Mapping[str, Tensor],
    ) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
        learners = self._trainer.learners(who)
        leaves = {} if who == "D" else dict(self._leaves)
        tensors: dict[Key, Tensor] = {}
        for each in self._within.networks:
            mine = self._parameters(each, grad=True)  # also for slopes that a loss asks for
            tensors |= mine | self._buffers(each)
            leaves |= mine if each in learners else {}
        decision, pack = self.game.decision, self.game.packed

        mapped = {name: each for name, each in known.items() if each.ndim}  # not what all share

        def judged(
            networks: Mapping[str, nn.Module],
            real: Tensor,
            fake: Tensor,
            mine: Mapping[str, Tensor],
        ) -> tuple[Tensor, list[Tensor], Mapping[str, Tensor]]:
            labels = labelled(self.game, asked, real)
            D, real, fake = networks.get("D"), pack(real), pack(fake)
            with verdicts_of(D) as verdicts, Provenance(real, fake) as origins:
                handed = pick(asked, networks, {**known, **labels, **mine})
                value, own = contract.parted(loss(D, real, fake, **handed))
            right = shares_right(verdicts, decision, who, real, fake, origins)
            return at_least_float32(value).reshape(()), right, dict(own)

        with torch.enable_grad():
            with self._trainer.autocast():
                values, right, own = self._map(
                    lambda *args: self._within.call(judged, *args),
                    tensors,
                    real,
                    fake,
                    mapped,
                )
            learning = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
            grads = torch.autograd.grad(values.sum(), list(learning.values()), allow_unused=True)
        found = zip(learning, grads, strict=True)
        self._grads |= {name: grad for name, grad in found if grad is not None}
        logged = {name: each.detach() for name, each in own.items()}
        return values.detach(), [share.detach() for share in right], logged

    def _look(self, when: str, real: Tensor, latent: Tensor) -> None:
        """Nothing: who wants to look trains step by step (`Stack.train_apart`)."""

    def _map(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function` of each seed's slices, with its random numbers."""
        seeds = len(next(iter(self._tensors.values())))
        zero = torch.zeros((), device=self._latents.device, requires_grad=True)

        def with_numbers(numbers: Mapping[int, Tensor], differing: Any, *args: Any) -> Any:
            self._given = numbers
            with self._supply, StackedGradients(seeds, zero), self._settings.being(*differing):
                return function(*args)

        given = (dict(self._numbers), self._differing)
        return vmap(with_numbers, randomness="error")(*given, *args)

    def _update(self, who: str) -> None:
        for each in self._trainer.learners(who):
            self._update_network(each)
        after = self.game.after_d if who == "D" else self.game.after_g
        if after is not None:
            within = _Within({who: self._trainer.networks[who]})
            mine = self._parameters(who, grad=False) | self._buffers(who)
            with torch.no_grad():
                self._map(lambda tensors: within.call(_changed(after, who), tensors), mine)

    def _weights(self) -> list[Tensor]:
        networks = self._trainer.networks.items()
        return [
            self._tensors[who, name]
            for who, network in networks
            for name, p in network.named_parameters()
            if p.requires_grad
        ]

    def _update_network(self, who: str) -> None:
        rule = self._rules[who]
        for place, (common, names) in enumerate(self._groups[who]):
            group = self._settings.group(who, place, common)
            learning = [name for name in names if (who, name) in self._grads]
            params = [self._tensors[who, name] for name in learning]
            states = [self._state(who, name) for name in learning]
            grads = [self._grads.pop((who, name)) for name in learning]
            rates = list(islice(self._rates, len(rule.rates(common, 1))))
            if any(rate.ndim for rate in rates):  # each seed's own: in rows that they fit
                params, grads = [*map(_rows, params)], [*map(_rows, grads)]
                states = [{key: _rows(each) for key, each in state.items()} for state in states]
                rates = [*map(_rows, rates)]
            own = [each.T.unsqueeze(2) for each in self._differing]
            with torch.no_grad(), self._settings.being(*own):
                rule.update(params, grads, states, group, rates)

    def _average(self) -> None:
        """As `trainer.average` does."""
        share, buffers = next(self._rates), self._buffers("G")
        for who, name in [*self._parameters("G", grad=False), *buffers]:
            mine, its = self._tensors["average", name], self._tensors[who, name]
            if (who, name) in buffers:
                mine.copy_(its)
            elif share.ndim:
                _rows(mine).lerp_(_rows(its), _rows(share))
            else:
                mine.lerp_(its, share)

    def _state(self, who: str, name: str) -> Mapping[str, Tensor]:
        mine = (who, name)
        return {
            k[2]: tensor for k, tensor in self._tensors.items() if len(k) == 3 and k[:2] == mine
        }

    def _parameters(self, who: str, *, grad: bool) -> dict[Key, Tensor]:
        return {
            (who, name): self._tensors[who, name].detach().requires_grad_(grad and p.requires_grad)
            for name, p in self._trainer.networks[who].named_parameters()
        }

    def _buffers(self, who: str) -> dict[Key, Tensor]:
        names = [name for name, _ in self._trainer.networks[who].named_buffers()]
        return {(who, name): self._tensors[who, name] for name in names}


def _rows(stacked: Tensor) -> Tensor:
    """A seed's numbers in a row (seeds, numbers), in the same memory where they lie in one."""
    return stacked.reshape(len(stacked), -1)


def _changed(after: Callable[[nn.Module], object], who: str) -> Callable[..., tuple[()]]:
    """A function of networks that changes one of them in place."""

    def change(networks: Mapping[str, nn.Module]) -> tuple[()]:
        after(networks[who])
        return ()

    return change


class _Within(nn.Module):
    """Calls functions of some networks while their parameters and buffers are others."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)

    def forward(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function` of the networks by name."""
        return function(dict(self.networks.items()), *args)

    def call(self, function: Callable[..., Any], tensors: Mapping[Key, Tensor], *args: Any) -> Any:
        """A function of the networks with their tensors replaced by name."""
        named = {f"networks.{who}.{name}": tensor for (who, name), tensor in tensors.items()}
        return functional_call(self, named, (function, *args))


def _groups(
    module: nn.Module, optimizer: torch.optim.Optimizer
) -> list[tuple[dict[str, Any], list[str]]]:
    """The optimiser's settings, and the names of the parameters that they are for."""
    names = {p: name for name, p in module.named_parameters()}
    return [
        ({**group, "params": None}, [names[p] for p in group["params"]])
        for group in optimizer.param_groups
    ]
