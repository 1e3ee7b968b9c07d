"""Holds a stack against the eager player: same state, same noise, first steps, to rounding.

How far rounding may carry a training is measured, not assumed: eager players whose weights are
moved by a unit in the last place, and what each layer makes, and the gradients of both by some of
their largest, end where the stack may end too. (The latter is what sums in another order do to a
gradient whose terms cancel: behind a batch norm nothing but rounding may be left of one.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganbench.engine.graph import Key
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError

STEPS = 3  # that are held against each other, at least
TRIALS = 3  # at most, on other examples
MOVED = 4  # players that are moved, two each in opposite directions
FACTOR = 8.0  # as far as these, a stack may be away
SHARE = 1e-4  # of what a training changes, besides
GRADIENT_UNITS = 8.0  # in the last place of a gradient's largest number, that these are moved by
UNITS = {"float32": 2.0**-23, "tf32": 2.0**-11, "bf16": 2.0**-9}  # in the last place
LAST_PLACES = 8.0  # units in the last place of a tensor's largest number, besides

Logs = Sequence[Mapping[str, np.ndarray[Any, Any]]]  # of each seed


class UnfaithfulError(InputError):
    """A stack that trains something else than the eager player."""


class Expected:
    """Where eager players end that begin where the `trainers` stand.

    `play` takes steps with copies of them, which change the tensors `changed`, and returns each
    seed's logs.
    """

    def __init__(
        self, trainers: Sequence[Trainer], play: Callable[[Sequence[Trainer]], Logs]
    ) -> None:
        before = _stacked(trainers)
        self._values, self._logs = _ends([each.copy() for each in trainers], play)
        self.changed = {key for key, end in self._values.items() if not _same(end, before[key])}
        self._check_again(*_ends([each.copy() for each in trainers], play))
        others = []
        for number in range(MOVED):
            copies = [each.copy() for each in trainers]
            for copy in copies:
                _move(copy, number)
            others.append(_ends(copies, play))
        self._allowed = {
            key: _allowed(value, value - before[key], [values[key] for values, _ in others])
            for key, value in self._values.items()
        }
        self._allowed_logs = {
            name: _allowed(value, value, [logs[name] for _, logs in others])
            for name, value in self._logs.items()
        }

    def check(self, memory: Mapping[Key, Tensor], logs: Logs) -> None:
        """UnfaithfulError if a stack that took the same steps has ended elsewhere."""
        for name, value in _together(logs).items():
            if name.endswith("accuracy"):  # of a few verdicts, one of which may be on the edge
                continue
            self._compare(name, value, self._logs[name], self._allowed_logs[name])
        for key, value in memory.items():
            self._compare(" ".join(key), _sized(key, value), self._values[key], self._allowed[key])

    def _compare(self, what: str, found: Tensor, expected: Tensor, allowed: Tensor) -> None:
        if not found.is_floating_point():
            if not torch.equal(found, expected):
                raise UnfaithfulError(f"{what} is not what the eager player makes of it")
            return
        apart = torch.nan_to_num((found - expected).abs(), nan=torch.inf)
        apart[found.isnan() & expected.isnan()] = 0
        apart[found == expected] = 0  # also where both are infinite
        most = apart.reshape(len(apart), -1).amax(1)
        if bool((over := most > allowed).any()):
            raise UnfaithfulError(
                f"{what} is {float(most[over][0]):.2g} from what the eager player makes of it, "
                f"of which rounding explains {float(allowed[over][0]):.2g}"
            )

    def _check_again(self, values: Mapping[Key, Tensor], logs: Mapping[str, Tensor]) -> None:
        pairs = [(value, self._values[key]) for key, value in values.items()]
        pairs += [(value, self._logs[name]) for name, value in logs.items()]
        if not all(_same(*pair) for pair in pairs):
            raise UnfaithfulError("its steps come out otherwise when they are played again")


def _ends(
    copies: Sequence[Trainer], play: Callable[[Sequence[Trainer]], Logs]
) -> tuple[dict[Key, Tensor], dict[str, Tensor]]:
    logs = play(copies)
    return _stacked(copies), _together(logs)


def _together(logs: Logs) -> dict[str, Tensor]:
    """Logged values (seeds, steps) by name."""
    return {name: torch.tensor(np.stack([log[name] for log in logs])) for name in logs[0]}


def _move(trainer: Trainer, number: int) -> None:
    """Move weights, what layers make, and its gradients by what rounding may, at random.

    A gradient of which nothing but rounding is left has another sign in one of two opposite moves.
    """
    unit = UNITS[trainer.precision] * (1, -1)[number % 2]  # of two, one is moved the other way
    rng = torch.Generator().manual_seed(number // 2)

    def signs(like: Tensor) -> Tensor:
        drawn = torch.empty(like.shape).uniform_(-1, 1, generator=rng)  # which is not supplied
        return drawn.sign().to(like.device)

    def moved(gradient: Tensor) -> Tensor:
        if not gradient.numel():
            return gradient
        largest: Tensor = gradient.detach().abs().max()
        return gradient + GRADIENT_UNITS * unit * largest * signs(gradient)

    def rounded(module: nn.Module, given: Any, made: Any) -> Any:
        if not isinstance(made, Tensor) or not made.is_floating_point():
            return made
        made = made * (1 + unit * signs(made))
        if made.requires_grad:
            made.register_hook(moved)
        return made

    for network in trainer.networks.values():
        for p in network.parameters():
            with torch.no_grad():
                p.mul_(1 + unit * signs(p))
            if p.requires_grad:
                p.register_hook(moved)
        for module in network.modules():
            module.register_forward_hook(rounded)


def _allowed(end: Tensor, change: Tensor, others: Sequence[Tensor]) -> Tensor:
    """How far from `end` (seeds, ...) rounding may carry each seed's."""
    if not end.is_floating_point():
        return torch.zeros(len(end))

    def most(values: Tensor) -> Tensor:
        return torch.nan_to_num(values.abs(), posinf=0.0).reshape(len(values), -1).amax(1)

    moved = torch.stack([most(other - end) for other in others]).amax(0)
    last = LAST_PLACES * torch.finfo(torch.float32).eps * most(end)
    return FACTOR * moved + SHARE * most(change) + last


def _stacked(trainers: Sequence[Trainer]) -> dict[Key, Tensor]:
    found = [tensors_of(each) for each in trainers]
    return {
        key: _sized(key, torch.stack([each[key].detach() for each in found])) for key in found[0]
    }


def _sized(key: Key, value: Tensor) -> Tensor:
    """The roots of an optimiser's mean squares, which are as large as gradients are."""
    return value.sqrt() if len(key) == 3 and "sq" in key[2] else value


def _same(a: Tensor, b: Tensor) -> bool:
    return a.is_cuda or torch.equal(a.nan_to_num(), b.nan_to_num())


def tensors_of(trainer: Trainer) -> dict[Key, Tensor]:
    """All that a step may change."""
    found: dict[Key, Tensor] = {}
    for who, network in trainer.networks.items():
        state = trainer.optimizers[who].state
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            found[who, name] = tensor
            for kept, value in state.get(tensor, {}).items():
                found[who, name, kept] = value
    if trainer.averaged is not None:
        averaged = trainer.averaged
        for name, tensor in (*averaged.named_parameters(), *averaged.named_buffers()):
            found["average", name] = tensor
    return found
