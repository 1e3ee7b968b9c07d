"""Whether a step is a function of its tensors alone, so that a traced one stands for every one.

Python that changes no state, and asks nothing outside, does at every step what it did at the first:
so no Python object that a step can reach may change while it is played, and it must not look at the
clock, draw numbers outside of torch, or read and write.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from ganbench.engine.fidelity import tensors_of
from ganbench.engine.game import Game
from ganbench.engine.graph import Key
from ganbench.engine.optimizers import rule_of, start
from ganbench.engine.settings import named, of_optimizers
from ganbench.engine.state import (
    CACHED,
    Found,
    ImpureError,
    State,
    UnwatchableError,
    memory_of,
    own_of,
)
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError
from ganbench.system.modules import authors_frame, place

NETWORKS = ("generator", "discriminator", "more")  # of a Game
UNUSED = ("d_optimizer", "g_optimizer", "features", "recording")  # in a step
LOSSES = ("d_loss", "g_loss", "after_d", "after_g")  # in which seeds may have other numbers
TIMES = 17  # at which schedules are looked at
GLOBAL_HOOKS = [f"_global_{each}_hooks" for each in ("forward", "forward_pre", "backward")]
GLOBAL_HOOKS += ["_global_backward_pre_hooks"]
OUTSIDE: dict[str, str] = {
    "time": "looks at the clock",
    "datetime": "looks at the clock",
    "random": "draws random numbers outside of torch",
    "_random": "draws random numbers outside of torch",
    "secrets": "draws random numbers outside of torch",
    "numpy.random": "draws random numbers outside of torch",
    "_io": "reads or writes",
    "io": "reads or writes",
    "socket": "reads or writes",
}
OUTSIDE_CALLS: dict[str, str] = {
    "print": "prints",
    "putenv": "sets a variable of the environment",
    "unsetenv": "sets a variable of the environment",
    "urandom": "draws random numbers outside of torch",
    "input": "reads or writes",
    "open": "reads or writes",
    "Generator.manual_seed": "sets torch's random state",
    "Generator.seed": "sets torch's random state",
    "Generator.set_state": "sets torch's random state",
}


def check_pure(trainer: Trainer, copy: Trainer, play: Callable[[], Any]) -> None:
    """ImpureError if `play`, a step of a copy of the trainer, is not what it would do again."""
    known = [tensor for each in (trainer, copy) for tensor in tensors_of(each).values()]
    roots = {**functions_of(trainer.game), **modules_of(copy)}
    before, randoms = _state(roots, known), _randoms()
    with _watched() as found:
        drawn_first = play()
    changed = before.changed(after := _state(roots, known))
    if changed and all(CACHED in path or path[0] == "<" for path in changed):  # kept for good?
        if play() != drawn_first:
            raise ImpureError(f"{named(changed[0])} keeps random numbers", keeps=True)
        before, changed = after, after.changed(_state(roots, known))
    if found:
        raise ImpureError(found[0], keeps=bool(changed))
    if drawn := _other(randoms, _randoms()):
        now = _randoms()
        where = _line_after(lambda: bool(_other(now, _randoms())), play)
        raise ImpureError(f"{where} draws from {drawn}", keeps=bool(changed))
    if changed:
        now_state = _state(roots, known)
        where = _line_after(lambda: changed[0] in now_state.changed(_state(roots, known)), play)
        raise ImpureError(f"{where} changes {named(changed[0])}", keeps=True)
    _check_schedule(trainer, lambda: before.changed(_state(roots, known)))


def _check_schedule(trainer: Trainer, changes: Callable[[], Sequence[str]]) -> None:
    """ImpureError if a schedule sets something, in any of TIMES steps from first to last."""
    schedule, last = trainer.game.schedule, trainer.total - 1
    for step in sorted({last * i // (TIMES - 1) for i in range(TIMES)}) if schedule else ():
        trainer.scheduled(step + 1)
        if changed := changes():
            name = next(iter(schedule)) if len(schedule) == 1 else "a function"
            raise ImpureError(f"{name} of the schedule changes {named(changed[0])}", keeps=True)


def check_alike(
    trainers: Sequence[Trainer],
) -> tuple[dict[str, int | None], dict[Any, Sequence[int | float]]]:
    """ImpureError if the trainers' parts do not stand for one another, as those of one game do.

    As functions that hold something of a seed's own, or a network that they should be handed.
    Returns by path which parts lie in the memory of a tensor that a step may change, and where; and
    the numbers that differ, in losses, networks and optimisers, of each trainer.
    """
    found, aliases = [], dict[str, int | None]()
    first, *others = map(_kinds_of_optimizers, trainers)
    if any(each != first for each in others):
        raise ImpureError("its optimizers differ from seed to seed")
    for trainer in trainers:
        game, known = trainer.game, tensors_of(trainer).values()
        functions = _of_losses(game)
        if [*game.schedule] != [*trainers[0].game.schedule]:
            raise ImpureError("schedule differs from seed to seed")
        state = _state(functions, known)
        if state.met:
            met = named(state.met[0])
            raise ImpureError(f"{met} is of a network that is trained, not of the one handed over")
        modules = modules_of(trainer)
        for name, module in modules.items():
            _check_unhooked(name, module)
        found.append((state, _state(modules, known)))
        aliases |= {named(path): memory for each in found[-1] for path, memory in each.aliases}
    numbers: dict[Any, Sequence[int | float]] = {}
    for part, states in enumerate(zip(*found, strict=True)):
        one, *others = states
        for path in dict.fromkeys(path for other in others for path in one.changed(other)):
            if part == 0 and (path == "average" or path.startswith("schedule[")):
                continue  # of which each has its own rates
            values = [state.numbers[path].number for state in states if path in state.numbers]
            allowed = part > 0 or path.startswith(LOSSES)
            if not allowed or len(values) < len(states) or {*map(type, values)} != {float}:
                raise ImpureError(f"{named(path)} differs from seed to seed")
            numbers[path] = values
    return aliases, numbers | of_optimizers([each.optimizers for each in trainers])


def _of_losses(game: Game) -> dict[str, Any]:
    """What a step calls, but for the latent, which each seed has for itself."""
    return {name: each for name, each in functions_of(game).items() if name != "latent"}


def _kinds_of_optimizers(trainer: Trainer) -> tuple[Any, ...]:
    """Of what kind a trainer's optimisers are, and the names of the parameters of each group."""
    names = {
        p: (who, n) for who, each in trainer.networks.items() for n, p in each.named_parameters()
    }
    groups = [
        [[names.get(p) for p in group["params"]] for group in each.param_groups]
        for each in trainer.optimizers.values()
    ]
    own = {f"{who}'s optimizer": [*own_of(each)] for who, each in trainer.optimizers.items()}
    kinds = [type(each) for each in trainer.optimizers.values()]
    return (
        groups,
        [f"{each.__module__}.{each.__qualname__}" for each in kinds],
        _state(own, ()).digests,
    )


def first_alike(trainers: Sequence[Trainer]) -> list[int]:
    """For each trainer the place of the first of which all rates of a step are the same."""
    of_each = []
    for trainer in trainers:
        rated = {"schedule": trainer.game.schedule, "average": trainer.game.average}
        settings = [
            {**group, "params": None, "lr": rate}
            for who, optimizer in trainer.optimizers.items()
            for group, rate in zip(optimizer.param_groups, trainer.rates(who), strict=True)
        ]
        of_each.append((settings, _state(rated, ()).digests))
    return [of_each.index(mine) for mine in of_each]


def numbers_of(trainer: Trainer) -> dict[str, Found]:
    """Where the numbers are that the trainer's functions and networks reach, by path."""
    known = tensors_of(trainer).values()
    return functions_state(trainer).numbers | _state(modules_of(trainer), known).numbers


def functions_state(trainer: Trainer) -> State:
    """What the trainer's losses reach."""
    return _state(_of_losses(trainer.game), tensors_of(trainer).values())


def beside(trainer: Trainer) -> State:
    """What a step can reach beside what the trainer's `state_dict` holds; raises UnwatchableError.

    Networks and optimisers that say themselves what they hold are taken at their word.
    """
    optimizers = {
        f"{who}'s optimizer": dict(own_of(each))
        for who, each in trainer.optimizers.items()
        if type(each).state_dict is torch.optim.Optimizer.state_dict
    }
    networks = {
        name: network
        for name, network in modules_of(trainer).items()
        if type(network).state_dict is nn.Module.state_dict
    }
    roots = {**functions_of(trainer.game), **networks, **optimizers}
    return State(roots, tensors_of(trainer).values())


def same_tensors(trainers: Sequence[Trainer]) -> dict[Key, list[Tensor]]:
    """All that a step may change, of each trainer; InputError if they are not of one game."""
    optimizers = [optimizer for each in trainers for optimizer in each.optimizers.values()]
    for optimizer in optimizers:
        rule_of(optimizer)
    for optimizer in optimizers:
        start(optimizer)
    tensors: dict[Key, list[Tensor]] = {}
    for trainer in trainers:
        for key, tensor in tensors_of(trainer).items():
            tensors.setdefault(key, []).append(tensor)
    shapes = [[tensor.shape for tensor in each] for each in tensors.values()]
    if any(len(each) != len(trainers) or len(set(each)) > 1 for each in shapes):
        raise InputError("its networks differ from seed to seed")
    for key, each in tensors.items():
        if len({id(tensor) for tensor in each}) < len(each) and each[0].requires_grad:
            raise InputError(f"{' '.join(key)} is shared by seeds")
    return tensors


def torn_apart(
    tensors: Mapping[Key, Sequence[Tensor]], aliases: Mapping[str, int | None]
) -> dict[Key, str]:
    """What becomes of tensors in one memory once each has a memory of its own, if they change."""
    found: dict[Key, str] = {}
    owners: dict[int | None, tuple[Key, Tensor]] = {None: ((), torch.empty(0))}
    for key, each in tensors.items():
        for tensor in each:
            owner, first = owners.setdefault(memory_of(tensor), (key, tensor))
            if owner and first is not tensor:
                found[owner] = found[key] = f"{' '.join(owner)} and {' '.join(key)} share memory"
    for path, memory in aliases.items():
        owner, _ = owners[memory]
        found.setdefault(owner, f"{path} shares memory with {' '.join(owner)}")
    return found


def _check_unhooked(name: str, network: nn.Module) -> None:
    """ImpureError for what is called in the backward pass beside it, which copies forget.

    And for what torch calls of every module.
    """
    if any(getattr(torch_module, each) for each in GLOBAL_HOOKS):
        raise ImpureError("torch has been given hooks of every module")
    for inner, module in network.named_modules():
        if module._backward_hooks or module._backward_pre_hooks:
            raise ImpureError(f"{name}.{inner} has hooks of its backward pass")
    for inner, p in network.named_parameters():
        if p._backward_hooks or p._post_accumulate_grad_hooks:
            raise ImpureError(f"{name}.{inner} has hooks of its gradient")


def modules_of(trainer: Trainer) -> dict[str, nn.Module]:
    """The networks by name."""
    names = {"G": "generator", "D": "discriminator"}
    return {names.get(who, who): network for who, network in trainer.networks.items()}


def functions_of(game: Game) -> dict[str, Any]:
    """What a step of a game calls, and its settings, by name."""
    parts = {name: value for name, value in vars(game).items() if name not in NETWORKS + UNUSED}
    if not callable(game.d_loss):
        del parts["d_loss"]
        parts |= {f"d_loss {i}": each for i, each in enumerate(game.d_losses)}
    return parts


def _state(roots: Mapping[str, Any], known: Collection[Tensor]) -> State:
    try:
        return State(roots, known)
    except UnwatchableError as error:
        raise ImpureError(f"what changes cannot be seen in {error}") from error


def _other(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """The name of a random state that is another."""
    return next((name for name, state in after.items() if state != before.get(name)), None)


def _randoms() -> dict[str, Any]:
    """The global random states."""
    kind, keys, *rest = np.random.get_state()
    found = {
        "torch's global stream, in a way that cannot be supplied": bytes(torch.get_rng_state()),
        "numpy.random": (kind, bytes(keys), *rest),  # type: ignore[arg-type]
        "random": random.getstate(),
    }
    if torch.cuda.is_initialized():
        found["torch's global stream on the GPU"] = bytes(torch.cuda.get_rng_state())
    return found


@contextmanager
def _watched() -> Iterator[list[str]]:
    """The calls inside, from an author's code, that reach outside: who does what and where."""
    found: list[str] = []
    around = {*_stack(sys._getframe())}

    def watch(frame: FrameType, event: str, function: Any) -> None:
        what = _reaches_outside(function) if event == "c_call" else None
        if what and (author := _author(frame, around)):
            found.append(f"{place(author.f_code, author.f_lineno)} {what}")

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield found
    finally:
        sys.setprofile(before)


def _reaches_outside(function: Any) -> str | None:
    """What a function in C does that is not of the tensors it is given."""
    name = getattr(function, "__qualname__", "")
    if name in OUTSIDE_CALLS:
        return OUTSIDE_CALLS[name]
    owner = getattr(function, "__self__", None)
    kind = owner if isinstance(owner, type) else type(owner)  # a class, as of datetime.now
    module = str(getattr(function, "__module__", None) or kind.__module__)
    return OUTSIDE.get("numpy.random" if module.startswith("numpy.random") else module)


def _author(frame: FrameType | None, around: Set[FrameType]) -> FrameType | None:
    """The innermost frame of an author's code, unless it is one of those around what is watched."""
    for each in _stack(frame):
        if each in around or each.f_code.co_filename.startswith("<frozen importlib"):
            return None  # what an import reads is no step's business
        if authors_frame(each):
            return each
    return None


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """The frame and those that have called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _line_after(changed: Callable[[], bool], play: Callable[[], Any]) -> str:
    """The first line of an author's code after which something has changed, played once more."""
    lines: list[tuple[CodeType, int]] = []
    found: list[str] = []

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if found or not authors_frame(frame):
            return None
        if lines and changed():
            found.append(place(*lines[-1]))
            return None
        now = _author(frame.f_back, frozenset()) if event == "return" else frame
        if now is not None:
            lines.append((now.f_code, now.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        play()
    finally:
        sys.settrace(before)
    if not found and lines and changed():
        found.append(place(*lines[-1]))
    return found[0] if found else "a step"
