"""The whole state of a run in one safetensors file: no pickle, the same bits back.

A GAN that defines `state_dict` and `load_state_dict`, and is no plain `nn.Module`, is asked for
its state. Of any other object the attributes are stored: modules, optimisers, generators,
tensors, arrays, and what JSON can hold of these.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ganbench.core import Game, Task
from ganbench.engine.purity import beside
from ganbench.engine.settings import named
from ganbench.engine.state import CACHED, State, UnwatchableError
from ganbench.engine.trainer import Trainer
from ganbench.errors import InputError, ResumeError, one_line
from ganbench.randomness import attributes
from ganbench.system.files import read_bytes, write_atomically
from ganbench.system.modules import describe

FILE, GENERATOR = "checkpoint.safetensors", "generator.safetensors"  # in a seed's folder
STATELESS = (Task, Game, torch.device, torch.dtype, type, FunctionType, MethodType, ModuleType)
AGAIN = "no checkpoint holds that, so a seed that is stopped begins again"
EXACT = (dict, list, tuple, torch.Size)
GAN = "gan"  # in the paths of what it holds
LEARNS = "<requires_grad>"  # of what a checkpoint holds, which tensors do
ARRAY_KINDS = "biufc"  # NumPy's kinds of numbers
MOST = 2**36  # bytes of a checkpoint


class UnsaveableError(InputError):
    """An attribute of a GAN that a checkpoint cannot hold."""


def save_state(path: Path, state: Any) -> None:
    """Write nested dicts, lists, tuples, tensors, arrays and scalars to a file, atomically.

    UnsaveableError, with nothing written, for what such a file cannot hold.
    """
    tensors: dict[str, Tensor] = {}
    try:
        skeleton = _pack(state, tensors)
        content = save(tensors, metadata={"skeleton": json.dumps(skeleton)})
    except InputError:
        raise
    except Exception as error:  # as of sparse tensors, or arrays of another byte order
        raise UnsaveableError(f"no checkpoints: {describe(error)}") from error
    write_atomically(path, content)


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote; ResumeError if the file is damaged."""
    try:
        content = read_bytes(path, most=MOST)  # not mapped: a file cut short would end this process
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return _unpack(json.loads(header["__metadata__"]["skeleton"]), tensors)
    except Exception as error:
        reason = one_line(describe(error), 200)
        raise ResumeError(
            f"checkpoint {path} is damaged ({reason}): run without --resume"
        ) from error


def gan_state(gan: object) -> Any:
    """Everything a GAN must remember; UnsaveableError if that cannot be stored."""
    try:
        return _state_of(gan)
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


def _state_of(gan: object) -> Any:
    if _speaks_for_itself(gan):
        return gan.state_dict()  # type: ignore[attr-defined]
    _check_apart(gan)
    state: dict[str, Any] = {LEARNS: {name: each.requires_grad for name, each in _leaves(gan)}}
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
    for path, value in (("", gan), *_walk(gan, (dict, list, tuple))):
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


def _check_apart(gan: object) -> None:
    """UnsaveableError for two names of one list, dict or array, which would come back as two."""
    names: dict[int, str] = {}
    for name, value in _walk(gan, (dict, list)):
        if not isinstance(value, (list, dict, np.ndarray)):
            continue
        if id(value) in names:
            raise UnsaveableError(
                f"no checkpoints: {names[id(value)]} and {name} of {type(gan).__name__} are one "
                "object; define state_dict and load_state_dict"
            )
        names[id(value)] = name


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
    for name, saved in state.items():
        if name == LEARNS:
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
            setattr(gan, name, _put_back(value, saved))
    learns = state.get(LEARNS, {})
    for path, tensor in _leaves(gan):
        tensor.requires_grad_(learns.get(path, tensor.requires_grad))


def _put_back(value: Any, saved: Any) -> Any:
    """`saved`, but tensors are copied in place: an optimiser may hold these very ones."""
    alike = isinstance(value, Tensor) and isinstance(saved, Tensor) and value.dtype == saved.dtype
    if alike and value.shape == saved.shape:
        with torch.no_grad():
            return value.copy_(saved)
    if isinstance(value, np.generic) and isinstance(saved, (bool, int, float, str)):
        return type(value)(saved)
    both = (value, saved)
    if all(isinstance(side, (list, tuple)) for side in both) and len(value) == len(saved):
        return type(saved)(_put_back(a, b) for a, b in zip(value, saved, strict=True))
    if all(isinstance(side, dict) for side in both):
        return {key: _put_back(value.get(key), item) for key, item in saved.items()}
    return saved


def _speaks_for_itself(gan: object) -> bool:
    if isinstance(gan, nn.Module):
        return type(gan).state_dict is not nn.Module.state_dict
    return hasattr(gan, "state_dict") and hasattr(gan, "load_state_dict")


def _is_plain(value: object) -> bool:
    if isinstance(value, (dict, list, tuple)) and type(value) not in EXACT:
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


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A JSON skeleton of `value`; its tensors go to `tensors` under numbers."""
    if isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in ARRAY_KINDS
    ):
        name = str(len(tensors))
        tensor = value.detach() if isinstance(value, Tensor) else torch.from_numpy(value.copy())
        tensors[name] = tensor.cpu().contiguous().clone()
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if isinstance(value, Mapping):
        return {"dict": [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple, deque)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_pack(item, tensors) for item in value]}
    if isinstance(value, np.generic):
        return _pack(value.item(), tensors)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UnsaveableError(
        f"no checkpoints: cannot store a {type(value).__name__} of the GAN's state"
    )


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "dict":
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in content}
    items = [_unpack(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
