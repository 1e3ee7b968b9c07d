"""What a GAN must remember, to be put back into one that is built the same way.

A GAN that defines `state_dict` and `load_state_dict`, and is no plain `nn.Module`, is asked for
its state. Of any other object the attributes are stored: modules, optimisers, generators,
tensors, arrays, and what JSON can hold of these.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ganbench.core import Game, Task
from ganbench.engine.purity import beside
from ganbench.engine.settings import named
from ganbench.engine.state import CACHED, State, UnwatchableError
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError, ResumeError
from ganbench.harness.stored import ARRAY_KINDS, UnsaveableError
from ganbench.randomness import attributes
from ganbench.system.files import write_atomically
from ganbench.system.modules import describe

FILE, GENERATOR = "checkpoint.safetensors", "generator.safetensors"  # in a seed's folder
STATELESS = (Task, Game, torch.device, torch.dtype, type, FunctionType, MethodType, ModuleType)
AGAIN = "no checkpoint holds that, so a seed that is stopped begins again"
HOLDERS = (dict, list, tuple)
EXACT = (*HOLDERS, torch.Size)
GAN = "gan"  # in the paths of what it holds
LEARNS = "<requires_grad>"  # of what a checkpoint holds, which tensors do
REPLACED = "<replaced>"  # which of its tensors are others than the GAN was built with, and where


def gan_state(gan: object, built: Mapping[str, Tensor]) -> Any:
    """Everything a GAN must remember; UnsaveableError if that cannot be stored.

    `built` are the `own_tensors` that it was built with.
    """
    try:
        return _state_of(gan, built)
    except InputError:
        raise
    except Exception as error:
        raise UnsaveableError(f"no checkpoints: {describe(error)}") from error


class Kept:
    """What a GAN is before it is trained, to tell what a checkpoint would not hold.

    As steps that a closure, a class, a global or an attribute of a network counts. A GAN of one's
    own that defines `state_dict` and `load_state_dict` has said itself what matters. One that is
    not `of_file` has no globals of its own: others of its function or class share them.
    """

    def __init__(self, gan: object, *, of_file: bool = True) -> None:
        self._shared = "" if of_file else "; the next seed may go on with it, as it is of no file"
        said = _speaks_for_itself(gan) and not isinstance(gan, Trainer)
        self._before = None if said else _seen(gan)

    def check(self, gan: object) -> None:
        """UnsaveableError if what has changed since is not all in the GAN's state."""
        if isinstance(self._before, UnsaveableError):
            raise self._before
        if self._before is None:
            return
        if isinstance(after := _seen(gan), UnsaveableError):
            raise after
        before = self._before.digests
        changed = [
            path
            for path in self._before.changed(after)
            if CACHED not in path and (path in before or not path.endswith(")"))
        ]  # where an attribute now stands before its class's, that one has another name
        if lost := [path for path in changed if not _holds(gan, path)]:
            what = named(lost[0]) if isinstance(gan, Trainer) else lost[0]
            raise UnsaveableError(
                f"no checkpoints: one would not hold {what}; {hint(gan)}{self._shared}"
            )


def hint(gan: object) -> str:
    """What to do about state that no checkpoint holds."""
    if isinstance(gan, Trainer):
        return "keep it in a buffer of a network, or make it a function of `schedule`"
    return "define state_dict and load_state_dict"


def _seen(gan: object) -> State | UnsaveableError:
    try:
        return beside(gan) if isinstance(gan, Trainer) else State({GAN: gan})
    except UnwatchableError as error:
        return UnsaveableError(f"no checkpoints: what {error} holds cannot be seen")
    except Exception as error:  # as of sparse tensors, or numbers of thousands of digits
        return UnsaveableError(f"no checkpoints: {describe(error)}")


def _holds(gan: object, path: str) -> bool:
    """Whether the state of a GAN has what was found on a path."""
    if isinstance(gan, Trainer):
        return False  # as that was not looked at
    rest = path.removeprefix(f"{GAN}.")
    if isinstance(gan, nn.Module) and rest in gan.state_dict():
        return True
    own = dict(attributes(gan))
    name = next((name for name in own if re.match(rf"{re.escape(name)}($|[.\[])", rest)), None)
    if name is None:
        return False
    value, inside = own[name], rest[len(name) + 1 :]
    if isinstance(value, nn.Module) and not _speaks_for_itself(value):
        return inside in value.state_dict()
    if isinstance(value, torch.optim.Optimizer):
        return inside.startswith("param_groups")
    known = isinstance(value, (torch.Generator, np.random.Generator))
    return known or _is_plain(value) or hasattr(value, "load_state_dict")


def own_tensors(gan: object) -> dict[str, Tensor]:
    """The tensors among a GAN's attributes and in what these hold, by path.

    A new GAN has others, which are filled with what a checkpoint holds, as an optimizer may hold
    these very ones; but those that training replaced come back as new ones too.
    """
    if _speaks_for_itself(gan):
        return {}
    return {path: each for path, each in _walk(gan, HOLDERS) if isinstance(each, Tensor)}


def _state_of(gan: object, built: Mapping[str, Tensor]) -> Any:
    if _speaks_for_itself(gan):
        return gan.state_dict()  # type: ignore[attr-defined]
    own = own_tensors(gan).items()
    replaced = {path: str(each.device) for path, each in own if each is not built.get(path)}
    _check_apart(gan, replaced)
    learns = {name: each.requires_grad for name, each in _leaves(gan)}
    state: dict[str, Any] = {LEARNS: learns, REPLACED: replaced}
    if isinstance(gan, nn.Module):
        state["<module>"] = gan.state_dict()
    for name, value in attributes(gan):
        if isinstance(value, STATELESS):
            continue
        if isinstance(value, torch.Generator):
            state[name] = value.get_state()
        elif isinstance(value, np.random.Generator):
            state[name] = value.bit_generator.state
        elif hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
            state[name] = value.state_dict()
        elif _is_plain(value):
            state[name] = value
        elif callable(value):
            continue
        else:
            kind = type(value).__name__
            raise UnsaveableError(
                f"no checkpoints: cannot store attribute {name!r} ({kind}) of "
                f"{type(gan).__name__}; define state_dict and load_state_dict"
            )
    return state


def _leaves(gan: object) -> Iterator[tuple[str, Tensor]]:
    """The tensors among a GAN's attributes that it may set to be trained or not, by path."""
    for path, value in (("", gan), *_walk(gan, HOLDERS)):
        if isinstance(value, nn.Module):
            yield from ((f"{path}.{name}", each) for name, each in value.named_parameters())
        elif isinstance(value, Tensor) and value.is_leaf:
            yield path, value


def _walk(gan: object, into: tuple[type, ...]) -> Iterator[tuple[str, Any]]:
    """A GAN's attributes, and what those of these types hold, by path."""
    waiting = [*attributes(gan)]
    while waiting:
        path, value = waiting.pop()
        yield path, value
        held: Any = value if isinstance(value, into) else ()
        inside = held.items() if isinstance(held, dict) else enumerate(held)
        waiting += [(f"{path}[{key!r}]", each) for key, each in inside]


def _check_apart(gan: object, replaced: Collection[str]) -> None:
    """UnsaveableError for two names of one list, dict or memory, which would come back as two.

    Not of memory that they have shared since the GAN was built: a new one's do so too.
    """
    names: dict[int, str] = {}
    for name, value in _walk(gan, (dict, list)):
        if isinstance(value, (list, dict)) and names.setdefault(id(value), name) != name:
            raise _of_one(gan, names[id(value)], name)
    reaching: list[tuple[int, bool, str]] = []  # up to where, whether it comes back anew, its name
    for start, end, anew, name in sorted(_memory(gan, replaced)):
        reaching = [other for other in reaching if other[0] > start]
        for _, other_anew, other in reaching:
            if anew or other_anew:
                raise _of_one(gan, other, name)
        reaching.append((end, anew, name))


def _of_one(gan: object, first: str, second: str) -> UnsaveableError:
    return UnsaveableError(
        f"no checkpoints: {first} and {second} of {type(gan).__name__} are one object; "
        "define state_dict and load_state_dict"
    )


def _memory(gan: object, replaced: Collection[str]) -> Iterator[tuple[int, int, bool, str]]:
    """Where the numbers of a GAN lie, from and up to; whether they come back anew, and its name."""
    inside = [("", gan)] if isinstance(gan, nn.Module) else []
    for path, value in (*inside, *_walk(gan, HOLDERS)):
        held: dict[str, Tensor] = {}
        if isinstance(value, np.ndarray) and value.size:
            start = value.__array_interface__["data"][0]
            yield *_extent(start, value.strides, value.shape, value.itemsize), True, path
        elif isinstance(value, Tensor):
            held = {path: value}
        elif isinstance(value, nn.Module) and not _speaks_for_itself(value):
            state = value.state_dict(prefix=f"{path}.", keep_vars=True)
            held = {name: each for name, each in state.items() if isinstance(each, Tensor)}
        elif isinstance(value, torch.optim.Optimizer):
            each = [tensor for group in value.param_groups for tensor in group["params"]]
            held = {f"a parameter of {path} ({i})": tensor for i, tensor in enumerate(each)}
        for name, tensor in held.items():
            if tensor.numel():
                size = tensor.element_size()
                strides = [size * stride for stride in tensor.stride()]
                extent = _extent(tensor.data_ptr(), strides, tensor.shape, size)
                yield *extent, name in replaced, name


def _extent(start: int, strides: Sequence[int], shape: Sequence[int], size: int) -> tuple[int, int]:
    """From where numbers lie and up to where, in bytes, of which the first is at `start`."""
    reaches = [stride * (n - 1) for stride, n in zip(strides, shape, strict=True)]
    low, high = (sum(way(reach, 0) for reach in reaches) for way in (min, max))
    return start + low, start + high + size


def generator_of(gan: object) -> nn.Module | None:
    """The network that a GAN's samples come from; None if that cannot be told.

    Of a Game it is the generator or its average, else an `nn.Module` called `generator`.
    """
    if isinstance(gan, Trainer):
        return gan.generator if gan.averaged is None else gan.averaged
    found = getattr(gan, "generator", None)
    return found if isinstance(found, nn.Module) else None


def save_generator(path: Path, gan: object) -> None:
    """Write the weights of a GAN's generator, by the names that it has for them, if it has one."""
    if (network := generator_of(gan)) is not None:
        state = network.state_dict().items()
        weights = {k: v.contiguous().clone() for k, v in state if isinstance(v, Tensor)}
        write_atomically(path, save(weights))


def restore_gan(gan: object, state: Any) -> None:
    """Put back what `gan_state` returned into a GAN built the same way; ResumeError if it fails."""
    try:
        _put_into(gan, state)
    except Exception as error:
        raise ResumeError(f"cannot resume: {describe(error)}: run without --resume") from error


def _put_into(gan: object, state: Any) -> None:
    if _speaks_for_itself(gan):
        gan.load_state_dict(state)  # type: ignore[attr-defined]
        return
    replaced = state.get(REPLACED, {})
    for name, saved in state.items():
        if name in (LEARNS, REPLACED):
            continue
        if name == "<module>":
            assert isinstance(gan, nn.Module)
            gan.load_state_dict(saved)
            continue
        value: Any = getattr(gan, name, None)
        if isinstance(value, torch.Generator):
            value.set_state(saved.cpu())
        elif isinstance(value, np.random.Generator):
            value.bit_generator.state = saved
        elif hasattr(value, "load_state_dict"):
            value.load_state_dict(saved)
        else:
            setattr(gan, name, _put_back(name, value, saved, replaced))
    learns = state.get(LEARNS, {})
    for path, tensor in _leaves(gan):
        tensor.requires_grad_(learns.get(path, tensor.requires_grad))


def _put_back(path: str, value: Any, saved: Any, replaced: Mapping[str, str]) -> Any:
    """`saved`, but tensors that were not replaced are filled in place."""
    if path in replaced:
        return saved.to(replaced[path])
    alike = isinstance(value, Tensor) and isinstance(saved, Tensor) and value.dtype == saved.dtype
    if alike and value.shape == saved.shape:
        with torch.no_grad():
            return value.copy_(saved)
    if isinstance(value, np.generic) and isinstance(saved, (bool, int, float, str)):
        return type(value)(saved)
    if isinstance(saved, (list, tuple)):
        before = value[: len(saved)] if isinstance(value, (list, tuple)) else []
        pairs = enumerate(zip_longest(before, saved))
        return type(saved)(_put_back(f"{path}[{i!r}]", a, b, replaced) for i, (a, b) in pairs)
    if isinstance(saved, dict):
        known = value if isinstance(value, dict) else {}
        return {
            key: _put_back(f"{path}[{key!r}]", known.get(key), item, replaced)
            for key, item in saved.items()
        }
    return saved


def _speaks_for_itself(gan: object) -> bool:
    if isinstance(gan, nn.Module):
        return type(gan).state_dict is not nn.Module.state_dict
    return hasattr(gan, "state_dict") and hasattr(gan, "load_state_dict")


def _is_plain(value: object) -> bool:
    if isinstance(value, HOLDERS) and type(value) not in EXACT:
        return False  # a kind of these, which would come back as one of them
    if isinstance(value, dict):
        return all(isinstance(k, (str, int)) and _is_plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind in ARRAY_KINDS
    if isinstance(value, np.generic):
        return value.dtype.kind in "biufU"
    return value is None or isinstance(value, (Tensor, bool, int, float, str))
